/**
 * Everything that `kvmark kv-size` tells, as one object. The text shows the same.
 *
 * @module
 */

import type { TierCapacity } from "./capacity.ts";
import { bytesPerTokenByPrecision, type KvSize } from "./kv_size.ts";
import type { KvEngine, Precision } from "./precision.ts";
import type { AttentionCache, ModelShape } from "./shape.ts";

/** What `--json` prints. Bytes are of one sequence, those of `lengths` of the batch. */
export interface KvSizeReport {
  readonly model: string;
  /** Where the figures come from. */
  readonly source: string;
  readonly model_type: string;
  readonly attention: string;
  /** True if the architecture is not known. */
  readonly assumed: boolean;
  readonly layers: number;
  readonly attention_heads?: number;
  readonly kv_heads?: number;
  readonly head_dim?: number;
  readonly hidden_size?: number;
  readonly max_context_tokens?: number;
  readonly precision: Precision;
  readonly precision_format: string;
  /** Null: what has to be kept, and no byte more. */
  readonly engine: KvEngine | null;
  readonly tp: number;
  readonly batch_size: number;
  readonly bytes_per_token: number;
  readonly bytes_per_token_per_gpu: number;
  readonly bytes_per_token_beyond_windows: number;
  readonly bytes_per_token_by_precision: Partial<Record<Precision, number>>;
  /** Once for a sequence: recurrent states and cross-attention. */
  readonly bytes_per_sequence: number;
  readonly bytes_per_encoder_token: number;
  /** More per token, if the layers of multi-token prediction are used. */
  readonly mtp_bytes_per_token: number;
  readonly parts: readonly {
    readonly label: string;
    readonly layers: number;
    readonly padding_layers: number;
    readonly bytes_per_token: number;
    /** Most tokens that are held. */
    readonly window_tokens?: number;
  }[];
  readonly lengths: readonly {
    readonly tokens: number;
    readonly bytes: number;
    readonly bytes_per_gpu: number;
    readonly slope_bytes_per_token: number;
  }[];
  readonly tiers: readonly TierCapacity[];
  readonly notes: readonly string[];
}

/** Puts the results together. */
export function kvSizeReport(o: {
  readonly model: string;
  readonly source: string;
  readonly shape: ModelShape;
  readonly size: KvSize;
  readonly lengths: readonly number[];
  readonly tiers: readonly TierCapacity[];
  readonly notes: readonly string[];
}): KvSizeReport {
  const { shape, size } = o;
  const { precision, engine = null, tp = 1, batchSize = 1 } = size.options;
  return {
    model: o.model,
    source: o.source,
    ...shapeFields(shape),
    precision,
    precision_format: size.format.name,
    engine,
    tp,
    batch_size: batchSize,
    bytes_per_token: size.bytesPerToken,
    bytes_per_token_per_gpu: size.bytesPerTokenPerGpu,
    bytes_per_token_beyond_windows: size.bytesPerTokenBeyondWindows,
    bytes_per_token_by_precision: bytesPerTokenByPrecision(shape, size.options),
    bytes_per_sequence: size.bytesPerSequence,
    bytes_per_encoder_token: size.bytesPerEncoderToken,
    mtp_bytes_per_token: size.mtpBytesPerToken,
    parts: size.parts.map((part) => ({
      label: part.label,
      layers: part.layers,
      padding_layers: part.paddingLayers,
      bytes_per_token: part.bytesPerToken,
      ...(part.windowTokens === undefined ? {} : { window_tokens: part.windowTokens }),
    })),
    lengths: o.lengths.map((length) => size.at(length)).map((one) => ({
      tokens: one.tokens,
      bytes: one.bytes,
      bytes_per_gpu: one.bytesPerGpu,
      slope_bytes_per_token: one.slopeBytesPerToken,
    })),
    tiers: o.tiers,
    notes: [...size.notes, ...o.notes],
  };
}

function shapeFields(shape: ModelShape) {
  const plain = shape.caches.filter((cache): cache is AttentionCache => cache.kind === "attention");
  const heads = new Set(plain.map((cache) => cache.kvHeads));
  const dims = new Set(plain.map((cache) => cache.keyDim));
  const only = (values: ReadonlySet<number>) => values.size === 1 ? [...values][0] : undefined;
  const [kvHeads, headDim] = [only(heads), only(dims)];
  const { attentionHeads, hiddenSize, maxPositions } = shape;
  return {
    model_type: shape.modelType,
    attention: shape.attention,
    assumed: shape.assumed,
    layers: shape.layers,
    ...(attentionHeads === undefined ? {} : { attention_heads: attentionHeads }),
    ...(kvHeads === undefined ? {} : { kv_heads: kvHeads }),
    ...(headDim === undefined ? {} : { head_dim: headDim }),
    ...(hiddenSize === undefined ? {} : { hidden_size: hiddenSize }),
    ...(maxPositions === undefined ? {} : { max_context_tokens: maxPositions }),
  };
}
