/**
 * Telling a server, request by request, to compute a prompt instead of loading it: loading and
 * computing compared on one server, under one load.
 *
 * @module
 */

import type { Engine } from "./facts.ts";

/** How one engine is told. */
export interface Recompute {
  /** Fields of the request's body. */
  readonly fields: Readonly<Record<string, unknown>>;
  /**
   * `everything`: nothing at all is reused. `offload`: nothing is loaded from the tiers below HBM;
   * what HBM still holds is reused.
   */
  readonly skips: "everything" | "offload";
}

const OFFLOAD: Recompute = {
  fields: { kv_transfer_params: { max_load_tokens: 0 } },
  skips: "offload",
};

const RECOMPUTE: Partial<Record<Engine, Recompute>> = {
  "vllm": OFFLOAD,
  "kvmark-sim": OFFLOAD,
  "llamacpp": { fields: { cache_prompt: false }, skips: "everything" },
};

/** How an engine is told to recompute; nothing where no way is known. */
export function recomputeOf(engine: Engine): Recompute | undefined {
  return RECOMPUTE[engine];
}
