import assert from "node:assert/strict";
import { randomStream, seedFor } from "../random.ts";
import { clusterBounds } from "./clusters.ts";

function around(centreMs: number, count: number, spread: number, seed: number): number[] {
  const stream = randomStream(seedFor("clusters", seed, centreMs));
  const draw = () => stream.nextFloat() + stream.nextFloat() + stream.nextFloat();
  // Three even numbers: nearly normal, of variance 1/4.
  const normal = () => (draw() - 1.5) * 2;
  return Array.from({ length: count }, () => centreMs * Math.exp(spread * normal()));
}

Deno.test("clusterBounds() parts hits from misses, whatever their shares", () => {
  for (const [hits, misses] of [[100, 100], [400, 20], [20, 400]] as const) {
    const [bound, ...more] = clusterBounds([
      ...around(380, hits, 0.05, 1),
      ...around(1690, misses, 0.02, 2),
    ]);
    assert.deepEqual(more, []);
    assert.ok(bound !== undefined && bound > 500 && bound < 1500, String(bound));
  }
});

Deno.test("clusterBounds() finds four tiers, of which three lie close together", () => {
  const bounds = clusterBounds([30, 60, 120, 500].flatMap((ms) => around(ms, 80, 0.06, ms)));
  assert.equal(bounds.length, 3);
  for (const [i, [below, above]] of [[30, 60], [60, 120], [120, 500]].entries()) {
    const bound = bounds[i] ?? NaN;
    assert.ok(bound > (below ?? 0) * 1.2 && bound < (above ?? 0) / 1.2, String(bounds));
  }
});

Deno.test("clusterBounds() sees one cluster in noise, tails, slopes and few slow requests", () => {
  for (let seed = 0; seed < 20; seed++) {
    assert.deepEqual(clusterBounds(around(100, 300, 0.05, seed)), [], "narrow");
    assert.deepEqual(clusterBounds(around(100, 300, 0.6, seed)), [], "wide");
    const stream = randomStream(seedFor("slope", seed));
    const even = Array.from({ length: 300 }, () => 100 * 20 ** stream.nextFloat());
    assert.deepEqual(clusterBounds(even), [], "even");
    const late = [...around(100, 300, 0.05, seed), ...around(800, 5, 0.05, seed)];
    assert.deepEqual(clusterBounds(late), [], "stragglers");
  }
  assert.deepEqual(clusterBounds([]), []);
  assert.deepEqual(clusterBounds([1, 2, 3]), []);
});
