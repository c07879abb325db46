import assert from "node:assert/strict";
import fc from "fast-check";
import {
  brokenLimit,
  decide,
  type FinishedPeriod,
  fixedPolicy,
  type Limits,
  type Policy,
  rampPolicy,
  type RampSettings,
} from "./controller.ts";

const SETTINGS: RampSettings = {
  limits: { maxTtftMs: 2000 },
  startConcurrency: 2,
  concurrencyIncrement: 2,
  maxConcurrency: 1000,
  rampDurationMs: 60_000,
  testDurationMs: 3_600_000,
  retries: 3,
};

/** Runs a policy to its end against a server whose TTFT and throughput are functions of the level. */
function play(
  policy: Policy,
  ttftMs: (level: number, kind: string) => number | undefined,
  inputTokensPerSec: (level: number) => number = (level) => level,
  clientLimited: (level: number) => boolean = () => false,
) {
  const history: FinishedPeriod[] = [];
  const reasons: string[] = [];
  let elapsedMs = 0;
  for (;;) {
    const decision = decide(policy, history);
    if (decision.action === "stop") return { history, reasons, peak: decision.peak };
    const { period } = decision.step;
    reasons.push(decision.step.reason);
    elapsedMs += period.durationMs;
    const measured = ttftMs(period.concurrency, period.kind);
    history.push({
      ...period,
      ...(measured === undefined ? {} : { measuredTtftMs: measured }),
      inputTokensPerSec: inputTokensPerSec(period.concurrency),
      clientLimited: clientLimited(period.concurrency),
      elapsedMs,
    });
    assert.ok(history.length < 2000, "a policy has to end");
  }
}

function levels(history: readonly FinishedPeriod[]): number[] {
  return history.map((run) => run.concurrency);
}

function ids(history: readonly FinishedPeriod[]): string[] {
  return history.map((run) => run.periodId);
}

Deno.test("rampPolicy() takes steps that shrink with the headroom", () => {
  // 100 ms per request in flight: the limit of 2 s is met up to 20.
  const { history, peak } = play(rampPolicy(SETTINGS), (level) => level * 100);
  assert.deepEqual(levels(history), [2, 22, 12, 16, 18, 20, 20, 20, 20]);
  assert.deepEqual(ids(history).slice(1, 5), [
    "RAMP_c22",
    "RAMP_REFINE_c12_1",
    "RAMP_REFINE_c16_2",
    "RAMP_REFINE_c18_3",
  ]);
  assert.deepEqual(ids(history).slice(-3), ["RETRY_1", "RETRY_2", "RETRY_3"]);
  assert.equal(peak.concurrency, 20);
  assert.equal(peak.withinLimits, true);
});

Deno.test("rampPolicy() runs exactly the number of retries asked for", () => {
  for (const retries of [0, 1, 5]) {
    const { history } = play(rampPolicy({ ...SETTINGS, retries }), (level) => level * 100);
    assert.equal(history.filter((run) => run.kind === "RETRY").length, retries);
  }
});

Deno.test("rampPolicy() reports the level with the highest throughput, not the last good one", () => {
  const { peak } = play(
    rampPolicy(SETTINGS),
    (level) => level * 100,
    (level) => level === 12 ? 1000 : level,
  );
  assert.equal(peak.concurrency, 12);
});

Deno.test("rampPolicy() falls back from the peak of the cell before, which bounds the search from above", () => {
  const { history, peak } = play(
    rampPolicy({ ...SETTINGS, previousPeak: 40, retries: 0 }),
    (level) => level * 100,
  );
  assert.deepEqual(levels(history), [40, 20, 30, 24, 22, 10]);
  assert.equal(peak.concurrency, 20);
  assert.equal(peak.bound, "exact");
});

Deno.test("rampPolicy() ends at the start level with a reason where that already breaks the limit", () => {
  const { history, peak } = play(rampPolicy({ ...SETTINGS, retries: 1 }), () => 5000);
  assert.deepEqual(levels(history), [2, 2]);
  assert.equal(peak.withinLimits, false);
  assert.match(peak.reason, /no level met the limits \(TTFT 5\.000 s over 2\.000 s\)/);
  assert.equal(peak.bound, "exact", "there is no lower level to try");
});

Deno.test("rampPolicy() stops the ramp when the test duration is over, and still repeats the peak", () => {
  const { history } = play(
    rampPolicy({ ...SETTINGS, testDurationMs: 125_000, limits: {} }),
    () => 10,
  );
  // 60 + 60 s, then 5 s are left: less than a step is worth.
  assert.deepEqual(ids(history), ["RAMP_c2", "RAMP_c4", "RETRY_1", "RETRY_2", "RETRY_3"]);
});

Deno.test("rampPolicy() gets from 2 to 176 in the five levels that the defaults have time for", () => {
  const defaults = { ...SETTINGS, testDurationMs: 300_000, retries: 0 };
  const { history, peak, reasons } = play(rampPolicy(defaults), () => 100);
  assert.deepEqual(levels(history), [2, 22, 44, 88, 176]);
  assert.equal(peak.concurrency, 176);
  assert.deepEqual([peak.bound, peak.cutBy], ["lower", "test-duration"]);
  assert.equal(reasons[2], "next: 44, 95 % of the TTFT limit left");
});

Deno.test("rampPolicy() calls the peak exact where throughput was seen to flatten or to fall", () => {
  const cut = { ...SETTINGS, testDurationMs: 300_000, retries: 0 };
  const bound = (rate: (level: number) => number, settings: RampSettings = cut) => {
    const { peak } = play(rampPolicy(settings), () => 100, rate);
    return [peak.concurrency, peak.bound, peak.cutBy];
  };
  assert.deepEqual(bound((level) => Math.min(level, 50)), [176, "exact", undefined]);
  assert.deepEqual(bound((level) => level > 100 ? 50 : level), [88, "exact", undefined]);
  assert.deepEqual(bound((level) => level), [176, "lower", "test-duration"]);
  const low = { ...cut, maxConcurrency: 60 };
  assert.deepEqual(bound((level) => level, low), [60, "lower", "max-concurrency"]);
  assert.deepEqual(bound((level) => Math.min(level, 20), low), [60, "exact", undefined]);
  const unlimited = { ...cut, limits: {}, maxConcurrency: 8 };
  assert.deepEqual(bound((level) => level, unlimited), [8, "lower", "max-concurrency"]);
});

Deno.test("rampPolicy() repeats the next lower good level where the repeats break a limit", () => {
  const lucky = (level: number, kind: string) => kind === "RETRY" ? level * 108 : level * 100;
  const { history, peak, reasons } = play(rampPolicy(SETTINGS), lucky);
  const repeats = history.filter((run) => run.kind === "RETRY");
  assert.deepEqual(levels(repeats), [20, 20, 20, 18, 18, 18]);
  assert.equal(new Set(ids(history)).size, history.length);
  assert.deepEqual([peak.concurrency, peak.withinLimits, peak.bound], [18, true, "exact"]);
  assert.match(peak.reason, /the repeats at 20 broke a limit \(TTFT 2\.160 s over 2\.000 s\)/);
  assert.match(reasons.at(-3) ?? "", /next: repeat 1 of 3 at 18: the repeats at 20 broke/);
});

Deno.test("rampPolicy() says so where every level that it repeats breaks the limit", () => {
  const { history, peak } = play(
    rampPolicy(SETTINGS),
    (level, kind) => kind === "RETRY" ? 3000 : level * 100,
  );
  const repeats = history.filter((run) => run.kind === "RETRY");
  assert.equal(new Set(levels(repeats)).size, 4, "four levels at most");
  assert.equal(peak.withinLimits, false);
  assert.ok(levels(repeats).includes(peak.concurrency ?? NaN));
  assert.match(peak.reason, /^outside the limits \(TTFT 3\.000 s over 2\.000 s\)/);
});

Deno.test("rampPolicy() judges the repeats together, not one by one", () => {
  const history: FinishedPeriod[] = [];
  const policy = rampPolicy({ ...SETTINGS, maxConcurrency: 2 });
  for (let n = 0;; n++) {
    const decision = decide(policy, history);
    if (decision.action === "stop") {
      assert.deepEqual([n, decision.peak.withinLimits], [4, true]);
      break;
    }
    // The second repeat alone breaks the limit; the pool of its requests does not.
    history.push({
      ...decision.step.period,
      measuredTtftMs: n === 2 ? 2500 : 1000,
      inputTokensPerSec: 1,
      clientLimited: false,
      elapsedMs: n,
      pooled: { measuredTtftMs: n >= 2 ? 1400 : 1000, inputTokensPerSec: 1 },
    });
  }
});

Deno.test("rampPolicy() calls a peak a lower bound where the client limited the levels above it", () => {
  const { peak } = play(
    rampPolicy({ ...SETTINGS, retries: 0 }),
    (level) => level * 100,
    (level) => level,
    (level) => level > 12,
  );
  assert.deepEqual([peak.concurrency, peak.bound, peak.cutBy], [12, "lower", "client"]);
});

Deno.test("rampPolicy() runs the maximum itself before it stops", () => {
  const { history, peak } = play(
    rampPolicy({ ...SETTINGS, maxConcurrency: 7, retries: 0 }),
    () => 1,
  );
  assert.deepEqual(levels(history), [2, 7]);
  assert.equal(peak.concurrency, 7);
});

Deno.test("rampPolicy() never makes a period in which the client was the limit the peak", () => {
  const { peak } = play(
    rampPolicy({ ...SETTINGS, retries: 0 }),
    (level) => level * 100,
    (level) => level,
    (level) => level > 12,
  );
  assert.equal(peak.concurrency, 12);
});

Deno.test("rampPolicy() treats a period without a success as beyond the limits", () => {
  const { peak } = play(
    rampPolicy({ ...SETTINGS, retries: 0 }),
    (level) => level > 2 ? undefined : 100,
  );
  assert.equal(peak.concurrency, 2);
});

Deno.test("rampPolicy() ends, keeps to the range and finds a level within the limits if there is one", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: 20, max: 400 }),
      fc.integer({ min: 0, max: 400 }),
      fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
      (start, increment, max, capacity, previousPeak) => {
        const policy = rampPolicy({
          ...SETTINGS,
          startConcurrency: start,
          concurrencyIncrement: increment,
          maxConcurrency: max,
          testDurationMs: 1e12,
          ...(previousPeak === undefined ? {} : { previousPeak }),
        });
        const limits: Limits = SETTINGS.limits;
        const { history, peak } = play(policy, (level) => level <= capacity ? 1000 : 3000);
        for (const run of history) {
          assert.ok(run.concurrency >= Math.min(start, max) && run.concurrency <= max);
        }
        const met = history.filter((run) => brokenLimit(run, limits) === undefined);
        assert.equal(peak.withinLimits, start <= capacity);
        if (met.length > 0) {
          const best = Math.max(...met.map((run) => run.concurrency));
          assert.equal(peak.concurrency, best);
          assert.ok(best === max || best > capacity - 2 * increment, `${best} of ${capacity}`);
        }
      },
    ),
  );
});

Deno.test("fixedPolicy() runs each level once and then its repeats", () => {
  const policy = fixedPolicy({ levels: [4, 8], durationMs: 1000, retries: 1, limits: {} });
  const { history, peak } = play(policy, () => 10);
  assert.deepEqual(ids(history), [
    "FIXED_c4_run0",
    "FIXED_c4_RETRY_1",
    "FIXED_c8_run0",
    "FIXED_c8_RETRY_1",
  ]);
  assert.equal(peak.concurrency, 8);
});

Deno.test("fixedPolicy() pools the periods of a level: a lucky one makes no level good", () => {
  const policy = fixedPolicy({
    levels: [4, 8, 8],
    durationMs: 1000,
    retries: 1,
    limits: { maxTtftMs: 50 },
  });
  let count = 0;
  const { history, peak } = play(policy, (level) => level === 8 && ++count > 1 ? 90 : 10);
  assert.equal(history.length, 4, "a level that was given twice is run once");
  assert.deepEqual([peak.concurrency, peak.withinLimits], [4, true]);
  assert.deepEqual([peak.bound, peak.cutBy], ["lower", "levels"], "5 to 7 were not tried");
});

Deno.test("fixedPolicy() makes no claim about a peak from one given level", () => {
  const settings = { durationMs: 1000, retries: 1, limits: {} };
  const one = play(fixedPolicy({ ...settings, levels: [8] }), () => 10).peak;
  assert.deepEqual([one.concurrency, one.bound], [8, undefined]);
  const rising = play(fixedPolicy({ ...settings, levels: [4, 8] }), () => 10).peak;
  assert.deepEqual([rising.bound, rising.cutBy], ["lower", "levels"]);
  const flat = play(fixedPolicy({ ...settings, levels: [4, 8] }), () => 10, () => 7).peak;
  assert.equal(flat.bound, "exact");
});

Deno.test("fixedPolicy() ends at the first level that breaks a limit and reports a better one", () => {
  const policy = fixedPolicy({
    levels: [4, 8, 16],
    durationMs: 1000,
    retries: 0,
    limits: { maxTtftMs: 50 },
  });
  const { history, peak } = play(policy, (level) => level * 10);
  assert.deepEqual(levels(history), [4, 8]);
  assert.equal(peak.concurrency, 4);
});

Deno.test("brokenLimit() names the decode rate that is too low", () => {
  const observed = { measuredTtftMs: 1, decodeRatePerSec: 9, clientLimited: false, elapsedMs: 0 };
  assert.match(brokenLimit(observed, { minDecodeRatePerSec: 10 }) ?? "", /9\.0 tokens\/s .* 10/);
});
