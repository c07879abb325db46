import assert from "node:assert/strict";
import { cachingVerdict } from "./doctor.ts";
import { CAPABILITIES, type Capability, type CapabilityName, no, unknown, yes } from "./facts.ts";

function factsWith(prefixCaching: Capability) {
  const names = Object.keys(CAPABILITIES) as CapabilityName[];
  const all = Object.fromEntries(names.map((name) => [name, unknown("test")]));
  return {
    capabilities: { ...all, prefixCaching } as Record<CapabilityName, Capability>,
  };
}

function trials(...pairs: readonly (readonly [number | undefined, number | undefined])[]) {
  return pairs.map((ttftMs) => ({ ttftMs }));
}

Deno.test("cachingVerdict() believes counts, not times", () => {
  const slow = trials([100, 100], [100, 100]);
  assert.equal(cachingVerdict(factsWith(yes("counts")), slow).works, "yes");
  const fast = trials([100, 10], [100, 10]);
  assert.equal(cachingVerdict(factsWith(no("counts")), fast).works, "no");
});

Deno.test("cachingVerdict() goes by times only where they are clear and there are no counts", () => {
  const blind = factsWith(unknown("no counts"));
  const cases = [
    [trials([100, 30], [90, 50]), "yes"],
    [trials([100, 95], [90, 99]), "no"],
    // One of the pairs disagrees.
    [trials([100, 30], [90, 85]), "unknown"],
    // In between.
    [trials([100, 75], [90, 70]), "unknown"],
    // Too fast to tell.
    [trials([10, 1], [10, 10]), "unknown"],
    // Not streamed.
    [trials([undefined, undefined]), "unknown"],
    [trials(), "unknown"],
  ] as const;
  for (const [given, works] of cases) {
    assert.equal(cachingVerdict(blind, given).works, works, JSON.stringify(given));
  }
});
