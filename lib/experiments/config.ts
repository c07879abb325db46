/**
 * What the experiments have in common from the outside: how they are driven, where they are kept,
 * what they come to.
 *
 * @module
 */

import type { Judgement } from "../load/runner.ts";
import type { AccessOrder } from "../prompt/working_set.ts";
import type { SummaryRow } from "../results/schema.ts";
import type { ErrorHandling } from "./error_handling.ts";
import type { CellOrder } from "./order.ts";
import type { ProofConfig } from "./proof.ts";
import type { ShardConfig } from "./shard.ts";

/** How a cell is driven, whatever the experiment. */
export interface LoadConfig extends Judgement {
  /** @default {ascending} */
  readonly order?: CellOrder;
  readonly mode: "ramp" | "fixed";
  readonly fixedConcurrencyLevels: readonly number[];
  readonly startConcurrency: number;
  readonly concurrencyIncrement: number;
  readonly maxConcurrency: number;
  readonly initConcurrency: number;
  readonly testDurationMs: number;
  readonly rampDurationMs: number;
  readonly retries: number;
  readonly outputTokens: number;
  readonly chunkTokens: number;
  readonly accessOrder: AccessOrder;
  readonly workers: number;
  readonly seed?: string;
  /** Lets the working set of an earlier run with the same seed count as warm. */
  readonly reuseCache: boolean;
  /** @default {DEFAULT_ERROR_HANDLING} */
  readonly errors?: ErrorHandling;
  /** @default {DEFAULT_PROOF} */
  readonly proof?: ProofConfig;
  /** Absent for a run in one piece. */
  readonly shard?: ShardConfig;
}

/** Where a run is kept. */
export interface OutputConfig {
  readonly dir: string;
  readonly forceRestart: boolean;
  readonly version: string;
  /** The command line, for `run_command_*.sh`. */
  readonly argv: readonly string[];
  /** Option names and values that change results; a change of one cannot be resumed. */
  readonly identity: Readonly<Record<string, unknown>>;
  /** Of the served model, where it was told or looked for already: for sizes in bytes. */
  readonly kvBytesPerToken?: number;
  /** @default {--kv-bytes-per-token} */
  readonly kvBytesPerTokenSource?: string;
}

/** How the cells of a run ended. */
export interface RunEnd {
  /** A signal cut the run short. */
  readonly interrupted: boolean;
  /** The cell that failed and, with `--on-error stop`, ended the run: `8000_50: no request …`. */
  readonly stopped?: string;
  /** Cells that a shard came too late for. */
  readonly missed?: readonly string[];
}

/** What a run came to. */
export interface RunResult extends RunEnd {
  readonly rows: readonly SummaryRow[];
  readonly warnings: readonly string[];
}

/** Signals of the run: the first drains, the second aborts. */
export interface Signals {
  readonly drain: AbortSignal;
  readonly abort: AbortSignal;
}
