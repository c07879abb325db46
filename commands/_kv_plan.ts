/**
 * KV bytes per token for `--dry-run`, which asks no server and no hub.
 *
 * @module
 */

import { kvBytesOf } from "../lib/experiments/kv_bytes.ts";
import type { Host } from "../lib/host.ts";
import type { Precision } from "../lib/model/precision.ts";
import type { RunOptions } from "./_run_options.ts";

/** `--kv-cache-quantization`: bytes of an element, as in the Python suite. */
const PRECISION_OF: Readonly<Record<number, Precision>> = { 1: "fp8", 2: "fp16" };

/** What the option says, else what the model that `--model` or `--tokenizer` names needs. */
export async function plannedKvBytes(
  host: Host,
  options: RunOptions,
): Promise<number | undefined> {
  if (options.kvBytesPerToken !== undefined) return options.kvBytesPerToken;
  const precision = PRECISION_OF[options.kvCacheQuantization ?? 0];
  const found = await kvBytesOf(host, {
    names: [options.model, options.tokenizer],
    engine: "unknown",
    ...(precision === undefined ? {} : { precision }),
  }, false);
  return found.kvBytesPerToken;
}
