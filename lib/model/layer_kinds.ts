/**
 * Which layer does what: attention over everything, over a window, a recurrent state, or nothing
 * that is kept.
 *
 * @module
 */

import type { Architecture } from "./architectures.ts";
import { type ConfigReader, MOST } from "./config_reader.ts";

/** What one layer keeps. `both` is attention and a recurrent state side by side. */
export type LayerKind = "full" | "sliding" | "chunked" | "recurrent" | "both" | "none";

/** Names of layers in configs. */
const NAMES: Readonly<Record<string, LayerKind>> = {
  full_attention: "full",
  global_attention: "full",
  indexed_attention: "full",
  attention: "full",
  full: "full",
  sliding_attention: "sliding",
  local_attention: "sliding",
  sliding: "sliding",
  chunked_attention: "chunked",
  linear_attention: "recurrent",
  mamba: "recurrent",
  mamba2: "recurrent",
  recurrent: "recurrent",
  conv: "recurrent",
  hybrid: "both",
  mlp: "none",
  moe: "none",
};

/** Signs of Nemotron-H's `hybrid_override_pattern`. */
const SIGNS: Readonly<Record<string, LayerKind>> = {
  "M": "recurrent",
  "*": "full",
  "-": "none",
  "E": "none",
};

/** The kind of each layer, in the order of the model. */
export function layerKinds(
  reader: ConfigReader,
  architecture: Architecture,
  modelType: string,
): readonly LayerKind[] {
  const pattern = reader.word("hybrid_override_pattern");
  if (pattern !== undefined) return fromSigns(reader, pattern);
  const listed = reader.list("layers_block_type") ?? reader.list("layer_types");
  // Nemotron-H may leave out how many layers there are.
  const layers = listed !== undefined && reader.raw("num_hidden_layers") === undefined
    ? listed.length
    : layerCount(reader);
  if (listed !== undefined) return fromNames(reader, listed, layers, architecture);
  const kinds = hybridKinds(reader, architecture, modelType, layers) ??
    windowKinds(reader, architecture, layers);
  return kinds ?? filled(layers, "full");
}

/** Number of layers, under any of its names. */
export function layerCount(reader: ConfigReader): number {
  return reader.required(
    MOST.layers,
    ...["num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers"],
  );
}

function fromSigns(reader: ConfigReader, pattern: string): readonly LayerKind[] {
  const kinds = [...pattern].map((sign) => Object.hasOwn(SIGNS, sign) ? SIGNS[sign] : undefined);
  const bad = kinds.indexOf(undefined);
  if (bad >= 0 || kinds.length === 0 || kinds.length > MOST.layers) {
    throw reader.problem(
      bad >= 0
        ? `hybrid_override_pattern has ${JSON.stringify([...pattern][bad])}, not M, *, - or E`
        : `hybrid_override_pattern has ${kinds.length} layers, not 1 to ${MOST.layers}`,
    );
  }
  return kinds as LayerKind[];
}

function fromNames(
  reader: ConfigReader,
  listed: readonly unknown[],
  layers: number,
  architecture: Architecture,
): readonly LayerKind[] {
  // Layers of multi-token prediction may follow those of the model.
  if (listed.length < layers) {
    throw reader.problem(`layer_types has ${listed.length} entries for ${layers} layers`);
  }
  return listed.slice(0, layers).map((name, i) => {
    const kind = typeof name === "string" && Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
    if (kind === undefined) {
      throw reader.problem(`layer_types[${i}] is ${JSON.stringify(name)}, which is not known`);
    }
    if (kind === "recurrent" && architecture.state === undefined) {
      throw reader.problem(
        `layer_types[${i}] is ${JSON.stringify(name)}, whose state is not known`,
      );
    }
    return kind;
  });
}

/** Attention layers among recurrent ones, in the many ways that configs say it. */
function hybridKinds(
  reader: ConfigReader,
  architecture: Architecture,
  modelType: string,
  layers: number,
): readonly LayerKind[] | undefined {
  if (architecture.state === undefined) return undefined;
  if (architecture.cache === "none") return filled(layers, "recurrent");
  if (modelType === "falcon_h1") return filled(layers, "both");
  const where = (isFull: (layer: number) => boolean, full: LayerKind = "full") =>
    Array.from({ length: layers }, (_, i): LayerKind => isFull(i) ? full : "recurrent");
  const attention = attentionLayers(reader);
  if (attention !== undefined) return where((i) => attention.has(i));
  const types = reader.counts(1, "attn_type_list", layers);
  if (types !== undefined) return where((i) => types[i] === 1);
  const blocks = reader.list("block_types", 1);
  if (blocks !== undefined) {
    return where((i) => blocks[i % blocks.length] === "attention", "sliding");
  }
  if (modelType === "jamba") {
    const period = reader.required(MOST.layers, "attn_layer_period");
    const offset = reader.orZero(MOST.layers, "attn_layer_offset");
    return where((i) => i % period === offset);
  }
  if (architecture.state === "delta") {
    const interval = reader.optional(MOST.layers, "full_attention_interval") ?? 4;
    return where((i) => (i + 1) % interval === 0);
  }
  throw reader.problem("it does not say which layers are attention (layer_types)");
}

/** Indices of the attention layers, where they are listed. */
function attentionLayers(reader: ConfigReader): ReadonlySet<number> | undefined {
  for (const name of ["attn_layer_indices", "full_attn_idxs"]) {
    const indices = reader.counts(MOST.layers, name);
    if (indices !== undefined) return new Set(indices);
  }
  // Kimi Linear counts from 1.
  const listed = reader.object("linear_attn_config")?.counts(MOST.layers, "full_attn_layers");
  return listed === undefined ? undefined : new Set(listed.map((layer) => layer - 1));
}

function windowKinds(
  reader: ConfigReader,
  architecture: Architecture,
  layers: number,
): readonly LayerKind[] | undefined {
  const listed = reader.counts(1, "hybrid_layer_pattern", layers);
  if (listed !== undefined) {
    return listed.slice(0, layers).map((one) => one === 1 ? "sliding" : "full");
  }
  const { window } = architecture;
  if (window === undefined) return undefined;
  if (window === "all") {
    return filled(layers, windowTokens(reader) === undefined ? "full" : "sliding");
  }
  if (window === "qwen") return qwenKinds(reader, layers);
  const kind: LayerKind = reader.raw("attention_chunk_size") === undefined ? "sliding" : "chunked";
  if (kind === "sliding" && windowTokens(reader) === undefined) return filled(layers, "full");
  // Llama 4 lists the layers that have positions, which are those with a chunk.
  const positions = kind === "chunked" ? reader.counts(1, "no_rope_layers") : undefined;
  if (positions !== undefined && positions.length >= layers) {
    return positions.slice(0, layers).map((one) => one === 1 ? kind : "full");
  }
  const isFull = fullLayer(reader, window);
  return Array.from({ length: layers }, (_, i) => isFull(i) ? "full" : kind);
}

/** Every n-th layer, or the letters of a pattern (`LLLG`). */
function fullLayer(
  reader: ConfigReader,
  window: { readonly every: number; readonly fields?: readonly string[] },
): (layer: number) => boolean {
  const field = window.fields?.find((name) => reader.raw(name) !== undefined);
  const value = field === undefined ? undefined : reader.raw(field);
  if (typeof value === "string" && /^[LG]{1,64}$/.test(value)) {
    return (layer) => value[layer % value.length] === "G";
  }
  const n = field === undefined ? window.every : reader.required(MOST.layers, field);
  return (layer) => (layer + 1) % n === 0;
}

function qwenKinds(reader: ConfigReader, layers: number): readonly LayerKind[] {
  const from = reader.flag("use_sliding_window") === true && windowTokens(reader) !== undefined
    ? reader.orZero(MOST.layers, "max_window_layers")
    : layers;
  return Array.from({ length: layers }, (_, i) => i >= from ? "sliding" : "full");
}

/** Tokens of the sliding window; `undefined` where there is none. */
export function windowTokens(reader: ConfigReader): number | undefined {
  return reader.optional(
    MOST.tokens,
    "sliding_window",
    "sliding_window_size",
    "attention_window_size",
  );
}

function filled(layers: number, kind: LayerKind): readonly LayerKind[] {
  return new Array<LayerKind>(layers).fill(kind);
}
