/**
 * What a model keeps of a sequence, layer by layer, in elements: bytes depend on precision, engine
 * and parallelism, which come later.
 *
 * @module
 */

/** A window of attention: older tokens can be dropped. */
export interface Window {
  /** `chunked` (Llama 4) forgets at each multiple of the size, `sliding` one token at a time. */
  readonly kind: "sliding" | "chunked";
  readonly tokens: number;
}

/** Layers that keep a key and a value of each token for each KV head. */
export interface AttentionCache {
  readonly kind: "attention";
  readonly layers: number;
  readonly kvHeads: number;
  /** Elements of one key. */
  readonly keyDim: number;
  /** Elements of one value. */
  readonly valueDim: number;
  /** Absent where every token is kept. */
  readonly window?: Window;
}

/** Layers of multi-head latent attention: one compressed vector a token, for all heads. */
export interface LatentCache {
  readonly kind: "latent";
  readonly layers: number;
  /** `kv_lora_rank`. */
  readonly rank: number;
  /** `qk_rope_head_dim`, kept beside it. */
  readonly ropeDim: number;
  /** True if a sparse-attention indexer reads it (DeepSeek V3.2): its fp8 layout is another. */
  readonly sparse: boolean;
}

/** Keys of a sparse-attention indexer, stored in fp8 with one fp32 scale for 128 elements. */
export interface IndexerCache {
  readonly kind: "indexer";
  readonly layers: number;
  readonly dim: number;
}

/** Layers that keep keys and values of the encoder's tokens. */
export interface CrossCache {
  readonly kind: "cross";
  readonly layers: number;
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

/** What grows with the tokens of a sequence. */
export type TokenCache = AttentionCache | LatentCache | IndexerCache | CrossCache;

/** What a layer keeps once for a sequence, however long it is (Mamba, linear attention). */
export interface SequenceState {
  /** `Mamba-2`, `gated DeltaNet`, `short convolution`. */
  readonly name: string;
  readonly layers: number;
  /** Last inputs of the causal convolution; tensor parallelism splits them. */
  readonly convElements: number;
  /** Of the convolution, what every rank needs whole once its groups are fewer than the ranks. */
  readonly convGroups?: { readonly groups: number; readonly elementsPerGroup: number };
  /** The recurrent state; tensor parallelism splits it by heads. */
  readonly recurrentElements: number;
  /** True if the model asks for the recurrent state in fp32. */
  readonly recurrentFp32: boolean;
}

/** Everything about a model that its KV cache depends on. */
export interface ModelShape {
  /** `model_type` of the config, of the text part where parts are nested. */
  readonly modelType: string;
  /** What kind of attention it is, in the field's terms. */
  readonly attention: string;
  /** Layers, those without any cache included. */
  readonly layers: number;
  readonly attentionHeads?: number;
  readonly hiddenSize?: number;
  readonly caches: readonly TokenCache[];
  readonly states: readonly SequenceState[];
  /** Layers of multi-token prediction: kept only where the engine speculates with them. */
  readonly mtpCaches: readonly TokenCache[];
  /** Tokens of the encoder where its length is fixed (Whisper). */
  readonly encoderTokens?: number;
  /** Precision of the weights, which is that of the KV cache where the engine is not told. */
  readonly dtype?: "fp16" | "bf16" | "fp32";
  /** Precision of the KV cache that the checkpoint itself asks for. */
  readonly kvDtype?: "fp8";
  readonly maxPositions?: number;
  /** True if the architecture is not known and was taken for standard attention. */
  readonly assumed: boolean;
  /** Whole sentences that a reader of the figures needs. */
  readonly notes: readonly string[];
}
