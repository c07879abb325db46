import assert from "node:assert/strict";
import { denoHost } from "../host.ts";
import { readRun } from "../results/read.ts";
import type { RunData } from "../results/schema.ts";
import { parseTierMap, type TierMap } from "../results/tier_map_file.ts";
import { knownCapacityRun } from "../../tests/support/known_capacity.ts";
import { logSizes, type TestRun, testRun } from "./test_rows.ts";
import { buildTierMap } from "./tier_map.ts";

const TIERS = [
  { tokens: 60_000, ttftMs: 20 },
  { tokens: 200_000, ttftMs: 40 },
  { tokens: 600_000, ttftMs: 100 },
];
const ENDS = [60_000, 260_000, 860_000];
const ENDLESS = [{ tokens: 1e9, ttftMs: 20 }];
const SIZES = logSizes(30_000, 1_300_000, 16);
const CYCLIC: TestRun = { seed: 1, order: "cyclic", tiers: TIERS, missMs: 500, sizes: SIZES };
const RANDOM: TestRun = { ...CYCLIC, order: "random", requestsPerSize: 60 };

function mapOf(options: Partial<TestRun>): TierMap {
  return buildTierMap(testRun({ ...CYCLIC, ...options }));
}

function names(map: TierMap): string[] {
  return map.tiers.map((tier) => tier.name);
}

/** How many of the knees hold one of the true ends, and how many hold none. */
function judged(map: TierMap, ends: readonly number[]): { right: number; wrong: number } {
  const holds = map.knees.map((knee) => ends.some((end) => knee.low <= end && end <= knee.high));
  return { right: holds.filter((one) => one).length, wrong: holds.filter((one) => !one).length };
}

for (const reportsCached of [false, true]) {
  const proof = reportsCached ? "with" : "without";

  Deno.test(`buildTierMap() finds one, two and three tiers in steps, ${proof} cached counts`, () => {
    for (let seed = 0; seed < 5; seed++) {
      for (const count of [1, 2, 3]) {
        const map = mapOf({ seed, reportsCached, tiers: TIERS.slice(0, count) });
        assert.deepEqual(judged(map, ENDS.slice(0, count)), { right: count, wrong: 0 });
        assert.deepEqual(names(map), [...["HBM", "DRAM", "SSD"].slice(0, count), "recompute"]);
        assert.ok(map.knees.every((knee) => knee.method === "step"));
        assert.equal(map.tiers.at(-1)?.namedBy, reportsCached ? "cached tokens" : "order");
        assert.equal(map.series[0]?.reachesRecompute, "yes");
      }
    }
  });

  Deno.test(`buildTierMap() fits one, two and three tiers under random access, ${proof} counts`, () => {
    let [right, wrong] = [0, 0];
    for (let seed = 0; seed < 5; seed++) {
      for (const count of [1, 2, 3]) {
        const map = mapOf({ ...RANDOM, seed, reportsCached, tiers: TIERS.slice(0, count) });
        assert.equal(map.knees.length, count, map.evidence.join("\n"));
        assert.ok(map.knees.every((knee) => knee.method === "fit"));
        map.knees.forEach((knee, i) => {
          assert.ok(Math.abs(knee.workingSetTokens / (ENDS[i] ?? NaN) - 1) < 0.15);
        });
        const found = judged(map, ENDS.slice(0, count));
        [right, wrong] = [right + found.right, wrong + found.wrong];
      }
    }
    // The intervals are of 95 %.
    assert.ok(wrong <= 4, `${wrong} of ${right + wrong} intervals miss the truth`);
  });
}

const KNEELESS: Readonly<Record<string, Partial<TestRun>>> = {
  flat: {},
  noisy: { withinNoise: 0.3, betweenNoise: 0.2, stragglers: 0.05 },
  sloped: { withinNoise: 0.05, betweenNoise: 0.03, slope: 0.5 },
  steep: { withinNoise: 0.02, betweenNoise: 0.01, slope: 1 },
};

Deno.test("buildTierMap() claims no knee in flat, noisy and sloped curves", () => {
  const claimed: string[] = [];
  for (const [name, shape] of Object.entries(KNEELESS)) {
    for (const order of ["cyclic", "random"] as const) {
      for (let seed = 0; seed < 20; seed++) {
        const options = { ...shape, seed, order, tiers: ENDLESS, requestsPerSize: 25 };
        const map = mapOf({ ...options, sizes: logSizes(30_000, 600_000, 8 + seed) });
        if (map.knees.length > 0) claimed.push(`${name}, ${order}, seed ${seed}`);
      }
    }
  }
  // docs/tier-map.md: of thousands of such curves fewer than one in 500 is given a knee.
  assert.ok(claimed.length <= 1, claimed.join("\n"));
});

Deno.test("buildTierMap() claims no step where hits and misses mix, whatever the options say", () => {
  for (let seed = 0; seed < 10; seed++) {
    const run = testRun({ ...RANDOM, seed, tiers: TIERS.slice(0, 1) });
    const declared = { ...run, config: { parameters: { access_order: "cyclic" } } };
    assert.deepEqual(buildTierMap(declared).knees, []);
    const unknown = buildTierMap(
      testRun({ ...RANDOM, seed, tiers: TIERS.slice(0, 1), orderUnknown: true }),
    );
    assert.deepEqual(unknown.knees.map((knee) => knee.method), ["fit"]);
    const zipf = { ...run, config: { parameters: { "access-order": "zipf" } } };
    assert.deepEqual(buildTierMap(zipf).knees, []);
  }
});

Deno.test("buildTierMap() says that the sets never reach recompute, and by what proof", () => {
  const counted = mapOf({ tiers: ENDLESS, reportsCached: true });
  assert.equal(counted.series[0]?.reachesRecompute, "no");
  assert.match(counted.evidence.join("\n"), /never reaches recompute: 100 % of what can be found/);
  const blind = mapOf({ ...RANDOM, tiers: ENDLESS });
  assert.equal(blind.series[0]?.reachesRecompute, "unknown");
  assert.match(blind.evidence.join("\n"), /served from one place.*the rows do not show/);
  assert.deepEqual(names(blind), ["cache"]);
  const computed = mapOf({ tiers: [], reportsCached: true });
  assert.deepEqual([names(computed), computed.series[0]?.reachesRecompute], [["recompute"], "yes"]);
  const rising = mapOf({ tiers: ENDLESS, slope: 0.5 });
  assert.equal(rising.series[0]?.reachesRecompute, "unknown");
});

Deno.test("buildTierMap() gives capacities, read speeds and the cost of a miss", () => {
  const map = mapOf({ sizes: logSizes(30_000, 1_300_000, 30), reportsCached: true });
  const capacities = map.tiers.map((tier) => tier.capacity?.tokens ?? NaN);
  [60_000, 200_000, 600_000].forEach((tokens, i) => {
    assert.ok(Math.abs((capacities[i] ?? NaN) / tokens - 1) < 0.1, `${capacities}`);
    const { low = NaN, high = NaN } = map.tiers[i]?.capacity ?? {};
    assert.ok(low <= tokens && tokens <= high);
  });
  assert.deepEqual(map.tiers.map((tier) => tier.capacity?.reading), [
    "same",
    "unknown",
    "unknown",
    undefined,
  ]);
  // Of inclusive tiers the knees themselves are the capacities.
  assert.equal(map.tiers[1]?.capacity?.ifInclusiveTokens, map.knees[1]?.workingSetTokens);
  const [hbm, dram, ssd] = map.tiers;
  assert.equal(hbm?.bandwidth, undefined);
  assert.ok(Math.abs((dram?.bandwidth?.tokensPerSec ?? NaN) / (1999 / 0.02) - 1) < 0.15);
  assert.ok(Math.abs((ssd?.bandwidth?.tokensPerSec ?? NaN) / (1999 / 0.08) - 1) < 0.15);
  assert.ok(Math.abs((ssd?.missCostMs ?? NaN) / 400 - 1) < 0.1);
  const sized = buildTierMap(testRun(CYCLIC), { bytesPerToken: 2 ** 20 });
  const { gib = NaN, tokens = NaN } = sized.tiers[0]?.capacity ?? {};
  assert.ok(Math.abs(gib * 1024 / tokens - 1) < 1e-5);
});

Deno.test("buildTierMap() counts generated tokens and unique text in the capacity", () => {
  const wide = { sizes: logSizes(20_000, 800_000, 30), reportsCached: true };
  const generated = mapOf({ ...wide, tiers: TIERS.slice(0, 1), outputTokens: 1000 });
  assert.ok(Math.abs((generated.tiers[0]?.capacity?.tokens ?? NaN) / 60_000 - 1) < 0.08);
  assert.ok(Math.abs((generated.knees[0]?.workingSetTokens ?? NaN) / 40_000 - 1) < 0.08);
  const half = mapOf({
    ...RANDOM,
    ...wide,
    tiers: [{ tokens: 200_000, ttftMs: 20 }],
    hitRatePercent: 50,
  });
  assert.ok(Math.abs((half.knees[0]?.workingSetTokens ?? NaN) / 200_000 - 1) < 0.12, half.headline);
});

Deno.test("buildTierMap() reads the server's stated capacities as exclusive or inclusive tiers", () => {
  const stated = (...tokens: number[]) => ({
    facts: {
      tiers: (["HBM", "DRAM", "SSD"] as const).map((name, i) => ({
        name,
        capacityTokens: tokens[i] ?? NaN,
        evidence: "test",
      })),
    },
  });
  const run = testRun(CYCLIC);
  const exclusive = buildTierMap(run, stated(60_000, 200_000, 600_000));
  assert.ok(exclusive.tiers.slice(0, 3).every((tier) => tier.namedBy === "stated capacities"));
  assert.equal(exclusive.tiers[1]?.capacity?.reading, "exclusive");
  assert.equal(exclusive.tiers[1]?.capacity?.statedTokens, 200_000);
  const inclusive = buildTierMap(run, stated(60_000, 260_000, 860_000));
  assert.equal(inclusive.tiers[1]?.capacity?.reading, "inclusive");
  assert.equal(inclusive.tiers[1]?.capacity?.tokens, inclusive.knees[1]?.workingSetTokens);
  const hidden = buildTierMap(
    testRun({ ...CYCLIC, sizes: logSizes(80_000, 600_000, 12) }),
    stated(60_000, 200_000, 600_000),
  );
  // HBM ends below the smallest set: what ends at the end of DRAM is both together.
  assert.deepEqual([hidden.tiers[0]?.name, hidden.knees[0]?.from], ["cache", "cache"]);
  const other = buildTierMap(run, stated(500_000, 5_000_000, 9_000_000));
  assert.match(other.evidence.join("\n"), /agrees with no capacity that the server states/);
  // A map that is made again from the folder keeps what the server stated.
  const again = buildTierMap({ ...run, tierMap: exclusive });
  assert.deepEqual(again, exclusive);
});

Deno.test("buildTierMap() names plateaus by the server's counters, before anything else", () => {
  const run = testRun({ ...CYCLIC, tiers: TIERS.slice(0, 2) });
  const served = (workingSetTokens: number) =>
    workingSetTokens < 60_000 ? { DRAM: 1000, HBM: 10 } : { SSD: 1000, DRAM: 20 };
  const map = buildTierMap(run, {
    facts: {
      hitsByTier: SIZES.map((workingSetTokens) => ({
        contextSizeTokens: 2000,
        hitRatePercent: 100,
        workingSetTokens,
        tokens: served(workingSetTokens),
      })),
    },
  });
  assert.deepEqual(
    map.tiers.map((tier) => [tier.name, tier.namedBy]),
    [["DRAM", "server counters"], ["SSD", "server counters"], ["recompute", "order"]],
  );
  assert.equal(map.tiers[0]?.capacity, undefined, "with or without what is above it?");
});

/** A server with 60k tokens in HBM and a tier below it that counts hits, on a busy machine. */
function offloading(seed: number, counts: boolean, stated = true): TierMap {
  const run = testRun({
    ...CYCLIC,
    seed,
    tiers: [{ tokens: 60_000, ttftMs: 100 }, { tokens: 200_000, ttftMs: 115 }],
    withinNoise: 0.4,
    betweenNoise: 0.25,
    requestsPerSize: 40,
    reportsCached: true,
  });
  const hitsByTier = SIZES.filter((tokens) => counts && tokens <= 260_000).map((tokens) => ({
    contextSizeTokens: 2000,
    hitRatePercent: 100,
    workingSetTokens: tokens,
    tokens: tokens <= 60_000 ? { HBM: 1000, offload: 0 } : { HBM: 8, offload: 992 },
  }));
  const tiers = stated ? [{ name: "HBM" as const, capacityTokens: 60_000, evidence: "s" }] : [];
  return buildTierMap(run, { facts: { tiers, hitsByTier } });
}

Deno.test("buildTierMap() finds a knee by the counters of hits by tier, whatever TTFT does", () => {
  for (let seed = 0; seed < 20; seed++) {
    const map = offloading(seed, true);
    assert.deepEqual(names(map), ["HBM", "offload", "recompute"], map.evidence.join("\n"));
    assert.deepEqual(judged(map, ENDS.slice(0, 2)), { right: 2, wrong: 0 });
    assert.ok(map.knees[0]?.signals.includes("counters"));
    assert.equal(map.tiers[1]?.namedBy, "server counters");
    assert.match(map.evidence.join("\n"), /counters HBM serves 100 % of the hits at .* 0.8 % at/);
  }
});

Deno.test("buildTierMap() does not name HBM what ends where no stated capacity does", () => {
  for (let seed = 0; seed < 5; seed++) {
    const map = offloading(seed, false);
    assert.equal(map.tiers.at(-1)?.name, "recompute");
    const ends = map.knees.filter((knee) => knee.from === "HBM");
    assert.ok(ends.every((knee) => knee.low <= 66_000 && knee.high >= 54_000), map.headline);
    assert.ok(!map.evidence.join(" ").includes("the server gives no evidence"));
  }
  assert.equal(offloading(0, false, false).tiers[0]?.name, "HBM", "by order, nothing is stated");
});

Deno.test("buildTierMap() makes no knee of a rise inside the tier that the counters name", () => {
  const tiers = [{ tokens: 60_000, ttftMs: 20 }, { tokens: 1e9, ttftMs: 40 }];
  const run = testRun({ ...CYCLIC, tiers, reportsCached: true });
  const hitsByTier = SIZES.map((tokens) => ({
    contextSizeTokens: 2000,
    hitRatePercent: 100,
    workingSetTokens: tokens,
    tokens: { HBM: 1000, DRAM: 0 },
  }));
  const map = buildTierMap(run, { facts: { hitsByTier } });
  assert.deepEqual([map.knees.length, names(map)], [0, ["HBM"]]);
  assert.match(map.evidence.join("\n"), /HBM serves both: not a knee/);
});

Deno.test("buildTierMap() compares like with like: one concurrency for all sizes", () => {
  const alone = testRun({ ...CYCLIC, tiers: TIERS.slice(0, 1) });
  const crowded = testRun({ ...CYCLIC, tiers: ENDLESS, concurrency: 8, sizes: SIZES.slice(0, 5) });
  const map = buildTierMap({ ...alone, details: [...crowded.details, ...alone.details] });
  assert.equal(map.series[0]?.concurrency, 1);
  assert.deepEqual(judged(map, ENDS.slice(0, 1)), { right: 1, wrong: 0 });
  const few = buildTierMap(testRun({ ...CYCLIC, sizes: SIZES.slice(0, 3) }));
  assert.deepEqual(few.knees, []);
  assert.match(few.evidence.join("\n"), /4 are needed for a knee/);
});

Deno.test("buildTierMap() says why it claims no knee where a step is likely", () => {
  const six = Array.from({ length: 6 }, (_, i) => 20_000 + 36_000 * i);
  const tiers = [{ tokens: 180_000, ttftMs: 20 }];
  for (const reportsCached of [false, true]) {
    const map = mapOf({ tiers, sizes: six, missMs: 60, reportsCached });
    // The server's own count needs one size beyond; TTFT alone needs two.
    assert.equal(map.knees.length, reportsCached ? 1 : 0, map.headline);
    const said =
      /A step between 164k and 200k tokens is likely .* one size lies beyond it, .* larger/;
    assert.equal(said.test(map.evidence.join("\n")), !reportsCached, map.evidence.join("\n"));
  }
  const first = mapOf({ tiers: [{ tokens: 30_000, ttftMs: 20 }], sizes: six, missMs: 60 });
  assert.match(first.evidence.join("\n"), /between 20k and 56k .* before it, .* smaller sizes/);
  const noisy = Array.from({ length: 20 }, (_, seed) => {
    const tier = { tokens: 100_000, ttftMs: 20 };
    return mapOf({ seed, tiers: [tier], sizes: six, missMs: 60, betweenNoise: 0.12 });
  }).filter((map) => map.knees.length === 0);
  const least = /scatters by \d+ % from size to size: of 6 sizes only a rise by \d+ % counts/;
  assert.ok(noisy.every((map) => least.test(map.evidence.join("\n"))));
  const some = /TTFT rises between 92k and 128k .*: not enough to stand out of the scatter/;
  assert.ok(noisy.some((map) => some.test(map.evidence.join("\n"))), noisy[0]?.evidence.join("\n"));
});

Deno.test("buildTierMap() says how to measure more where a size has too few requests", () => {
  const none = mapOf({ requestsPerSize: 2 });
  assert.equal(none.headline, "No tier map: too few requests at each working-set size");
  assert.deepEqual([none.tiers, none.knees, none.series[0]?.sizes], [[], [], []]);
  assert.match(none.evidence.join("\n"), /^None of the 16 .* has 5 answered .*--test-duration/);
  const few = testRun({ ...CYCLIC, sizes: SIZES.slice(0, 3) });
  const short = testRun({ ...CYCLIC, sizes: SIZES.slice(3), requestsPerSize: 2 });
  const some = buildTierMap({ ...few, details: [...few.details, ...short.details] });
  assert.deepEqual(some.knees, []);
  assert.match(some.evidence.join("\n"), /13 more have too few[^]*needs 5 answered .* longer/);
});

Deno.test("buildTierMap() gives the break-even length from several context sizes", () => {
  const runs = [3000, 4000, 6000, 8000].map((contextTokens) =>
    testRun({
      ...CYCLIC,
      contextTokens,
      // Loading: 40 ms and 10 µs a token. Computing: 30 µs a token.
      tiers: [{ tokens: 100_000, ttftMs: 40 + contextTokens * 0.01 }],
      missMs: contextTokens * 0.03,
      sizes: logSizes(40_000, 400_000, 12),
      withinNoise: 0.01,
      betweenNoise: 0.005,
    })
  );
  const run = { ...runs[0], details: runs.flatMap((one) => one.details) } as RunData;
  const [even] = buildTierMap(run).breakEven;
  assert.ok(even?.prefixTokens !== undefined, JSON.stringify(even));
  assert.ok(Math.abs(even.prefixTokens / 2000 - 1) < 0.25, JSON.stringify(even));
  const [one] = buildTierMap(testRun(CYCLIC)).breakEven;
  assert.equal(one?.prefixTokens, undefined);
  assert.match(one?.note ?? "", /needs 3 prefix lengths/);
});

Deno.test("buildTierMap() compares with prompts that share nothing, where the run has them", () => {
  const hits = testRun({ ...CYCLIC, tiers: TIERS.slice(0, 2) });
  const cold = testRun({ ...CYCLIC, tiers: [], hitRatePercent: 0, missMs: 2000 });
  const map = buildTierMap({ ...hits, details: [...cold.details, ...hits.details] });
  // The slowest plateau is four times as fast as a cold prompt: it is a tier, not recomputation.
  assert.deepEqual(names(map), ["HBM", "DRAM", "SSD"]);
  assert.equal(map.series.length, 1);
  const same = testRun({ ...CYCLIC, tiers: [], hitRatePercent: 0 });
  const known = buildTierMap({ ...hits, details: [...same.details, ...hits.details] });
  assert.equal(known.tiers.at(-1)?.namedBy, "cold requests");
});

Deno.test("buildTierMap() works without request rows, by what the summary has", () => {
  const { details, ...run } = testRun({ ...CYCLIC, reportsCached: true });
  const bySize = Map.groupBy(details, (row) => row.working_set_size);
  const summary = [...bySize].map(([working_set_size, rows]) => ({
    context_size: 2000,
    cache_hit_rate: 100,
    ...(working_set_size === undefined ? {} : { working_set_size }),
    peak_concurrency: rows.length,
    achievable_hit_rate: 99.95,
    observed_hit_rate: (rows[0]?.reported_cached_tokens ?? 0) / 20,
  }));
  const map = buildTierMap({ ...run, details: [], summary });
  assert.deepEqual(map.knees.map((knee) => [knee.to, knee.signals]), [["recompute", ["hit rate"]]]);
  assert.equal(map.series[0]?.concurrency, undefined);
  const none = buildTierMap({ ...run, details: [] });
  assert.deepEqual([none.series, none.knees], [[], []]);
});

Deno.test("buildTierMap() makes maps that tier_map.json can hold", () => {
  for (const options of [CYCLIC, RANDOM, { ...CYCLIC, sizes: [] }, { ...RANDOM, tiers: [] }]) {
    const map = buildTierMap(testRun(options));
    assert.deepEqual(parseTierMap(JSON.stringify(map)), map);
  }
});

// Folders that the Python suite wrote on GPU servers; they are not part of this repository.
const fixtures = Deno.env.get("KVMARK_FIXTURES");
const files = denoHost(import.meta.url).files;

Deno.test({
  name: "buildTierMap() finds the end of the cache in the DRAM folder of the Python suite",
  ignore: fixtures === undefined,
  async fn() {
    const map = buildTierMap(await readRun(files, `${fixtures}/python-working-set-dram`));
    const [knee, ...more] = map.knees;
    assert.ok(knee !== undefined && more.length === 0);
    assert.ok(knee.low >= 1_300_000 && knee.high <= 2_000_000, map.headline);
    assert.deepEqual([knee.method, knee.to, map.series[0]?.concurrency], ["fit", "recompute", 1]);
    assert.ok(knee.signals.includes("throughput"), map.evidence.join("\n"));
    assert.match(
      map.evidence.join("\n"),
      /Throughput of 30 periods at concurrency 3 to 15.*agrees/,
    );
    const recompute = map.tiers.at(-1)?.ttft;
    assert.ok(recompute !== undefined && recompute.low > 1600 && recompute.high < 1800);
  },
});

Deno.test({
  name: "buildTierMap() sees no recompute up to 5M tokens in the GDS folder of the Python suite",
  ignore: fixtures === undefined,
  async fn() {
    const map = buildTierMap(await readRun(files, `${fixtures}/python-working-set-gds-dram`));
    assert.deepEqual([map.knees, names(map)], [[], ["cache"]]);
    assert.equal(map.series[0]?.reachesRecompute, "unknown");
    assert.match(
      map.evidence.join("\n"),
      /up to 5\.06M tokens is served from one place.*throughput holds over all sizes/,
    );
  },
});

Deno.test("buildTierMap() finds capacities that are known, by whatever load they were measured", () => {
  for (const capacityTokens of [500_000, 1_700_000, 3_000_000]) {
    for (const order of ["random", "cyclic"] as const) {
      for (const load of [1, 8, "sustained"] as const) {
        for (const seed of [1, 2, 3]) {
          const map = buildTierMap(knownCapacityRun({ seed, order, capacityTokens, load }));
          const what = `${capacityTokens} ${order} ${load} ${seed}: ${map.headline}`;
          // Of sizes that all lie beyond it, and are computed one like the other, nothing is said.
          if (order === "cyclic" && capacityTokens < 600_000) {
            assert.deepEqual([map.knees, map.series[0]?.reachesRecompute], [[], "unknown"], what);
            continue;
          }
          assert.equal(map.series[0]?.reachesRecompute, "yes", what);
          const { tokens = NaN, low = NaN, high = NaN } = map.tiers[0]?.capacity ?? {};
          const isNear = Math.abs(tokens / capacityTokens - 1) <= 0.1;
          assert.ok(isNear || (low <= capacityTokens && capacityTokens <= high), what);
        }
      }
    }
  }
});

Deno.test("buildTierMap() sees no end of a cache that holds all, and does not call it proved", () => {
  for (const order of ["random", "cyclic"] as const) {
    for (const load of [1, 8, "sustained"] as const) {
      const map = buildTierMap(
        knownCapacityRun({ seed: 1, order, capacityTokens: Infinity, load }),
      );
      assert.deepEqual([map.knees, map.series[0]?.reachesRecompute], [[], "unknown"]);
      assert.ok((map.series[0]?.sizes.length ?? 0) > 4);
    }
  }
});

Deno.test("buildTierMap() says where clusters and throughput contradict each other", () => {
  const common = { seed: 1, order: "random" } as const;
  const alone = knownCapacityRun({ ...common, capacityTokens: 1_500_000, load: 1 });
  const loaded = knownCapacityRun({ ...common, capacityTokens: 3_000_000, load: 8 });
  const details = [
    ...alone.details,
    ...loaded.details.map((row) => ({ ...row, phase_id: `LOAD_${row.phase_id}` })),
  ];
  const map = buildTierMap({ ...alone, details });
  assert.equal(map.knees.length, 1, map.headline);
  assert.match(map.evidence.join("\n"), /The two do not agree/);
  const [knee] = map.knees;
  assert.ok((knee?.low ?? NaN) < 1_600_000 && (knee?.high ?? NaN) > 2_800_000, map.headline);
});

Deno.test("buildTierMap() counts padded prompts of the Python suite as it does", () => {
  const sizes = [4, 10, 20, 30, 40, 50].map((prompts) => prompts * 100_096);
  const run = knownCapacityRun({
    seed: 1,
    order: "random",
    capacityTokens: 1_700_000,
    load: 1,
    contextTokens: 100_096,
    sizes,
  });
  const named = run.details.map((row) => ({ ...row, context_size: 100_000 }));
  const summary = run.summary.map((row) => ({ ...row, context_size: 100_000 }));
  const map = buildTierMap({ ...run, summary, details: named });
  assert.deepEqual(map.series[0]?.sizes.map((size) => size.prompts), [4, 10, 20, 30, 40, 50]);
});

Deno.test("buildTierMap() takes clean clusters whose share follows no law for two tiers", () => {
  const run = knownCapacityRun({
    seed: 1,
    order: "random",
    capacityTokens: 1_700_000,
    load: 1,
  });
  // A neighbour takes turns with the cache: the share of hits goes up and down with the size.
  const details = run.details.map((row, i) => ({
    ...row,
    ttft: (i + Math.round((row.working_set_size ?? 0) / 64_000)) % 7 <
        ((row.working_set_size ?? 0) % 192_000 === 0 ? 5 : 1)
      ? 0.38 + i % 5 / 1000
      : 1.69 + i % 7 / 1000,
  }));
  const map = buildTierMap({ ...run, details: details.map(({ launch_time: _, ...row }) => row) });
  assert.deepEqual(map.knees, []);
  assert.equal(map.tiers.length, 2, map.evidence.join("\n"));
  const [hit, miss] = map.tiers.map((tier) => tier.ttft.ms);
  assert.ok(Math.abs((hit ?? NaN) - 382) < 5 && Math.abs((miss ?? NaN) - 1693) < 5);
});
