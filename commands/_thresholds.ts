/**
 * `--fail-if`, `--markdown` and `--junit`: limits for use in a pipeline.
 *
 * @module
 */

import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import { outcomeText, parseThreshold, type ThresholdOutcome } from "../lib/metrics/thresholds.ts";

/** Checks of the options. */
export const THRESHOLD_OPTIONS = {
  failIf: v.array(v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parseThreshold(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
        return NEVER;
      }
    }),
  )),
  markdown: v.optional(v.string()),
  junit: v.optional(v.string()),
};

/**
 * Tells limits that were crossed, on stderr those that may have been.
 *
 * @throws {KvmarkError} `threshold`, if one was crossed or cannot be checked.
 */
export function requireLimits(host: Host, outcomes: readonly ThresholdOutcome[]): void {
  for (const one of outcomes.filter(({ state }) => state === "unsure")) {
    host.stderr.write(`kvmark: not failed: ${outcomeText(one)}\n`);
  }
  const crossed = outcomes.filter(({ state }) => state === "crossed" || state === "unknown");
  if (crossed.length === 0) return;
  throw new KvmarkError(
    "threshold",
    `${crossed.length} of ${outcomes.length} --fail-if checks failed`,
    { problems: crossed.map(outcomeText) },
  );
}

/** Writes a file that an option names. @throws {KvmarkError} `io` */
export async function writeNamed(
  host: Host,
  option: string,
  path: string,
  text: string,
): Promise<void> {
  try {
    await host.files.writeText(path, text);
  } catch (error) {
    throw new KvmarkError("io", `Cannot write ${path}: ${(error as Error).message}`, {
      hint: `check the path that ${option} names`,
      cause: error,
    });
  }
}
