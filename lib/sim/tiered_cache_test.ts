import assert from "node:assert/strict";
import fc from "fast-check";
import { blockKeys } from "./block_hash.ts";
import { type CacheSettings, type Lease, TieredCache } from "./tiered_cache.ts";

const BLOCK = 16;

function prompt(id: number, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, i) => id * 100_000 + i);
}

function cacheOf(sizes: Partial<CacheSettings> = {}): TieredCache {
  return new TieredCache({
    blockTokens: BLOCK,
    hbmTokens: 640,
    dramTokens: 0,
    ssdTokens: 0,
    ...sizes,
  });
}

function acquire(cache: TieredCache, tokens: number[]): Lease {
  const lease = cache.acquire({ keys: blockKeys(tokens, BLOCK), tokens: tokens.length });
  assert.ok(lease !== undefined);
  return lease;
}

/** Runs a prompt from start to end and returns where its tokens were found. */
function serve(cache: TieredCache, tokens: number[]): { hbm: number; dram: number; ssd: number } {
  const lease = acquire(cache, tokens);
  cache.publish(lease, tokens.length);
  const cached = { ...lease.cached };
  cache.release(lease);
  return cached;
}

Deno.test("acquire() finds whole blocks and leaves at least one token to compute", () => {
  const cache = cacheOf();
  assert.deepEqual(serve(cache, prompt(1, 100)), { hbm: 0, dram: 0, ssd: 0 });
  assert.equal(serve(cache, prompt(1, 100)).hbm, 96);
  assert.equal(serve(cache, prompt(1, 97)).hbm, 96);
  assert.equal(serve(cache, prompt(1, 96)).hbm, 80);
  assert.equal(serve(cache, prompt(1, 16)).hbm, 0);
  assert.equal(serve(cache, prompt(1, 1)).hbm, 0);
});

Deno.test("publish() shows a block as soon as its chunk is scheduled, not before", () => {
  const cache = cacheOf();
  const first = acquire(cache, prompt(1, 100));
  assert.equal(acquire(cache, prompt(1, 100)).cached.hbm, 0);
  cache.publish(first, 40);
  assert.equal(acquire(cache, prompt(1, 100)).cached.hbm, 32);
});

Deno.test("release() lets the end of a prefix go before its beginning", () => {
  const cache = cacheOf({ hbmTokens: 160 });
  serve(cache, prompt(1, 96));
  // 6 of 10 blocks are cached; 7 new ones evict the last 3 of the old prompt.
  serve(cache, prompt(2, 112));
  assert.equal(serve(cache, prompt(1, 96)).hbm, 48);
});

Deno.test("a cyclic scan over more than the tiers hold falls from all hits to none", () => {
  for (
    const [sizes, capacity] of [[{ hbmTokens: 640 }, 640], [{ dramTokens: 640 }, 1280]] as const
  ) {
    const fits = cacheOf(sizes);
    const count = capacity / 160;
    const scan = (cache: TieredCache, prompts: number) => {
      let found = 0;
      for (let i = 0; i < prompts; i++) {
        const { hbm, dram, ssd } = serve(cache, prompt(i, 160));
        found += hbm + dram + ssd;
      }
      return found;
    };
    assert.equal(scan(fits, count), 0);
    // The last of the ten blocks is recomputed; its twin is dropped, so nothing is displaced.
    if (capacity === 640) assert.ok(scan(fits, count - 1) > 0);
    const over = cacheOf(sizes);
    scan(over, count + 2);
    assert.equal(scan(over, count + 2), 0);
  }
});

Deno.test("tiers: eviction demotes block by block, a hit promotes, the last tier forgets", () => {
  const cache = cacheOf({ hbmTokens: 64, dramTokens: 64, ssdTokens: 64 });
  serve(cache, prompt(1, 64));
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 0, ssd: 0 });
  serve(cache, prompt(2, 64));
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 64, ssd: 0 });
  serve(cache, prompt(3, 64));
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 64, ssd: 64 });
  // Prompt 1 went down to the SSD as a whole; three of its four blocks may be reused.
  assert.deepEqual(serve(cache, prompt(1, 64)), { hbm: 0, dram: 0, ssd: 48 });
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 64, ssd: 64 });
  // The recomputed last block took the place of its own copy, which was pushed down for a moment.
  assert.deepEqual(serve(cache, prompt(1, 64)), { hbm: 48, dram: 0, ssd: 0 });
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 48, ssd: 64 });
  serve(cache, prompt(4, 64));
  serve(cache, prompt(5, 64));
  serve(cache, prompt(6, 64));
  assert.deepEqual(serve(cache, prompt(2, 64)), { hbm: 0, dram: 0, ssd: 0 });
});

Deno.test("tiers: without DRAM blocks go from HBM to the SSD", () => {
  const cache = cacheOf({ hbmTokens: 64, ssdTokens: 64 });
  serve(cache, prompt(1, 64));
  serve(cache, prompt(2, 64));
  assert.deepEqual(serve(cache, prompt(1, 64)), { hbm: 0, dram: 0, ssd: 48 });
});

Deno.test("tiers: without HBM nothing is kept in the pool, and DRAM serves the hits", () => {
  const cache = cacheOf({ hbmTokens: 0, dramTokens: 640 });
  serve(cache, prompt(1, 64));
  assert.deepEqual(cache.residentTokens(), { hbm: 0, dram: 64, ssd: 0 });
  assert.deepEqual(serve(cache, prompt(1, 64)), { hbm: 0, dram: 48, ssd: 0 });
  assert.deepEqual(cache.residentTokens(), { hbm: 0, dram: 64, ssd: 0 });
  assert.equal(cache.usedShare(), 0);
});

Deno.test("acquire() does not evict what it is about to promote", () => {
  const cache = cacheOf({ hbmTokens: 64, dramTokens: 32 });
  serve(cache, prompt(1, 64));
  serve(cache, prompt(2, 32)); // evicts blocks 4 and 3 of prompt 1 into DRAM
  assert.deepEqual(cache.residentTokens(), { hbm: 64, dram: 32, ssd: 0 });
  // Blocks 1, 2 in HBM, 3 in DRAM; the room comes from prompt 2, which is pushed down.
  assert.deepEqual(serve(cache, prompt(1, 64)), { hbm: 32, dram: 16, ssd: 0 });
});

Deno.test("acquire() refuses without a change when the pool is in use", () => {
  const cache = cacheOf({ hbmTokens: 64 });
  const held = acquire(cache, prompt(1, 48));
  cache.publish(held, 48);
  assert.equal(cache.acquire({ keys: blockKeys(prompt(2, 32), BLOCK), tokens: 32 }), undefined);
  assert.equal(cache.usedShare(), 0.75);
  // A prompt that shares the held blocks does fit: two shared, one of its own.
  const twin = acquire(cache, prompt(1, 48));
  assert.equal(twin.cached.hbm, 32);
  assert.equal(cache.usedShare(), 1);
  assert.equal(cache.grow(held, 49), false);
  cache.release(twin);
  assert.equal(cache.grow(held, 49), true);
  assert.equal(cache.usedShare(), 1);
});

Deno.test("a shared read is shared: a second request waits for the same instant", () => {
  const cache = cacheOf({ hbmTokens: 128, dramTokens: 128 });
  serve(cache, prompt(1, 128));
  serve(cache, prompt(2, 128));
  const first = acquire(cache, prompt(1, 64));
  assert.equal(first.cached.dram, 48);
  cache.setReadReady(first, 700);
  const second = acquire(cache, prompt(1, 64));
  assert.deepEqual(second.cached, { hbm: 48, dram: 0, ssd: 0 });
  assert.equal(second.sharedReadReadyAtMs, 700);
});

Deno.test("a duplicate block stays cached when the copy that was first is gone", () => {
  const cache = cacheOf({ hbmTokens: 128 });
  const first = acquire(cache, prompt(1, 32));
  const second = acquire(cache, prompt(1, 32));
  cache.publish(first, 32);
  cache.publish(second, 32);
  cache.release(first);
  serve(cache, prompt(2, 96)); // needs all that is not in use
  cache.release(second);
  assert.equal(serve(cache, prompt(1, 32)).hbm, 16);
});

Deno.test("reset() forgets HBM, keeps lower tiers unless asked, and refuses while blocks are held", () => {
  const cache = cacheOf({ hbmTokens: 64, dramTokens: 640 });
  serve(cache, prompt(1, 64));
  serve(cache, prompt(2, 64));
  assert.equal(cache.reset(false), true);
  assert.deepEqual(cache.residentTokens(), { hbm: 0, dram: 64, ssd: 0 });
  const held = acquire(cache, prompt(3, 16));
  assert.equal(cache.reset(true), false);
  assert.equal(cache.residentTokens().dram, 0);
  cache.release(held);
  assert.equal(cache.reset(true), true);
});

Deno.test("TieredCache agrees with a plain list model on any sequence of prompts", () => {
  const tier = fc.integer({ min: 0, max: 6 });
  const requests = fc.array(
    fc.record({ id: fc.nat(4), blocks: fc.integer({ min: 1, max: 4 }), rest: fc.nat(15) }),
    { maxLength: 40 },
  );
  fc.assert(fc.property(tier, tier, requests, (dram, ssd, sequence) => {
    const capacity = { hbm: 5, dram, ssd };
    const cache = cacheOf({ hbmTokens: 80, dramTokens: dram * 16, ssdTokens: ssd * 16 });
    const lists: Record<"hbm" | "dram" | "ssd", number[]> = { hbm: [], dram: [], ssd: [] };
    for (const { id, blocks, rest } of sequence) {
      const tokens = prompt(id, blocks * BLOCK + rest);
      assert.deepEqual(serve(cache, tokens), modelServe(lists, capacity, tokens));
      const resident = cache.residentTokens();
      for (const name of ["hbm", "dram", "ssd"] as const) {
        assert.equal(resident[name], lists[name].length * BLOCK, name);
      }
    }
  }));
});

/** One request at a time on lists that are ordered from the oldest to the newest. */
function modelServe(
  lists: Record<"hbm" | "dram" | "ssd", number[]>,
  capacity: Record<"hbm" | "dram" | "ssd", number>,
  tokens: number[],
): Record<"hbm" | "dram" | "ssd", number> {
  const names = ["hbm", "dram", "ssd"] as const;
  const keys = blockKeys(tokens, BLOCK);
  const found = { hbm: 0, dram: 0, ssd: 0 };
  for (const key of keys.slice(0, Math.floor((tokens.length - 1) / BLOCK))) {
    const name = names.find((tier) => lists[tier].includes(key));
    if (name === undefined) break;
    found[name] += BLOCK;
    lists[name] = lists[name].filter((other) => other !== key);
  }
  // In use: the prompt's own blocks. What is cached beside them has to make room.
  const idle = lists.hbm;
  const hits = (found.hbm + found.dram + found.ssd) / BLOCK;
  const push = (start: number, evicted: number) => {
    let key: number | undefined = evicted;
    for (const name of names.slice(start)) {
      if (key === undefined || capacity[name] === 0) continue;
      lists[name].push(key);
      key = lists[name].length > capacity[name] ? lists[name].shift() : undefined;
    }
  };
  const wanted = Math.ceil(tokens.length / BLOCK);
  while (idle.length + wanted > capacity.hbm) push(1, idle.shift() as number);
  // The blocks that were computed may still be cached under the same key: one copy is enough.
  const computed = keys.slice(hits);
  for (const name of ["dram", "ssd"] as const) {
    lists[name] = lists[name].filter((key) => !computed.includes(key));
  }
  for (const key of [...keys].reverse()) if (!idle.includes(key)) idle.push(key);
  return found;
}

Deno.test("acquire() without loads finds what HBM holds, and computes the rest again", () => {
  const cache = cacheOf({ hbmTokens: 160, dramTokens: 640 });
  serve(cache, prompt(1, 96));
  serve(cache, prompt(2, 112));
  const request = { keys: blockKeys(prompt(1, 96), BLOCK), tokens: 96 };
  const lease = cache.acquire({ ...request, loadsLowerTiers: false });
  assert.deepEqual(lease?.cached, { hbm: 48, dram: 0, ssd: 0 });
  cache.publish(lease!, 96);
  cache.release(lease!);
  assert.equal(cache.acquire(request)?.cached.hbm, 80, "what was computed again is in HBM");
});
