import assert from "node:assert/strict";
import fc from "fast-check";
import { workingSetCells, workingSetSizes } from "./working_set.ts";

Deno.test("workingSetSizes() gives the linear sizes of the Python suite to the token", () => {
  // [int(100000 + (5000000 - 100000) * i / 9) for i in range(10)], by Python 3.12
  assert.deepEqual(
    workingSetSizes({ minTokens: 100_000, maxTokens: 5_000_000, count: 10, scale: "linear" }),
    [100000, 644444, 1188888, 1733333, 2277777, 2822222, 3366666, 3911111, 4455555, 5000000],
  );
  assert.deepEqual(
    workingSetSizes({ minTokens: 7, maxTokens: 900, count: 1, scale: "linear" }),
    [7],
  );
});

Deno.test("workingSetSizes() holds both ends, grows, and has no size twice", () => {
  const tokens = fc.integer({ min: 1, max: 1e9 });
  fc.assert(
    fc.property(
      tokens,
      tokens,
      fc.integer({ min: 2, max: 60 }),
      fc.constantFrom("linear" as const, "log" as const),
      (a, b, count, scale) => {
        const range = { minTokens: Math.min(a, b), maxTokens: Math.max(a, b) };
        const sizes = workingSetSizes({ ...range, count, scale });
        assert.equal(sizes[0], range.minTokens);
        assert.equal(sizes.at(-1), range.maxTokens);
        assert.ok(sizes.length <= count);
        assert.ok(sizes.every((size, i) => Number.isInteger(size) && size > (sizes[i - 1] ?? 0)));
      },
    ),
  );
});

Deno.test("workingSetCells() names, warms and covers each pool", () => {
  const config = {
    contextSizes: [1000],
    workingSets: [2500, 8000],
    hitRates: [50, 100],
    reinitStrategy: "per_working_set",
    ensureCoverage: true,
  } as const;
  const cells = workingSetCells(config);
  assert.deepEqual(
    cells.map((
      { cellId, warmKey, peakKey, minRequests },
    ) => [cellId, warmKey, peakKey, minRequests]),
    [
      ["1000_2500_100", "1000_2500", "1000_100", 3],
      ["1000_2500_50", "1000_2500", "1000_50", 3],
      ["1000_8000_100", "1000_8000", "1000_100", 8],
      ["1000_8000_50", "1000_8000", "1000_50", 8],
    ],
  );
  const [each] = workingSetCells({ ...config, reinitStrategy: "per_test", ensureCoverage: false });
  assert.equal(each?.warmKey, undefined);
  assert.equal(each?.minRequests, undefined);
});
