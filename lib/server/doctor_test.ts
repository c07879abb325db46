import assert from "node:assert/strict";
import { cachingVerdict, offsetFrom } from "./doctor.ts";
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

Deno.test("offsetFrom() holds the truth within its uncertainty, whatever the delay", () => {
  const serverAheadMs = 4321;
  for (
    const [sentMs, delayThereMs, delayBackMs] of [[1000, 5, 5], [1999, 400, 3], [1500, 0, 900]]
  ) {
    const stampedMs = sentMs! + delayThereMs! + serverAheadMs;
    const date = new Date(Math.floor(stampedMs / 1000) * 1000).toUTCString();
    const found = offsetFrom(date, sentMs!, delayThereMs! + delayBackMs!);
    assert.ok(found);
    assert.ok(Math.abs(found.offsetMs - serverAheadMs) <= found.uncertaintyMs);
  }
});

Deno.test("offsetFrom() says nothing without a readable header", () => {
  assert.equal(offsetFrom(null, 0, 1), undefined);
  assert.equal(offsetFrom("yesterday", 0, 1), undefined);
});
