import assert from "node:assert/strict";
import { endsMissed } from "./demo.ts";

const ENDS = [24_512, 48_512, 72_512];
function knee(low: number, high: number) {
  return { low, high };
}

Deno.test("endsMissed() finds an end where a knee holds it, and each knee counts once", () => {
  const [first, second, third] = [knee(24_000, 32_000), knee(48_000, 56_000), knee(72_000, 80_000)];
  assert.deepEqual(endsMissed(ENDS, [first, second, third]), []);
  assert.deepEqual(endsMissed(ENDS, [third, first]), [48_512]);
  assert.deepEqual(endsMissed(ENDS, []), ENDS);
  // One wide knee is not two ends.
  assert.deepEqual(endsMissed(ENDS, [knee(24_000, 56_000), third]), [48_512]);
});

Deno.test("endsMissed() takes a map with a knee where no tier ends for wrong as a whole", () => {
  const right = [knee(24_000, 32_000), knee(48_000, 56_000), knee(72_000, 80_000)];
  assert.deepEqual(endsMissed(ENDS, [...right, knee(60_000, 64_000)]), ENDS);
});
