import assert from "node:assert/strict";
import * as fc from "fast-check";
import { balancedOrder, orderCells, startingPeak, trendOf } from "./order.ts";

Deno.test("balancedOrder() keeps every value and leaves no trend, for 3 to 21 rates", () => {
  fc.assert(fc.property(fc.integer({ min: 3, max: 21 }), fc.string(), (count, seed) => {
    const rates = Array.from({ length: count }, (_, i) => Math.round(100 * i / (count - 1)));
    const order = balancedOrder(rates, seed);
    assert.deepEqual(order.toSorted((a, b) => a - b), rates);
    assert.deepEqual(balancedOrder(rates, seed), order);
    const bound = count === 3 ? 0.62 : count === 4 ? 0.3 : count < 7 ? 0.2 : 0.12;
    assert.ok(trendOf(order) <= bound, `${order}: ${trendOf(order)}`);
  }));
});

Deno.test("trendOf() is 1 for the ascending order", () => {
  assert.ok(Math.abs(trendOf([0, 25, 50, 75, 100]) - 1) < 1e-12);
});

const CELLS = [8000, 16000].flatMap((contextSizeTokens) =>
  [0, 25, 50, 75, 100].map((hitRatePercent) => ({
    cellId: `${contextSizeTokens}_${hitRatePercent}`,
    contextSizeTokens,
    hitRatePercent,
    anyOrder: true as const,
  }))
);

Deno.test("orderCells() mixes the rates within a context, and only on demand", () => {
  const ids = (cells: readonly { cellId: string }[]) => cells.map((cell) => cell.cellId);
  assert.deepEqual(ids(orderCells(CELLS, "ascending", "s")), ids(CELLS));
  const mixed = orderCells(CELLS, "mixed", "s");
  assert.notDeepEqual(ids(mixed), ids(CELLS));
  assert.deepEqual(ids(mixed).toSorted(), ids(CELLS).toSorted());
  assert.deepEqual(mixed.map((cell) => cell.contextSizeTokens), [
    ...Array(5).fill(8000),
    ...Array(5).fill(16000),
  ]);
  const fixed = CELLS.map(({ anyOrder: _, ...cell }) => cell);
  assert.deepEqual(ids(orderCells(fixed, "mixed", "s")), ids(CELLS));
});

Deno.test("startingPeak() never begins at the peak of a higher rate", () => {
  const searched = [
    { peakKey: "8000", hitRatePercent: 100, concurrency: 64 },
    { peakKey: "8000", hitRatePercent: 25, concurrency: 8 },
    { peakKey: "8000", hitRatePercent: 0, concurrency: 4 },
  ];
  const at = (hitRatePercent: number, peakKey = "8000") =>
    startingPeak(searched, { peakKey, hitRatePercent });
  assert.equal(at(50), 8);
  assert.equal(at(100), 64);
  assert.equal(
    startingPeak(searched.slice(0, 1), { peakKey: "8000", hitRatePercent: 50 }),
    undefined,
  );
  assert.equal(at(50, "16000"), undefined);
});
