/**
 * A server without a cache that warms up: its drift must not look like an effect of the hit rate.
 *
 * @module
 */

import assert from "node:assert/strict";
import { sweep } from "./support/sweep.ts";

/** Three times as fast in the end; what it computes does not depend on the prompt. */
const WARMING = [
  ...["--fault", "constant-latency", "--constant-ttft-ms", "20", "--itl-ms", "1"],
  ...["--warming-percent", "70", "--warming-seconds", "8"],
];
const RATES = ["0", "20", "40", "60", "80", "100"];

/** What the straight line through the points says of 100 % over 0 %. */
function gainOf(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)];
  const slope = mean(([x, y]) => (x - meanX) * (y - meanY)) / mean(([x]) => (x - meanX) ** 2);
  return (meanY + slope * (100 - meanX)) / (meanY - slope * meanX);
}

async function trend(order: string): Promise<{ trend: number; rates: string[] }> {
  const { summary, phases, stderr } = await sweep({
    simulate: WARMING,
    cacheRate: ["--cache-hit-rates", ...RATES, "--order", order, "--seed", "1"],
  });
  assert.equal(summary.length, RATES.length, stderr);
  const rates = phases.filter((row) => row.phase_type === "FIXED")
    .map((row) => row.cache_hit_rate!);
  const points = summary.map((row) =>
    [Number(row.cache_hit_rate), Number(row.input_tokens_per_sec)] as const
  );
  return { trend: gainOf(points), rates };
}

Deno.test("a warming server gains nothing from nominal hits in mixed order", async () => {
  const ascending = await trend("ascending");
  assert.deepEqual(ascending.rates, RATES);
  assert.ok(ascending.trend > 1.2, `ascending: ${ascending.trend}`);
  const mixed = await trend("mixed");
  assert.notDeepEqual(mixed.rates, RATES);
  assert.deepEqual(mixed.rates.toSorted((a, b) => Number(a) - Number(b)), RATES);
  const [bias, before] = [Math.abs(mixed.trend - 1), ascending.trend - 1];
  assert.ok(bias < before / 2, `mixed: ${mixed.trend}, ascending: ${ascending.trend}`);
  console.log(`gain at 100 % nominal hits: ascending ${ascending.trend}, mixed ${mixed.trend}`);
});
