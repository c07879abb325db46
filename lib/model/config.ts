/**
 * From a `config.json` to the shape of a model's KV cache.
 *
 * Only the config is read: code that comes with a model is never run.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { type Architecture, architectureOf } from "./architectures.ts";
import { attentionCaches, attentionHeads, headsOf, hiddenSize, latentCaches } from "./attention.ts";
import { ConfigReader, isObject, MOST } from "./config_reader.ts";
import { layerCount, type LayerKind, layerKinds } from "./layer_kinds.ts";
import { stateOf } from "./recurrent.ts";
import type { AttentionCache, ModelShape, TokenCache } from "./shape.ts";

/** Options of {@linkcode readConfig}. */
export interface ConfigOptions {
  /** For messages: `config.json of Qwen/Qwen3-8B`. */
  readonly source: string;
  /** Take an unknown architecture for what its fields look like. @default {false} */
  readonly assume?: boolean;
}

/**
 * The shape of the model that a parsed `config.json` describes.
 *
 * @throws {KvmarkError} `usage`, for a config that is not one, that lacks something or has a value
 *   out of all bounds, and for an architecture that is not known unless `assume` is given.
 *
 * @example
 * ```ts
 * import { readConfig } from "./config.ts";
 * const config = { model_type: "llama", num_hidden_layers: 32, num_attention_heads: 32,
 *   num_key_value_heads: 8, hidden_size: 4096 };
 * console.log(readConfig(config, { source: "example" }).attention); // grouped-query attention (GQA)
 * ```
 */
export function readConfig(config: unknown, options: ConfigOptions): ModelShape {
  if (!isObject(config)) {
    throw new KvmarkError("usage", `The ${options.source} cannot be used: it is no JSON object`, {
      hint: "give the config.json of a model",
    });
  }
  const outer = new ConfigReader(config, options.source);
  const { reader: bare, outerType } = outer.textModel();
  const modelType = modelTypeOf(outer, bare, outerType);
  const known = architectureOf(modelType);
  const architecture = known ?? assumed(bare, modelType, options);
  const reader = bare.withDefaults(architecture.defaults ?? {});
  const shape = architecture.cache === "encoder-decoder"
    ? encoderDecoder(reader, architecture)
    : decoder(reader, architecture, modelType);
  const heads = attentionHeads(reader);
  const hidden = hiddenSize(reader);
  const maxPositions = reader.optional(MOST.tokens, "max_position_embeddings", "n_positions");
  return {
    modelType,
    ...shape,
    ...(heads === undefined ? {} : { attentionHeads: heads }),
    ...(hidden === undefined ? {} : { hiddenSize: hidden }),
    ...(maxPositions === undefined ? {} : { maxPositions }),
    ...dtypes(outer, reader),
    assumed: known === undefined,
    notes: reader.notes,
  };
}

type Layers = Pick<
  ModelShape,
  "attention" | "layers" | "caches" | "states" | "mtpCaches" | "encoderTokens"
>;

function modelTypeOf(outer: ConfigReader, inner: ConfigReader, outerType?: string): string {
  const own = inner.word("model_type");
  if (own !== undefined && architectureOf(own) !== undefined) return own;
  const types = [own, outerType, outer.word("model_type")].filter((type) => type !== undefined);
  const known = types.flatMap((type) => [`${type}_text`, type]).find(architectureOf);
  const [first] = types;
  if (known !== undefined) return known;
  if (first === undefined) throw outer.problem("model_type is missing");
  return first;
}

/** An unknown architecture by its fields; an error without `assume`. */
function assumed(reader: ConfigReader, modelType: string, options: ConfigOptions): Architecture {
  if (!options.assume) {
    throw new KvmarkError("usage", `The architecture ${JSON.stringify(modelType)} is not known`, {
      hint: "with --assume it is computed as what its config looks like, which may be wrong",
    });
  }
  reader.note(
    `The architecture ${modelType} is not known: it was taken for what its config looks like.`,
  );
  if (reader.raw("kv_lora_rank") !== undefined) return { cache: "latent" };
  return {
    cache: "attention",
    window: reader.raw("use_sliding_window") === false ? "qwen" : "all",
  };
}

function decoder(reader: ConfigReader, architecture: Architecture, modelType: string): Layers {
  if (modelType === "mllama_text_model") return vision(reader, architecture);
  const kinds = layerKinds(reader, architecture, modelType);
  const recurrent = kinds.filter((kind) => kind === "recurrent" || kind === "both").length;
  const caches = cachesOf(reader, architecture, kinds);
  const { state } = architecture;
  const states = state !== undefined && recurrent > 0 ? [stateOf(state, reader, recurrent)] : [];
  return {
    attention: attentionName(caches, attentionHeads(reader), states.length > 0),
    layers: kinds.length,
    caches,
    states,
    mtpCaches: mtpCaches(reader, caches),
  };
}

function cachesOf(
  reader: ConfigReader,
  architecture: Architecture,
  kinds: readonly LayerKind[],
): readonly TokenCache[] {
  if (architecture.cache === "none") return [];
  if (architecture.cache === "attention") return attentionCaches(reader, architecture, kinds);
  const layers = kinds.filter((kind) => kind !== "recurrent" && kind !== "none").length;
  return latentCaches(reader, layers * (architecture.sublayers ?? 1));
}

/** Layers of multi-token prediction are like the last layer of the model. */
function mtpCaches(reader: ConfigReader, caches: readonly TokenCache[]): readonly TokenCache[] {
  const layers = reader.orZero(
    MOST.layers,
    ...["num_nextn_predict_layers", "num_mtp_layers", "mtp_num_hidden_layers", "mtp_num_layers"],
  );
  if (layers === 0 || caches.length === 0) return [];
  const unlimited = caches.filter((cache) => cache.kind !== "attention" || !cache.window);
  const like = caches[0]?.kind === "latent"
    ? caches
    : (unlimited.length > 0 ? unlimited : caches).slice(-1);
  return like.map((cache) => ({ ...cache, layers }));
}

/** Llama 3.2 Vision: some layers attend only to the image. */
function vision(reader: ConfigReader, architecture: Architecture): Layers {
  const layers = layerCount(reader);
  const cross = reader.list("cross_attention_layers")?.length ?? 0;
  if (cross >= layers) throw reader.problem("cross_attention_layers has every layer");
  const heads = headsOf(reader, architecture);
  return {
    attention: "grouped-query attention (GQA) with cross-attention to the image",
    layers,
    caches: [
      { kind: "attention", layers: layers - cross, ...heads },
      ...(cross === 0 ? [] : [{ kind: "cross", layers: cross, ...heads } as const]),
    ],
    states: [],
    mtpCaches: [],
  };
}

function encoderDecoder(reader: ConfigReader, architecture: Architecture): Layers {
  const layers = reader.required(
    MOST.layers,
    ...["num_decoder_layers", "decoder_layers", "num_layers", "num_hidden_layers"],
  );
  const heads = headsOf(reader, architecture);
  const encoderTokens = reader.optional(MOST.tokens, "max_source_positions");
  return {
    attention: "encoder-decoder, self- and cross-attention",
    layers,
    caches: [{ kind: "attention", layers, ...heads }, { kind: "cross", layers, ...heads }],
    states: [],
    mtpCaches: [],
    ...(encoderTokens === undefined ? {} : { encoderTokens }),
  };
}

function attentionName(
  caches: readonly TokenCache[],
  heads: number | undefined,
  hybrid: boolean,
): string {
  if (caches.length === 0) return "no attention: recurrent state only";
  const plain = caches.filter((cache): cache is AttentionCache => cache.kind === "attention");
  const windows = plain.filter((cache) => cache.window !== undefined);
  const parts = [
    caches.some((cache) => cache.kind === "latent")
      ? "multi-head latent attention (MLA)"
      : groupingName(plain, heads),
    ...(caches.some((cache) => cache.kind === "indexer") ? ["sparse with an indexer"] : []),
    ...(windows.length === 0
      ? []
      : [`${windows.length === plain.length ? "all" : "some"} layers ${windows[0]?.window?.kind}`]),
    ...(hybrid ? ["hybrid with recurrent layers"] : []),
  ];
  return parts.join(", ");
}

function groupingName(caches: readonly AttentionCache[], heads: number | undefined): string {
  const counts = new Set(caches.map((cache) => cache.kvHeads));
  if (counts.size === 1 && counts.has(1) && heads !== 1) return "multi-query attention (MQA)";
  if (counts.size === 1 && heads !== undefined && counts.has(heads)) {
    return "multi-head attention (MHA)";
  }
  return "grouped-query attention (GQA)";
}

const DTYPES: Readonly<Record<string, "fp16" | "bf16" | "fp32">> = {
  float16: "fp16",
  bfloat16: "bf16",
  float32: "fp32",
};

function dtypes(outer: ConfigReader, inner: ConfigReader): Pick<ModelShape, "dtype" | "kvDtype"> {
  const names = [inner, outer].flatMap((reader) => [
    reader.raw("dtype"),
    reader.raw("torch_dtype"),
  ]);
  const name = names.find((one): one is string => typeof one === "string");
  const dtype = name === undefined ? undefined : DTYPES[name];
  const quantization = outer.raw("quantization_config");
  const scheme = isObject(quantization) ? quantization["kv_cache_scheme"] : undefined;
  const fp8 = isObject(scheme) && scheme["num_bits"] === 8 && scheme["type"] === "float";
  return { ...(dtype === undefined ? {} : { dtype }), ...(fp8 ? { kvDtype: "fp8" } : {}) };
}
