/**
 * Options about proof: a cold start, the server's own metrics, loading against recomputing.
 *
 * @module
 */

import type { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { COLD_MODES } from "../lib/experiments/cold.ts";
import type { ProofConfig } from "../lib/experiments/proof.ts";
import { duration, oneOf } from "./_options.ts";

/** Checks of the options of {@linkcode addProofOptions}. */
export const PROOF_OPTIONS = {
  cold: oneOf(...COLD_MODES),
  metricsInterval: duration(0),
};

/** Checks of {@linkcode addAlternation}. */
export const ALTERNATION_OPTIONS = {
  alternateRecompute: v.optional(v.boolean(), false),
};

type ProofOptions = v.InferOutput<v.ObjectSchema<typeof PROOF_OPTIONS, undefined>>;

/** Adds the options; {@linkcode PROOF_OPTIONS} checks them. */
// deno-lint-ignore no-explicit-any
export function addProofOptions(command: Command<any, any, any>): void {
  command
    .option(
      "--cold <name>",
      "salt: all text is new; reset: drop the caches; require: or stop",
      "salt",
    )
    .option("--metrics-interval <s>", "between reads of the server's metrics; 0: none", "5");
}

/** Adds the option of experiments with a working set; {@linkcode ALTERNATION_OPTIONS} checks it. */
// deno-lint-ignore no-explicit-any
export function addAlternation(command: Command<any, any, any>): void {
  command.option("--alternate-recompute", "tell the server not to load every second request (A/B)");
}

/** Problems with other options. */
export function proofProblems(
  { cold, reuseCache }: {
    readonly cold?: string | undefined;
    readonly reuseCache?: boolean | undefined;
  },
): string[] {
  return reuseCache === true && cold !== undefined && cold !== "salt"
    ? [`--reuse-cache contradicts --cold ${cold}`]
    : [];
}

/** How the run proves what it measures. */
export function proofConfig(
  { cold, metricsInterval: metricsIntervalMs, alternateRecompute = false }: ProofOptions & {
    readonly alternateRecompute?: boolean;
  },
): ProofConfig {
  return { cold, metricsIntervalMs, alternateRecompute };
}
