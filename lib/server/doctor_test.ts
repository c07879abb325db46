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

/** Five pairs about these. */
function five(cold: number, cached: number) {
  return trials(...[0.98, 1, 1.02, 0.99, 1.01].map((by) => [cold * by, cached / by] as const));
}

Deno.test("cachingVerdict() lets counts and times contradict each other, and decides by neither", () => {
  const slow = cachingVerdict(factsWith(yes("counts")), five(100, 100));
  assert.equal(slow.works, "yes");
  assert.match(slow.evidence, /counts; but repeated prompts take 100 % .* contradict/);
  // 112 ms cold and 12.6 ms cached is not "no prefix caching".
  const fast = cachingVerdict(factsWith(no("usage reports 0 as cached")), five(112, 12.6));
  assert.equal(fast.works, "unknown");
  assert.match(fast.evidence, /reports 0 .* take 11 % .*5 prompts\): they contradict each other/);
  assert.equal(cachingVerdict(factsWith(no("counts")), five(100, 100)).works, "no");
  // Too few pairs for a word against the counts.
  assert.equal(cachingVerdict(factsWith(no("counts")), trials([100, 10], [100, 10])).works, "no");
});

Deno.test("cachingVerdict() goes by times where there are no counts, if they are clear", () => {
  const blind = factsWith(unknown("no counts"));
  const mixed = trials([100, 20], [90, 85], [95, 30], [100, 90], [100, 20]);
  const cases = [
    [five(100, 40), "yes"],
    [five(100, 97), "no"],
    [mixed, "unknown"],
    // In between.
    [five(100, 75), "unknown"],
    // Too fast to tell.
    [five(10, 1), "unknown"],
    // Not streamed.
    [trials([undefined, undefined]), "unknown"],
    [trials(), "unknown"],
  ] as const;
  for (const [given, works] of cases) {
    assert.equal(cachingVerdict(blind, given).works, works, JSON.stringify(given));
  }
});
