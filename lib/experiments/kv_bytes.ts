/**
 * Bytes of KV cache per token of the model that is served, and where the figure comes from.
 *
 * @module
 */

import type { Host } from "../host.ts";
import { bytesPerTokenOf } from "../model/bytes_per_token.ts";
import { KV_ENGINES, type Precision } from "../model/precision.ts";
import type { RunConfig } from "../results/schema.ts";
import type { Engine } from "../server/facts.ts";

/** What is known of a served model. */
export interface ServedModel {
  /** Names under which its config may be found, the most telling first. */
  readonly names: readonly (string | undefined)[];
  readonly engine: Engine;
  /** Of the KV cache, where the server tells it. */
  readonly precision?: Precision;
}

/** The fields of `run.json` about KV bytes; empty where nothing certain is known. */
export type KvBytes = Pick<RunConfig, "kvBytesPerToken" | "kvBytesPerTokenSource">;

/**
 * Looks for the config of a served model: in a folder of that name, in the Hugging Face cache, and
 * with `online` on the hub. Never throws.
 */
export async function kvBytesOf(
  host: Host,
  { names, engine, precision }: ServedModel,
  online: boolean,
): Promise<KvBytes> {
  const known = KV_ENGINES.find((one) => one === engine);
  for (const name of names) {
    const found = name === undefined ? undefined : await bytesPerTokenOf(name, {
      files: host.files,
      env: (variable) => host.env(variable),
      online,
      ...(known === undefined ? {} : { engine: known }),
      ...(precision === undefined ? {} : { precision }),
    });
    if (found === undefined) continue;
    return { kvBytesPerToken: found.bytesPerToken, kvBytesPerTokenSource: found.source };
  }
  return {};
}
