import assert from "node:assert/strict";
import {
  answerFault,
  type FaultName,
  FAULTS,
  faultsOf,
  formatFault,
  parseFault,
} from "./faults.ts";

Deno.test("parseFault() reads every fault, with and without a rate, and formatFault() prints it", () => {
  for (const name of Object.keys(FAULTS)) {
    assert.deepEqual(parseFault(name), { name, rate: 1 });
    assert.equal(formatFault(parseFault(`${name}:0.25`)), `${name}:0.25`);
  }
  for (
    const text of ["", "nope", "stall:0", "stall:2", "stall:x", "stall:", "stall:0.1:3", "toString"]
  ) {
    assert.throws(() => parseFault(text), RangeError, text);
  }
});

Deno.test("faultsOf() meets the share of the rate in any stretch of requests", () => {
  for (const rate of [0.01, 0.1, 0.25, 1 / 3, 0.5, 0.9]) {
    for (const start of [0, 17, 1000]) {
      let met = 0;
      for (let n = start; n < start + 200; n++) {
        if (faultsOf([{ name: "http-500", rate }], n).has("http-500")) met++;
      }
      assert.ok(Math.abs(met - 200 * rate) <= 1, `${rate} ${start} ${met}`);
    }
  }
  assert.ok(faultsOf([{ name: "stall", rate: 1 }], 5).has("stall"));
});

Deno.test("faultsOf() does not put all faults of one rate on the same requests", () => {
  const faults = [{ name: "http-500", rate: 0.1 }, { name: "stall", rate: 0.1 }] as const;
  const both = Array.from({ length: 100 }, (_, n) => faultsOf(faults, n).size === 2);
  assert.equal(both.filter(Boolean).length, 0);
});

Deno.test("answerFault() lets a reset win over a status", () => {
  const names = new Set<FaultName>(["http-500", "reset-mid-headers", "stall"]);
  assert.equal(answerFault(names), "reset-mid-headers");
  assert.equal(answerFault(new Set<FaultName>(["stall"])), undefined);
});
