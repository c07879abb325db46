/**
 * How often the tier map claims a knee that is not there, and how often it finds one that is: rows
 * of simulated runs, in memory, of many seeds.
 *
 *     deno run -A scripts/tier_map_rates.ts [seeds]
 *
 * @module
 */

import type { TierMap } from "../lib/results/tier_map_file.ts";
import { logSizes, type TestRun, testRun } from "../lib/tiers/test_rows.ts";
import { buildTierMap } from "../lib/tiers/tier_map.ts";

const TIERS = [
  { tokens: 60_000, ttftMs: 20 },
  { tokens: 200_000, ttftMs: 40 },
  { tokens: 600_000, ttftMs: 100 },
];
const ENDS = [60_000, 260_000, 860_000];
const ENDLESS = { tiers: [{ tokens: 1e9, ttftMs: 20 }] };
const NOISY = { withinNoise: 0.15, betweenNoise: 0.05, stragglers: 0.02 };

const SHAPES: Readonly<Record<string, Partial<TestRun>>> = {
  "flat": ENDLESS,
  "noisy (20 % from size to size)": {
    ...ENDLESS,
    withinNoise: 0.3,
    betweenNoise: 0.2,
    stragglers: 0.05,
  },
  "sloped (TTFT as √size)": { ...ENDLESS, betweenNoise: 0.03, slope: 0.5 },
  "steep (TTFT as size)": { ...ENDLESS, withinNoise: 0.02, betweenNoise: 0.01, slope: 1 },
  "one tier": { tiers: TIERS.slice(0, 1) },
  "two tiers": { tiers: TIERS.slice(0, 2) },
  "three tiers": { tiers: TIERS },
  "three tiers, noisy": { tiers: TIERS, ...NOISY },
};
/** A knee this far from any end of a tier is none. */
const FAR = 0.25;

interface Tally {
  curves: number;
  spurious: number;
  found: number;
  missed: number;
  held: number;
  worst: number;
}

function add(tally: Tally, map: TierMap, ends: readonly number[]): void {
  tally.curves++;
  const nearest = (tokens: number) =>
    ends.reduce((best, end) => Math.min(best, Math.abs(tokens / end - 1)), Infinity);
  const holds = (end: number) => map.knees.some((knee) => knee.low <= end && end <= knee.high);
  // A step is an interval of the sweep, so it is right if the end lies in it, however wide.
  const right = map.knees.filter((knee) =>
    nearest(knee.workingSetTokens) <= FAR ||
    ends.some((end) => knee.low <= end && end <= knee.high)
  );
  tally.spurious += map.knees.length - right.length;
  tally.found += right.length;
  tally.missed += Math.max(0, ends.length - right.length);
  tally.held += ends.filter(holds).length;
  for (const knee of right) tally.worst = Math.max(tally.worst, nearest(knee.workingSetTokens));
}

function row(name: string, tally: Tally): string {
  const percent = (part: number, whole: number) =>
    whole === 0 ? "–" : `${(100 * part / whole).toFixed(1)} %`;
  return `| ${
    [
      name,
      tally.curves,
      tally.spurious,
      percent(tally.found, tally.found + tally.missed),
      percent(tally.held, tally.found),
      tally.found === 0 ? "–" : `${(100 * tally.worst).toFixed(0)} %`,
    ].join(" | ")
  } |`;
}

const seeds = Number(Deno.args[0] ?? 100);
for (const order of ["cyclic", "random"] as const) {
  console.log(`\n### ${order} access\n`);
  console.log("| curve | curves | spurious knees | found | held by the interval | worst error |");
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const [name, shape] of Object.entries(SHAPES)) {
    const tally: Tally = { curves: 0, spurious: 0, found: 0, missed: 0, held: 0, worst: 0 };
    const count = shape.tiers?.[0]?.tokens === 1e9 ? 0 : shape.tiers?.length ?? 0;
    for (const sizes of [10, 16, 30]) {
      for (let seed = 0; seed < seeds; seed++) {
        const run = testRun({
          seed,
          order,
          tiers: [],
          missMs: 500,
          sizes: logSizes(30_000, 1_300_000, sizes),
          requestsPerSize: 60,
          ...shape,
        });
        add(tally, buildTierMap(run), ENDS.slice(0, count));
      }
    }
    console.log(row(name, tally));
  }
}
