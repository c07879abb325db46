/**
 * How a run proves what it measures.
 *
 * @module
 */

import type { ColdMode } from "./cold.ts";

/** The options about proof. */
export interface ProofConfig {
  /** `--cold`. */
  readonly cold: ColdMode;
  /** `--metrics-interval`: between two scrapes within a period; 0 reads no metrics. */
  readonly metricsIntervalMs: number;
  /** `--alternate-recompute`: every second request that shares a beginning must not load it. */
  readonly alternateRecompute: boolean;
}

/** What holds where nothing is said. */
export const DEFAULT_PROOF: ProofConfig = {
  cold: "salt",
  metricsIntervalMs: 5000,
  alternateRecompute: false,
};
