/**
 * Bytes of KV cache: of a token, of a sequence at any length, of every part of the model.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import {
  type Format,
  formatOf,
  hasFormat,
  KV_ENGINE_TITLES,
  type KvEngine,
  type Precision,
  PRECISIONS,
  vectorBytes,
} from "./precision.ts";
import {
  type Demand,
  type Reservation,
  reserve,
  slopeAt,
  type StateDemand,
  tokensHeld,
} from "./reservation.ts";
import type { CrossCache, ModelShape, SequenceState, TokenCache } from "./shape.ts";

/** How a model is served. */
export interface KvSizeOptions {
  readonly precision: Precision;
  /** What this engine reserves; without one, what has to be kept and no byte more. */
  readonly engine?: KvEngine;
  /** GPUs of tensor parallelism. @default {1} */
  readonly tp?: number;
  /** Sequences. @default {1} */
  readonly batchSize?: number;
  /** Count the layers of multi-token prediction too. @default {false} */
  readonly mtp?: boolean;
  /** Tokens of the encoder, where there is one. */
  readonly encoderTokens?: number;
}

/** What a batch takes at one length. */
export interface LengthSize {
  /** Tokens of one sequence. */
  readonly tokens: number;
  /** The whole batch, one copy of everything. */
  readonly bytes: number;
  /** The whole batch on one GPU; heads that cannot be split are on several. */
  readonly bytesPerGpu: number;
  /** What one further token of every sequence adds. */
  readonly slopeBytesPerToken: number;
}

/** One kind of layer in the result. */
export interface KvPart {
  readonly label: string;
  readonly layers: number;
  readonly paddingLayers: number;
  readonly bytesPerToken: number;
  readonly windowTokens?: number;
}

/** The KV cache of a model as it is served. */
export interface KvSize {
  readonly options: KvSizeOptions;
  readonly format: Format;
  /**
   * One token of one sequence in all layers that keep it, one copy, as long as no window is full.
   * Engines count their capacity with it.
   */
  readonly bytesPerToken: number;
  /** The same on one GPU. */
  readonly bytesPerTokenPerGpu: number;
  /** The same for a sequence that is longer than every window. */
  readonly bytesPerTokenBeyondWindows: number;
  /** Once for a sequence: recurrent states, and cross-attention to `encoderTokens`. */
  readonly bytesPerSequence: number;
  /** One token of the encoder. */
  readonly bytesPerEncoderToken: number;
  /** What a token takes more in the layers of multi-token prediction; 0 if they are counted. */
  readonly mtpBytesPerToken: number;
  readonly parts: readonly KvPart[];
  readonly notes: readonly string[];
  /** The batch at a length. */
  at(tokens: number): LengthSize;
}

/**
 * The KV cache of a model as it is served.
 *
 * @throws {KvmarkError} `usage`, if the engine has no such precision or cannot split the heads.
 *
 * @example
 * ```ts
 * import { readConfig } from "./config.ts";
 * import { kvSize } from "./kv_size.ts";
 * const shape = readConfig({ model_type: "llama", num_hidden_layers: 80, num_attention_heads: 64,
 *   num_key_value_heads: 8, hidden_size: 8192 }, { source: "Llama 3.3 70B" });
 * console.log(kvSize(shape, { precision: "fp16" }).bytesPerToken); // 327680
 * ```
 */
export function kvSize(shape: ModelShape, options: KvSizeOptions): KvSize {
  const { tp = 1, batchSize = 1, engine } = options;
  requireSplit(shape, tp, engine);
  const format = formatOf(options.precision, engine);
  const whole = layOut(shape, options, 1);
  const gpu = tp === 1 ? whole : layOut(shape, options, tp);
  const pool = (layout: Layout) =>
    layout.caches.reduce((sum, cache) => sum + cache.poolBytesPerToken, 0);
  const slope = (layout: Layout, tokens: number) =>
    layout.caches.reduce((sum, cache) => sum + slopeAt(cache, tokens), 0);
  const bytes = (layout: Layout, tokens: number) =>
    layout.caches.reduce(
      (sum, cache) => sum + cache.bytesPerToken * tokensHeld(cache, tokens),
      layout.bytesPerSequence,
    );
  return {
    options,
    format,
    bytesPerToken: pool(whole),
    bytesPerTokenPerGpu: pool(gpu),
    bytesPerTokenBeyondWindows: slope(whole, Number.MAX_SAFE_INTEGER),
    bytesPerSequence: whole.bytesPerSequence,
    bytesPerEncoderToken: whole.bytesPerEncoderToken,
    mtpBytesPerToken: options.mtp ? 0 : demandsOf(shape.mtpCaches, shape, options, 1)
      .reduce((sum, one) => sum + one.layers * one.layerBytesPerToken, 0),
    parts: whole.caches.map(({ label, layers, paddingLayers, bytesPerToken, limitTokens }) => ({
      label,
      layers,
      paddingLayers,
      bytesPerToken,
      ...(limitTokens === undefined ? {} : { windowTokens: limitTokens }),
    })),
    notes: [...new Set([...shape.notes, ...whole.notes])],
    at: (tokens) => ({
      tokens,
      bytes: batchSize * bytes(whole, tokens),
      bytesPerGpu: batchSize * bytes(gpu, tokens),
      slopeBytesPerToken: batchSize * slope(whole, tokens),
    }),
  };
}

/** Bytes of a token at every precision that the engine has. */
export function bytesPerTokenByPrecision(
  shape: ModelShape,
  options: KvSizeOptions,
): Partial<Record<Precision, number>> {
  const possible = PRECISIONS.filter((precision) => hasFormat(precision, options.engine));
  return Object.fromEntries(
    possible.map((precision) => [
      precision,
      kvSize(shape, { ...options, precision }).bytesPerToken,
    ]),
  );
}

interface Layout extends Reservation {
  readonly bytesPerSequence: number;
  readonly bytesPerEncoderToken: number;
}

function layOut(shape: ModelShape, options: KvSizeOptions, tp: number): Layout {
  const kept = [...shape.caches, ...(options.mtp ? shape.mtpCaches : [])];
  const demands = demandsOf(kept, shape, options, tp);
  const states = shape.states.map((state) => stateDemand(state, options.engine, tp));
  const reservation = reserve(options.engine, shape.modelType, demands, states);
  const format = formatOf(options.precision, options.engine);
  const bytesPerEncoderToken = shape.caches
    .filter((cache): cache is CrossCache => cache.kind === "cross")
    .reduce((sum, cache) => sum + cache.layers * headBytes(cache, format, tp), 0);
  const encoderTokens = options.encoderTokens ?? shape.encoderTokens ?? 0;
  return {
    ...reservation,
    bytesPerEncoderToken,
    bytesPerSequence: reservation.stateBytes + encoderTokens * bytesPerEncoderToken,
  };
}

function demandsOf(
  caches: readonly TokenCache[],
  shape: ModelShape,
  options: KvSizeOptions,
  tp: number,
): readonly Demand[] {
  const format = formatOf(options.precision, options.engine);
  return caches.flatMap((cache): Demand[] => {
    if (cache.kind === "cross") return [];
    const { layers } = cache;
    if (cache.kind === "indexer") {
      // fp8 with an fp32 scale for 128 elements, at every precision of the rest.
      const layerBytesPerToken = cache.dim + 4 * Math.ceil(cache.dim / 128);
      return [{ label: "sparse-attention indexer", layers, layerBytesPerToken }];
    }
    if (cache.kind === "latent") {
      const layerBytesPerToken =
        cache.sparse && options.precision === "fp8" && hasSparseFp8(options)
          ? cache.rank + 4 * Math.ceil(cache.rank / 128) + 2 * cache.ropeDim
          : vectorBytes(format, cache.rank + cache.ropeDim);
      return [{ label: "latent attention", layers, layerBytesPerToken }];
    }
    const windowed = cache.window === undefined ? "" : ` (${cache.window.kind})`;
    return [{
      label: `${
        shape.caches.some((one) => one.kind === "cross") ? "self-" : ""
      }attention${windowed}`,
      layers,
      layerBytesPerToken: headBytes(cache, format, tp),
      ...(cache.window === undefined ? {} : { window: cache.window }),
    }];
  });
}

/** vLLM's `fp8_ds_mla`, which SGLang has too: scales for 128 elements, positions in bf16. */
function hasSparseFp8({ engine }: KvSizeOptions): boolean {
  return engine === "vllm" || engine === "sglang";
}

/** One token in one layer on one GPU: every GPU has at least one head. */
function headBytes(
  cache: { readonly kvHeads: number; readonly keyDim: number; readonly valueDim: number },
  format: Format,
  tp: number,
): number {
  const heads = Math.ceil(cache.kvHeads / tp);
  return heads * (vectorBytes(format, cache.keyDim) + vectorBytes(format, cache.valueDim));
}

function stateDemand(state: SequenceState, engine: KvEngine | undefined, tp: number): StateDemand {
  // llama.cpp keeps states in f32; SGLang keeps the recurrent part so (SGLANG_MAMBA_SSM_DTYPE).
  const convBytes = engine === "llamacpp" ? 4 : 2;
  const wide = engine === "llamacpp" || engine === "sglang" || state.recurrentFp32;
  const { groups = 0, elementsPerGroup = 0 } = state.convGroups ?? {};
  const groupElements = Math.ceil(groups / tp) * elementsPerGroup;
  return {
    label: state.name,
    layers: state.layers,
    layerBytes: (Math.ceil(state.convElements / tp) + groupElements) * convBytes +
      Math.ceil(state.recurrentElements / tp) * (wide ? 4 : 2),
  };
}

/** Engines give each GPU equally many heads, or each head to equally many GPUs. */
function requireSplit(shape: ModelShape, tp: number, engine: KvEngine | undefined): void {
  if (tp === 1 || engine === undefined) return;
  if (engine === "llamacpp") {
    throw new KvmarkError("usage", "llama.cpp splits a model by layers: --tp does not apply", {
      hint: "leave --tp out, or name another engine",
    });
  }
  for (const cache of shape.caches) {
    if (cache.kind !== "attention" && cache.kind !== "cross") continue;
    if (cache.kvHeads % tp === 0 || tp % cache.kvHeads === 0) continue;
    throw new KvmarkError(
      "usage",
      `${KV_ENGINE_TITLES[engine]} cannot split ${cache.kvHeads} KV heads over ${tp} GPUs`,
      { hint: "--tp must divide the number of KV heads, or be a multiple of it" },
    );
  }
}
