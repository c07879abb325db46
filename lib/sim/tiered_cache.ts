/**
 * A KV cache of up to three tiers with the rules of vLLM's block manager, without any timing.
 *
 * - HBM is one pool of blocks. Blocks in use are counted by reference; blocks that nobody uses
 *   stay cached until their place is needed, least recently used first, the end of a prefix
 *   before its beginning.
 * - A block is in one tier at a time. What HBM evicts moves to DRAM (or SSD where there is no
 *   DRAM), what DRAM evicts moves to SSD, what the last tier evicts is gone. So the server keeps
 *   the *sum* of the tiers.
 * - A hit in a lower tier moves the block to HBM.
 * - A block is visible to other requests from the moment that its prefill chunk is scheduled.
 * - At least the last token of a prompt is recomputed: at most `floor((n - 1) / block)` blocks hit.
 *
 * @module
 */

import { LruMap } from "./lru.ts";

/** The tiers, fastest first. */
export const TIERS = ["hbm", "dram", "ssd"] as const;
/** A tier of the simulated server. */
export type TierName = (typeof TIERS)[number];
/** A count of tokens for each tier. */
export type TokensByTier = Readonly<Record<TierName, number>>;

/** Sizes of the cache. */
export interface CacheSettings {
  readonly blockTokens: number;
  /** Capacity of the pool of blocks; 0 = the pool has no limit and keeps nothing. */
  readonly hbmTokens: number;
  /** 0 = no such tier, here and below. */
  readonly dramTokens: number;
  readonly ssdTokens: number;
}

interface Block {
  /** Key that other requests find the block by; absent while its content is private. */
  key: number | undefined;
  references: number;
  /** A promoted block can be used from here on; `Infinity` until the engine has set it. */
  readyAtMs: number;
}

/** The blocks that a running request holds. */
export interface Lease {
  readonly blocks: readonly Block[];
  /** Tokens that were found, by the tier they were found in. */
  readonly cached: TokensByTier;
  /** When a read that another request began, and that this one shares, is over. */
  readonly sharedReadReadyAtMs: number;
}

interface OwnedLease extends Lease {
  readonly blocks: Block[];
  readonly keys: readonly number[];
  /** Blocks that are registered (or known as duplicates), from the start. */
  published: number;
  readonly promoted: readonly Block[];
}

/** What a request needs from the cache. */
export interface LeaseRequest {
  /** Keys of the full blocks; may grow while the lease is held. Empty = do not use the cache. */
  readonly keys: readonly number[];
  /** Tokens that need a place at once: the prompt, or the prompt and what was generated. */
  readonly tokens: number;
  /** False: blocks below HBM are no hits. @default {true} */
  readonly loadsLowerTiers?: boolean;
}

/** The cache. See the module's text for its rules. */
export class TieredCache {
  readonly settings: CacheSettings;
  readonly #registered = new Map<number, Block>();
  readonly #idle = new LruMap<Block>();
  readonly #lower: readonly { readonly name: TierName; readonly tier: LowerTier }[];
  readonly #poolBlocks: number;
  #usedBlocks = 0;

  constructor(settings: CacheSettings) {
    this.settings = settings;
    const blocks = (tokens: number) => Math.floor(tokens / settings.blockTokens);
    this.#poolBlocks = settings.hbmTokens === 0 ? Infinity : blocks(settings.hbmTokens);
    this.#lower = [
      { name: "dram" as const, tier: new LowerTier(blocks(settings.dramTokens)) },
      { name: "ssd" as const, tier: new LowerTier(blocks(settings.ssdTokens)) },
    ].filter(({ tier }) => tier.capacityBlocks > 0);
  }

  /**
   * Takes the blocks that a request needs: hits are pinned or promoted, the rest is reserved.
   *
   * @returns The lease, or `undefined` (and nothing changed) if the pool has no room now.
   */
  acquire(request: LeaseRequest): Lease | undefined {
    const { blockTokens } = this.settings;
    const hits = this.#findHits(request);
    const totalBlocks = Math.ceil(request.tokens / blockTokens);
    const shared = hits.filter((hit) => (hit.block?.references ?? 0) > 0).length;
    if (this.#usedBlocks + totalBlocks - shared > this.#poolBlocks) return undefined;
    const cached = { hbm: 0, dram: 0, ssd: 0 };
    let sharedReadReadyAtMs = -Infinity;
    // Everything that is hit leaves the eviction order first: making room must not evict it.
    for (const { key, tier, block } of hits) {
      cached[tier] += blockTokens;
      if (block !== undefined) {
        this.#pin(block);
        sharedReadReadyAtMs = Math.max(sharedReadReadyAtMs, block.readyAtMs);
      } else {
        this.#takeFromLower(key);
      }
    }
    const promoted: Block[] = [];
    const blocks = hits.map(({ key, block }) => {
      if (block !== undefined) return block;
      const fresh = this.#allocate(Infinity);
      this.#register(fresh, key);
      promoted.push(fresh);
      return fresh;
    });
    while (blocks.length < totalBlocks) blocks.push(this.#allocate(-Infinity));
    const lease: OwnedLease = {
      blocks,
      cached,
      sharedReadReadyAtMs,
      keys: request.keys,
      published: hits.length,
      promoted,
    };
    return lease;
  }

  /** Says when the reads that a lease began are over. */
  setReadReady(lease: Lease, readyAtMs: number): void {
    for (const block of (lease as OwnedLease).promoted) block.readyAtMs = readyAtMs;
  }

  /** Makes the full blocks among the first `tokens` tokens visible to other requests. */
  publish(lease: Lease, tokens: number): void {
    const owned = lease as OwnedLease;
    const fullBlocks = Math.floor(tokens / this.settings.blockTokens);
    for (; owned.published < fullBlocks; owned.published++) {
      const key = owned.keys[owned.published];
      const block = owned.blocks[owned.published];
      if (key === undefined || block === undefined) return;
      if (!this.#registered.has(key)) this.#register(block, key);
    }
  }

  /** Makes room for `tokens` tokens; false if the pool has no block left. */
  grow(lease: Lease, tokens: number): boolean {
    const { blocks } = lease as OwnedLease;
    const wanted = Math.ceil(tokens / this.settings.blockTokens);
    if (this.#usedBlocks + wanted - blocks.length > this.#poolBlocks) return false;
    while (blocks.length < wanted) blocks.push(this.#allocate(-Infinity));
    return true;
  }

  /** Gives the blocks back. What is published stays cached, its beginning longest. */
  release(lease: Lease): void {
    const owned = lease as OwnedLease;
    for (let i = owned.blocks.length - 1; i >= 0; i--) {
      const block = owned.blocks[i] as Block;
      if (--block.references > 0) continue;
      this.#usedBlocks--;
      const key = i < owned.published ? owned.keys[i] : undefined;
      if (block.key === undefined && key !== undefined && !this.#registered.has(key)) {
        // A duplicate outlived the copy that was registered first.
        this.#register(block, key);
      }
      if (block.key === undefined) continue;
      if (this.settings.hbmTokens === 0) this.#evict(block);
      else this.#idle.set(block.key, block);
    }
    owned.blocks.length = 0;
  }

  /**
   * Forgets what is cached: HBM, and the lower tiers too with `external`.
   *
   * @returns False (HBM is left as it is) while requests hold blocks, as in vLLM.
   */
  reset(external: boolean): boolean {
    if (external) { for (const { tier } of this.#lower) tier.clear(); }
    if (this.#usedBlocks > 0) return false;
    this.#registered.clear();
    this.#idle.clear();
    return true;
  }

  /** Share of the HBM pool that requests hold, 0 to 1. */
  usedShare(): number {
    return this.#usedBlocks / this.#poolBlocks;
  }

  /** Tokens that each tier keeps and would find again. */
  residentTokens(): TokensByTier {
    const { blockTokens } = this.settings;
    const lower = (name: TierName) =>
      (this.#lower.find((entry) => entry.name === name)?.tier.size ?? 0) * blockTokens;
    return { hbm: this.#registered.size * blockTokens, dram: lower("dram"), ssd: lower("ssd") };
  }

  #findHits(
    { keys, tokens, loadsLowerTiers = true }: LeaseRequest,
  ): { key: number; tier: TierName; block: Block | undefined }[] {
    const limit = Math.min(keys.length, Math.floor((tokens - 1) / this.settings.blockTokens));
    const hits = [];
    for (let i = 0; i < limit; i++) {
      const key = keys[i] as number;
      const block = this.#registered.get(key);
      const tier = block !== undefined
        ? "hbm"
        : loadsLowerTiers
        ? this.#lower.find((entry) => entry.tier.has(key))?.name
        : undefined;
      if (tier === undefined) break;
      hits.push({ key, tier, block });
    }
    return hits;
  }

  #pin(block: Block): void {
    if (block.references++ > 0) return;
    this.#usedBlocks++;
    if (block.key !== undefined) this.#idle.delete(block.key);
  }

  #allocate(readyAtMs: number): Block {
    if (this.#usedBlocks + this.#idle.size >= this.#poolBlocks) {
      const oldest = this.#idle.oldest();
      const block = oldest === undefined ? undefined : this.#idle.get(oldest);
      if (block === undefined) throw new Error("the pool of KV blocks is overdrawn");
      this.#evict(block);
    }
    this.#usedBlocks++;
    return { key: undefined, references: 1, readyAtMs };
  }

  #register(block: Block, key: number): void {
    block.key = key;
    this.#registered.set(key, block);
    this.#takeFromLower(key);
  }

  #evict(block: Block): void {
    if (block.key === undefined) return;
    this.#idle.delete(block.key);
    this.#registered.delete(block.key);
    let key: number | undefined = block.key;
    for (const { tier } of this.#lower) {
      if (key === undefined) return;
      key = tier.insert(key);
    }
  }

  #takeFromLower(key: number): void {
    for (const { tier } of this.#lower) tier.delete(key);
  }
}

/** Keys of the blocks in a tier below HBM, least recently used first. */
class LowerTier {
  readonly #keys = new LruMap<true>();

  constructor(readonly capacityBlocks: number) {}

  get size(): number {
    return this.#keys.size;
  }

  has(key: number): boolean {
    return this.#keys.has(key);
  }

  delete(key: number): void {
    this.#keys.delete(key);
  }

  clear(): void {
    this.#keys.clear();
  }

  /** Adds a block as the newest; returns the one that had to leave for it. */
  insert(key: number): number | undefined {
    this.#keys.set(key, true);
    if (this.#keys.size <= this.capacityBlocks) return undefined;
    const oldest = this.#keys.oldest() as number;
    this.#keys.delete(oldest);
    return oldest;
  }
}
