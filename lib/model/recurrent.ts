/**
 * The states of recurrent layers: what hybrids keep once for a sequence.
 *
 * Sizes are those that vLLM allocates (`MambaStateShapeCalculator`); the last inputs of a causal
 * convolution are one fewer than its kernel.
 *
 * @module
 */

import type { StateRule } from "./architectures.ts";
import { type ConfigReader, MOST } from "./config_reader.ts";
import type { SequenceState } from "./shape.ts";

type Elements = Omit<SequenceState, "layers">;

/** The state of `layers` recurrent layers. */
export function stateOf(rule: StateRule, reader: ConfigReader, layers: number): SequenceState {
  return { ...RULES[rule](reader), layers };
}

const RULES: Readonly<Record<StateRule, (reader: ConfigReader) => Elements>> = {
  mamba1,
  mamba2,
  delta,
  kda,
  lightning,
  conv,
  rglru,
};

function mamba1(reader: ConfigReader): Elements {
  const hidden = reader.required(MOST.dim, "hidden_size");
  const expand = reader.optional(64, "mamba_expand", "expand") ?? 2;
  const inner = expand * hidden;
  const size = reader.required(MOST.dim, "mamba_d_state", "state_size");
  return {
    name: "Mamba",
    convElements: inner * (kernel(reader, "mamba_d_conv", "conv_kernel") - 1),
    recurrentElements: inner * size,
    recurrentFp32: wantsFp32(reader),
  };
}

function mamba2(reader: ConfigReader): Elements {
  const heads = reader.required(
    MOST.heads,
    ...["mamba_n_heads", "mamba_num_heads", "n_mamba_heads", "num_heads"],
  );
  const size = reader.required(MOST.dim, "mamba_d_state", "ssm_state_size", "state_size");
  const groups = reader.optional(MOST.heads, "mamba_n_groups", "n_groups", "mamba_ngroups") ?? 1;
  const inner = mambaInner(reader, heads);
  const kept = kernel(reader, "mamba_d_conv", "conv_kernel") - 1;
  return {
    name: "Mamba-2",
    convElements: inner * kept,
    convGroups: { groups, elementsPerGroup: 2 * size * kept },
    recurrentElements: inner * size,
    recurrentFp32: wantsFp32(reader),
  };
}

/** Heads × size of a head; `auto` divides the expanded hidden size among the heads. */
function mambaInner(reader: ConfigReader, heads: number): number {
  // The head_dim of a hybrid is that of its attention; pure Mamba-2 has no other.
  const own = reader.raw("num_heads") === undefined ? [] : ["head_dim"];
  for (const name of ["mamba_d_head", "mamba_head_dim", "mamba_headdim", ...own]) {
    const value = reader.raw(name);
    if (value !== undefined && value !== "auto") return heads * reader.required(MOST.dim, name);
    if (value === "auto") break;
  }
  const hidden = reader.required(MOST.dim, "hidden_size");
  return reader.optional(MOST.dim, "mamba_d_ssm") ??
    hidden * (reader.optional(64, "mamba_expand", "expand") ?? 2);
}

/** Gated DeltaNet of Qwen3-Next. */
function delta(reader: ConfigReader): Elements {
  const keyHeads = reader.required(MOST.heads, "linear_num_key_heads");
  const valueHeads = reader.required(MOST.heads, "linear_num_value_heads");
  const keyDim = reader.required(MOST.dim, "linear_key_head_dim");
  const valueDim = reader.required(MOST.dim, "linear_value_head_dim");
  return {
    name: "gated DeltaNet",
    convElements: (2 * keyHeads * keyDim + valueHeads * valueDim) *
      (kernel(reader, "linear_conv_kernel_dim") - 1),
    recurrentElements: valueHeads * valueDim * keyDim,
    recurrentFp32: wantsFp32(reader),
  };
}

/** Kimi Delta Attention, whose state is always in fp32. */
function kda(reader: ConfigReader): Elements {
  const own = reader.object("linear_attn_config") ?? reader;
  const heads = own.required(MOST.heads, "num_heads", "linear_num_heads");
  const dim = own.required(MOST.dim, "head_dim", "linear_head_dim");
  return {
    name: "Kimi Delta Attention",
    convElements: 3 * heads * dim *
      (kernel(own, "short_conv_kernel_size", "linear_conv_kernel_dim") - 1),
    recurrentElements: heads * dim * dim,
    recurrentFp32: true,
  };
}

function lightning(reader: ConfigReader): Elements {
  const heads = reader.required(MOST.heads, "num_attention_heads");
  const dim = reader.optional(MOST.dim, "head_dim") ??
    Math.floor(reader.required(MOST.dim, "hidden_size") / heads);
  return {
    name: "lightning attention",
    convElements: 0,
    recurrentElements: heads * dim * dim,
    recurrentFp32: true,
  };
}

/** Gated short convolution of LFM2: no recurrent state at all. */
function conv(reader: ConfigReader): Elements {
  const hidden = reader.required(MOST.dim, "conv_dim", "hidden_size");
  return {
    name: "short convolution",
    convElements: hidden * (kernel(reader, "conv_L_cache") - 1),
    recurrentElements: 0,
    recurrentFp32: false,
  };
}

/** RG-LRU of RecurrentGemma. */
function rglru(reader: ConfigReader): Elements {
  const width = reader.required(MOST.dim, "lru_width", "hidden_size");
  return {
    name: "RG-LRU",
    convElements: width * (kernel(reader, "conv1d_width") - 1),
    recurrentElements: width,
    recurrentFp32: true,
  };
}

function kernel(reader: ConfigReader, ...names: readonly string[]): number {
  return reader.optional(1024, ...names) ?? 4;
}

function wantsFp32(reader: ConfigReader): boolean {
  return [reader.raw("mamba_ssm_dtype"), reader.raw("mamba_ssm_cache_dtype")].includes("float32");
}
