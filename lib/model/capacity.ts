/**
 * What fits into a memory tier: tokens, and sessions of a length.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { KvSize } from "./kv_size.ts";

/** Sizes of the tiers, in bytes. */
export interface TierSizes {
  /** Memory of one GPU. */
  readonly hbmBytes?: number;
  /** Of it, what weights and everything else take on one GPU. @default {0} */
  readonly weightsBytes?: number;
  /** DRAM for KV blocks, of all GPUs together. */
  readonly dramBytes?: number;
  /** SSD for KV blocks, of all GPUs together. */
  readonly ssdBytes?: number;
}

/** What one tier holds. */
export interface TierCapacity {
  readonly tier: "HBM" | "DRAM" | "SSD";
  /** Bytes for KV blocks. */
  readonly bytes: number;
  /** Tokens of the pool; absent for a model that keeps nothing of a token. */
  readonly tokens?: number;
  /** Sessions of each length. */
  readonly sessions: readonly { readonly tokens: number; readonly sessions: number }[];
}

/**
 * What each of the given tiers holds.
 *
 * HBM is that of one GPU, with its share of the heads. Lower tiers hold what all GPUs store, every
 * token in every layer, since offloading stores blocks before a window passes over them.
 *
 * @throws {KvmarkError} `usage`, if the weights leave nothing of the HBM.
 */
export function tierCapacities(
  size: KvSize,
  tiers: TierSizes,
  lengths: readonly number[],
): readonly TierCapacity[] {
  const { tp = 1, batchSize = 1 } = size.options;
  const capacities: TierCapacity[] = [];
  if (tiers.hbmBytes !== undefined) {
    const bytes = tiers.hbmBytes - (tiers.weightsBytes ?? 0);
    if (bytes <= 0) {
      throw new KvmarkError("usage", "--weights leaves nothing of --hbm for the KV cache", {
        hint: "both are for one GPU: with --tp give the share of one GPU of the weights",
      });
    }
    const session = (tokens: number) => size.at(tokens).bytesPerGpu / batchSize;
    capacities.push(capacity("HBM", bytes, size.bytesPerTokenPerGpu, session, lengths));
  }
  const perToken = size.bytesPerTokenPerGpu * tp;
  const once = size.at(0).bytesPerGpu / batchSize * tp;
  const stored = (tokens: number) => once + tokens * perToken;
  for (const [tier, bytes] of [["DRAM", tiers.dramBytes], ["SSD", tiers.ssdBytes]] as const) {
    if (bytes !== undefined) capacities.push(capacity(tier, bytes, perToken, stored, lengths));
  }
  return capacities;
}

function capacity(
  tier: TierCapacity["tier"],
  bytes: number,
  bytesPerToken: number,
  sessionBytes: (tokens: number) => number,
  lengths: readonly number[],
): TierCapacity {
  return {
    tier,
    bytes,
    ...(bytesPerToken === 0 ? {} : { tokens: Math.floor(bytes / bytesPerToken) }),
    sessions: lengths.map((tokens) => ({
      tokens,
      sessions: Math.floor(bytes / sessionBytes(tokens)),
    })),
  };
}
