/**
 * `--fail-if`, `--markdown` and `--junit`: limits for use in a pipeline.
 *
 * @module
 */

import * as v from "valibot";
import { KvmarkError, userError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import {
  outcomeText,
  parseThreshold,
  type Threshold,
  type ThresholdOutcome,
} from "../lib/metrics/thresholds.ts";
import { replicateFolders } from "../lib/results/replicates.ts";
import type { Readable } from "./_options.ts";

/** Checks of the options. */
export const THRESHOLD_OPTIONS = {
  failIf: v.optional(
    v.array(v.pipe(
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
    [],
  ),
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

/** The options, checked. */
export interface LimitOptions {
  readonly failIf: readonly Threshold[];
  readonly markdown?: string | undefined;
  readonly junit?: string | undefined;
}

/** Problems between the options. */
export function limitProblems({ failIf, junit }: Readable<LimitOptions>): string[] {
  const problems: string[] = [];
  if (junit !== undefined && failIf?.length === 0) {
    problems.push("--junit needs --fail-if: without a limit there is nothing to test");
  }
  return problems;
}

/**
 * Checks the limits of the newest run of a folder, or of its replicates together, and writes the files that the options name.
 *
 * @param problem What is wrong with the run itself: it stands in the files too.
 * @throws {KvmarkError} `threshold` as {@linkcode requireLimits}.
 */
export async function checkRunLimits(
  host: Host,
  dir: string,
  options: LimitOptions,
  problem?: KvmarkError,
): Promise<void> {
  const { failIf, markdown, junit } = options;
  if (failIf.length === 0 && markdown === undefined) return;
  const { readRun } = await import("../lib/results/read.ts");
  const { checkRuns } = await import("../lib/report/run_thresholds.ts");
  const names = await replicateFolders(host.files, dir);
  const dirs = names.length === 0 ? [dir] : names.map((name) => `${dir}/${name}`);
  const runs = await Promise.all(dirs.map((one) => readRun(host.files, one)));
  const outcomes = checkRuns(runs, failIf);
  if (markdown !== undefined) {
    const { runMarkdown } = await import("../lib/report/markdown.ts");
    await writeNamed(
      host,
      "--markdown",
      markdown,
      runMarkdown(runs[0]!, outcomes, problem?.message),
    );
  }
  if (junit !== undefined) {
    const { junitXml } = await import("../lib/report/junit.ts");
    await writeNamed(
      host,
      "--junit",
      junit,
      junitXml(`kvmark ${runs[0]!.kind}`, outcomes, problem),
    );
  }
  requireLimits(host, outcomes);
}

/** The files of a run that ended before it had a result: they hold why. Never throws. */
export async function writeRunProblem(
  host: Host,
  experiment: string,
  { markdown, junit }: LimitOptions,
  error: unknown,
): Promise<void> {
  const told = userError(error);
  if (!(told instanceof KvmarkError)) return;
  try {
    if (markdown !== undefined) {
      const { problemMarkdown } = await import("../lib/report/markdown.ts");
      await writeNamed(host, "--markdown", markdown, problemMarkdown(experiment, told.message));
    }
    if (junit !== undefined) {
      const { junitXml } = await import("../lib/report/junit.ts");
      await writeNamed(host, "--junit", junit, junitXml(`kvmark ${experiment}`, [], told));
    }
  } catch {
    // What ended the run is the error to tell.
  }
}

/** Problems of limits of a run: it has no baseline. */
export function runLimitProblems(options: Readable<LimitOptions>): string[] {
  const relative = (options.failIf ?? []).filter((limit) => limit.isRatio);
  return [
    ...limitProblems(options),
    ...relative.map(({ text }) => `--fail-if ${text}: only combine has a baseline for an x`),
  ];
}
