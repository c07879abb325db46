/**
 * Bytes of KV cache per token for commands that only want the number.
 *
 * @module
 */

import { kvSize } from "./kv_size.ts";
import { hasFormat, type KvEngine, type Precision } from "./precision.ts";
import type { ModelShape } from "./shape.ts";
import { findLocalModel, findModel, type ModelOptions } from "./source.ts";

/** Options of {@linkcode bytesPerTokenOf}. */
export interface BytesPerTokenOptions extends ModelOptions {
  /** Precision of the KV cache; without it that of the model, as engines do. */
  readonly precision?: Precision;
  readonly engine?: KvEngine;
  /** True if the hub may be asked where the cache has nothing. @default {false} */
  readonly online?: boolean;
}

/** Bytes per token, and where the figure comes from. */
export interface BytesPerToken {
  /** One token in all layers that keep it, one copy. */
  readonly bytesPerToken: number;
  readonly precision: Precision;
  /** A phrase for people: `config.json of Qwen/Qwen3-8B (Hugging Face cache), bf16`. */
  readonly source: string;
}

/**
 * Bytes of KV cache per token of a model, from a folder, a file or the Hugging Face cache, else from
 * the table of published models.
 *
 * Nothing is downloaded unless `online` is given, and nothing is thrown: a figure that is not
 * certain is `undefined`.
 *
 * @param model Hub id, folder, `config.json` or `.gguf` file: the id that a server reports will do.
 */
export async function bytesPerTokenOf(
  model: string,
  options: BytesPerTokenOptions,
): Promise<BytesPerToken | undefined> {
  try {
    const found = options.online && !options.offline
      ? await findModel(model, options)
      : await findLocalModel(model, options);
    const { shape, source } = found ?? await tabled(model) ?? {};
    if (shape === undefined || source === undefined) return undefined;
    const precision = options.precision ?? servedPrecision(shape, options.engine);
    const engine = options.engine === undefined ? {} : { engine: options.engine };
    const { bytesPerToken } = kvSize(shape, { precision, ...engine });
    return bytesPerToken === 0
      ? undefined
      : { bytesPerToken, precision, source: `${source}, ${precision}` };
  } catch {
    // It is a help, not a condition: the caller's own option is always there.
    return undefined;
  }
}

/** The table is large, and only some commands look into it. */
async function tabled(model: string) {
  const { knownModel } = await import("./known_model.ts");
  return knownModel(model);
}

/** The precision that an engine takes for a model when it is not told. */
export function servedPrecision(shape: ModelShape, engine?: KvEngine): Precision {
  if (shape.kvDtype !== undefined && hasFormat(shape.kvDtype, engine)) return shape.kvDtype;
  return shape.dtype === "bf16" && engine !== "llamacpp" ? "bf16" : "fp16";
}
