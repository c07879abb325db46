import assert from "node:assert/strict";
import fc from "fast-check";
import { type FinishedPeriod, rampPolicy, type RampSettings } from "./controller.ts";
import { levelsOf } from "./levels.ts";
import { brokenLimit } from "../metrics/peak.ts";

const LIMIT_MS = 2000;

/** A server by its two curves; `again` tells the repeats from the search. */
interface Server {
  readonly ttftMs: (level: number, again: boolean, n: number) => number | undefined;
  readonly rate: (level: number, n: number) => number;
}

function play(settings: RampSettings, server: Server) {
  const steps = rampPolicy(settings)();
  const history: FinishedPeriod[] = [];
  let next = steps.next();
  for (let elapsedMs = 0;;) {
    if (next.done) return { history, peak: next.value };
    const { period } = next.value;
    elapsedMs += period.durationMs;
    const n = history.length;
    const ttftMs = server.ttftMs(period.concurrency, period.kind === "RETRY", n);
    const finished = {
      ...period,
      ...(ttftMs === undefined ? {} : { measuredTtftMs: ttftMs }),
      inputTokensPerSec: server.rate(period.concurrency, n),
      clientLimited: false,
      elapsedMs,
    };
    history.push(finished);
    next = steps.next(finished);
    assert.ok(history.length < 1000, "a policy has to end");
  }
}

const anySettings = fc.record({
  startConcurrency: fc.integer({ min: 1, max: 20 }),
  concurrencyIncrement: fc.integer({ min: 1, max: 16 }),
  maxConcurrency: fc.integer({ min: 20, max: 400 }),
  testDurationMs: fc.constantFrom(60_000, 300_000, 3_600_000, 1e12),
  retries: fc.integer({ min: 0, max: 3 }),
  previousPeak: fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
}).map(({ previousPeak, ...rest }): RampSettings => ({
  ...rest,
  limits: { maxTtftMs: LIMIT_MS },
  rampDurationMs: 60_000,
  ...(previousPeak === undefined ? {} : { previousPeak }),
}));

/** Any curve at all: noise that depends on the level and on the period. */
const anyServer = fc.record({
  capacity: fc.integer({ min: 0, max: 500 }),
  noise: fc.double({ min: 0, max: 1.5, noNaN: true }),
  seed: fc.integer(),
  failsAbove: fc.integer({ min: 0, max: 800 }),
}).map(({ capacity, noise, seed, failsAbove }): Server => {
  const wobble = (level: number, n: number) => {
    const x = Math.sin(level * 12.9898 + n * 78.233 + seed) * 43758.5453;
    return 1 + noise * (x - Math.floor(x) - 0.5);
  };
  return {
    ttftMs: (level, _, n) =>
      level > failsAbove ? undefined : LIMIT_MS * level / (capacity + 0.5) * wobble(level, n),
    rate: (level, n) => Math.min(level, capacity) * wobble(level, n + 1),
  };
});

Deno.test("rampPolicy() on any server: it ends, keeps its range, and publishes what it says", () => {
  fc.assert(
    fc.property(anySettings, anyServer, (settings, server) => {
      const { history, peak } = play(settings, server);
      assert.ok(history.length > 0);
      const ids = history.map((run) => run.periodId);
      assert.equal(new Set(ids).size, ids.length, "ids are unique");
      const searched = history.filter((run) => run.kind !== "RETRY");
      const levels = searched.map((run) => run.concurrency);
      assert.equal(new Set(levels).size, levels.length, "no level of the search runs twice");
      for (const { concurrency } of history) {
        assert.ok(concurrency <= settings.maxConcurrency);
        assert.ok(concurrency >= Math.min(settings.startConcurrency, settings.maxConcurrency));
      }
      const published = levelsOf(history).find((one) => one.concurrency === peak.concurrency);
      assert.ok(published !== undefined);
      const broken = brokenLimit(published, settings.limits);
      assert.equal(peak.withinLimits, broken === undefined, "what is published, as it is said");
      if (settings.retries > 0) {
        const own = history.filter((run) =>
          run.kind === "RETRY" && run.concurrency === peak.concurrency
        );
        assert.equal(own.length, settings.retries, "what is published was repeated");
      }
      const repeated = new Set(
        history.filter((run) => run.kind === "RETRY")
          .map((run) => run.concurrency),
      );
      assert.ok(repeated.size <= 4);
      assert.ok(peak.bound === "exact" || peak.cutBy !== undefined);
    }),
    { numRuns: 500 },
  );
});

/** TTFT grows with the load; throughput grows, or grows until it is flat. */
const monotoneServer = fc.record({
  capacity: fc.integer({ min: 1, max: 300 }),
  knee: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
}).map(({ capacity, knee = Infinity }) => ({
  capacity,
  server: {
    ttftMs: (level: number) => LIMIT_MS * level / (capacity + 0.5),
    rate: (level: number) => Math.min(level, knee) * 1000,
  } satisfies Server,
}));

Deno.test("rampPolicy() finds the peak of a monotone server within one increment, given time", () => {
  fc.assert(
    fc.property(anySettings, monotoneServer, (given, { capacity, server }) => {
      const settings = { ...given, testDurationMs: 1e12 };
      const { startConcurrency: start, concurrencyIncrement: step, maxConcurrency } = settings;
      const { peak } = play(settings, server);
      assert.equal(peak.withinLimits, Math.min(start, maxConcurrency) <= capacity);
      if (!peak.withinLimits) return;
      const highest = Math.min(capacity, maxConcurrency);
      const found = peak.concurrency ?? NaN;
      assert.ok(found <= highest && found > highest - step, `${found} of ${highest}`);
      assert.ok(capacity > maxConcurrency - step || peak.bound === "exact");
    }),
    { numRuns: 300 },
  );
});

Deno.test("rampPolicy() finds the same peak wherever the cell before has ended", () => {
  fc.assert(
    fc.property(
      anySettings,
      monotoneServer,
      fc.integer({ min: 1, max: 500 }),
      (given, { server }, previousPeak) => {
        const settings = { ...given, testDurationMs: 1e12 };
        const { previousPeak: _, ...fresh } = settings;
        const [a, b] = [fresh, { ...fresh, previousPeak }].map((one) => play(one, server).peak);
        assert.equal(a?.withinLimits, b?.withinLimits);
        const apart = Math.abs((a?.concurrency ?? NaN) - (b?.concurrency ?? NaN));
        assert.ok(apart <= settings.concurrencyIncrement, `${a?.concurrency} ${b?.concurrency}`);
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("rampPolicy() finds nearly the best throughput of a server that thrashes, from anywhere", () => {
  const thrashing = fc.record({
    best: fc.integer({ min: 2, max: 800 }),
    fall: fc.double({ min: 0.3, max: 3, noNaN: true }),
    previousPeak: fc.option(fc.integer({ min: 1, max: 500 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(thrashing, ({ best, fall, previousPeak }) => {
      const rate = (level: number) => level <= best ? level : best * (best / level) ** fall;
      const { peak } = play({
        limits: { maxTtftMs: LIMIT_MS },
        startConcurrency: 2,
        concurrencyIncrement: 2,
        maxConcurrency: 4000,
        rampDurationMs: 60_000,
        testDurationMs: 1e12,
        retries: 0,
        ...(previousPeak === undefined ? {} : { previousPeak }),
      }, { ttftMs: () => 1, rate });
      const found = rate(peak.concurrency ?? NaN);
      assert.ok(found >= 0.85 * best || best < 8, `${found} of ${best} at ${peak.concurrency}`);
    }),
    { numRuns: 300 },
  );
});
