/**
 * A published model by its name, for hosts that cannot ask the hub.
 *
 * @module
 */

import { readConfig } from "./config.ts";
import { PUBLISHED_MODELS } from "./published_models.ts";
import type { ModelShape } from "./shape.ts";

/** A model whose config is in kvmark's own table. */
export interface KnownModel {
  readonly shape: ModelShape;
  /** A phrase for people: `published config of Qwen/Qwen3-8B (kvmark's table)`. */
  readonly source: string;
}

/** How weights were made smaller, which leaves the KV cache as it is. */
const QUANTISED =
  /[-_](?:fp8|fp4|nvfp4|mxfp4|bf16|fp16|int[48]|w[48]a(?:8|16)|awq|gptq(?:-int[48])?)(?:[-_]dynamic)?$/;

/**
 * The published model of this name: the same repository name, whoever's it is and however its
 * weights are quantised. A name that only resembles one gives nothing.
 *
 * @example
 * ```ts
 * import { knownModel } from "./known_model.ts";
 * const model = knownModel("someone/Qwen3-Coder-30B-A3B-Instruct-FP8");
 * console.log(model?.source); // published config of Qwen/Qwen3-Coder-30B-A3B-Instruct (kvmark's table)
 * ```
 */
export function knownModel(name: string): KnownModel | undefined {
  const wanted = nameOf(name);
  const found = PUBLISHED_MODELS.find(({ id }) => !id.includes(" ") && nameOf(id) === wanted);
  if (found === undefined || wanted === "") return undefined;
  const source = `published config of ${found.id} (kvmark's table)`;
  return { shape: readConfig(found.config, { source }), source };
}

function nameOf(id: string): string {
  let name = id.split("/").at(-1)?.toLowerCase() ?? "";
  while (QUANTISED.test(name)) name = name.replace(QUANTISED, "");
  return name;
}
