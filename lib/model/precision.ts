/**
 * How KV elements are stored: bits, and the scales of quantized formats.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";

/** Precisions of a KV cache. */
export const PRECISIONS = ["fp8", "fp16", "bf16", "int8", "int4"] as const;
/** A precision of a KV cache. */
export type Precision = typeof PRECISIONS[number];

/** Engines whose way of reserving memory is known. */
export const KV_ENGINES = ["vllm", "sglang", "trtllm", "llamacpp"] as const;
/** An engine whose way of reserving memory is known. */
export type KvEngine = typeof KV_ENGINES[number];

/** Their names as people write them. */
export const KV_ENGINE_TITLES: Readonly<Record<KvEngine, string>> = {
  vllm: "vLLM",
  sglang: "SGLang",
  trtllm: "TensorRT-LLM",
  llamacpp: "llama.cpp",
};

/** One way to store a key or a value of one head. */
export interface Format {
  /** As the engine calls it, with its scales. */
  readonly name: string;
  readonly bytesPerElement: number;
  /** Bytes of scales (and zero points) beside one key or value, however long it is. */
  readonly vectorBytes: number;
}

const HALF: Format = { name: "16 bits, no scales", bytesPerElement: 2, vectorBytes: 0 };
const FP8: Format = { name: "8 bits, one scale a tensor", bytesPerElement: 1, vectorBytes: 0 };
/** Two 4-bit floats a byte, and an 8-bit scale for 16 of them. */
const FP4: Format = {
  name: "4-bit floats, an 8-bit scale for 16",
  bytesPerElement: 1 / 2 + 1 / 16,
  vectorBytes: 0,
};

/** Without an engine, integers are those of LMDeploy: asymmetric, for each token and head. */
const GENERAL: Readonly<Record<Precision, Format>> = {
  fp16: HALF,
  bf16: HALF,
  fp8: FP8,
  int8: {
    name: "8 bits, fp16 scale and zero point a head and token",
    bytesPerElement: 1,
    vectorBytes: 4,
  },
  int4: {
    name: "4 bits, fp16 scale and zero point a head and token",
    bytesPerElement: 1 / 2,
    vectorBytes: 4,
  },
};

const BY_ENGINE: Readonly<Record<KvEngine, Partial<Record<Precision, Format>>>> = {
  vllm: {
    fp16: HALF,
    bf16: HALF,
    fp8: FP8,
    int8: {
      name: "int8_per_token_head: 8 bits, fp32 scale a head and token",
      bytesPerElement: 1,
      vectorBytes: 4,
    },
    int4: { ...FP4, name: `nvfp4: ${FP4.name}` },
  },
  sglang: { fp16: HALF, bf16: HALF, fp8: FP8, int4: { ...FP4, name: `fp4_e2m1: ${FP4.name}` } },
  trtllm: {
    fp16: HALF,
    bf16: HALF,
    fp8: FP8,
    int8: FP8,
    int4: { ...FP4, name: `nvfp4: ${FP4.name}` },
  },
  llamacpp: {
    fp16: HALF,
    bf16: HALF,
    int8: { name: "q8_0: 34 bytes for 32 elements", bytesPerElement: 34 / 32, vectorBytes: 0 },
    int4: { name: "q4_0: 18 bytes for 32 elements", bytesPerElement: 18 / 32, vectorBytes: 0 },
  },
};

/**
 * How an engine stores a precision.
 *
 * @throws {KvmarkError} `usage`, if it has no KV cache of that precision.
 */
export function formatOf(precision: Precision, engine?: KvEngine): Format {
  if (engine === undefined) return GENERAL[precision];
  const formats = BY_ENGINE[engine];
  const format = formats[precision];
  if (format === undefined) {
    throw new KvmarkError("usage", `${KV_ENGINE_TITLES[engine]} has no ${precision} KV cache`, {
      hint: `--precision can be ${Object.keys(formats).join(", ")}`,
    });
  }
  return format;
}

/** True if an engine has a KV cache of that precision. */
export function hasFormat(precision: Precision, engine?: KvEngine): boolean {
  return engine === undefined || BY_ENGINE[engine][precision] !== undefined;
}

/** Bytes of one key or one value with `elements` elements. */
export function vectorBytes(format: Format, elements: number): number {
  return Math.ceil(elements * format.bytesPerElement) + format.vectorBytes;
}
