import assert from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "../host.ts";
import { type ClockOffset, clockText, intersect, measureClockOffset } from "./clock_offset.ts";

/** A clock that only moves when somebody sleeps or asks the server. */
function steppedClock(startMs = Date.UTC(2026, 0, 1)) {
  let atMs = startMs;
  const clock: Clock = {
    nowMs: () => atMs,
    wallMs: () => atMs,
    sleep: (ms) => Promise.resolve(void (atMs += ms)),
  };
  return { clock, pass: (ms: number) => void (atMs += ms) };
}

/** What the server tells of its time. */
interface Tells {
  /** Instant of which the `Date` is made. */
  readonly dateMs?: number;
  readonly createdMs?: number;
}

function accessTo(tell: () => Tells) {
  const answer = () => {
    const { dateMs, createdMs } = tell();
    const headers: HeadersInit = dateMs === undefined
      ? {}
      : { date: new Date(dateMs).toUTCString() };
    const created = createdMs === undefined ? {} : { created: Math.floor(createdMs / 1000) };
    return Promise.resolve(Response.json({ data: [{ id: "m", ...created }] }, { headers }));
  };
  return { baseUrl: "http://server", headers: {}, fetch: answer as typeof fetch };
}

function holds(found: ClockOffset | undefined, differenceMs: number): boolean {
  return found !== undefined &&
    Math.abs(found.offsetMs - differenceMs) <= found.plusMinusMs + 1e-6;
}

Deno.test("measureClockOffset() holds the truth, however old the Date and slow the network", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: -100_000, max: 100_000 }),
    fc.integer({ min: 0, max: 999 }),
    fc.array(fc.integer({ min: 0, max: 1500 }), { minLength: 1, maxLength: 24 }),
    fc.array(fc.integer({ min: 0, max: 80 }), { minLength: 2, maxLength: 48 }),
    async (differenceMs, phaseMs, ages, delays) => {
      const { clock, pass } = steppedClock(Date.UTC(2026, 0, 1) + phaseMs);
      let asked = 0;
      const access = accessTo(() => {
        pass(delays[(2 * asked) % delays.length] ?? 0);
        const nowMs = clock.wallMs() + differenceMs;
        const ageMs = ages[asked % ages.length] ?? 0;
        pass(delays[(2 * asked++ + 1) % delays.length] ?? 0);
        return { dateMs: nowMs - ageMs };
      });
      const found = await measureClockOffset(access, clock);
      assert.ok(found === undefined || holds(found, differenceMs), JSON.stringify(found));
    },
  ));
});

Deno.test("measureClockOffset() says no difference on one host whose Date lags by 1.26 s", async () => {
  const { clock, pass } = steppedClock();
  let renewedMs = clock.wallMs() - 400;
  const access = accessTo(() => {
    pass(1);
    if (clock.wallMs() - renewedMs >= 1260) renewedMs = clock.wallMs();
    return { dateMs: renewedMs };
  });
  const found = await measureClockOffset(access, clock);
  assert.ok(holds(found, 0));
  assert.match(clockText(found!, String), /^no difference is seen/);
});

Deno.test("measureClockOffset() is sharp where the list of models is made anew for each answer", async () => {
  for (const differenceMs of [0, 1, -740, 3333, 86_400_000]) {
    const { clock, pass } = steppedClock();
    const access = accessTo(() => {
      pass(4);
      const nowMs = clock.wallMs() + differenceMs;
      pass(4);
      return { dateMs: nowMs - 1200, createdMs: nowMs };
    });
    const found = await measureClockOffset(access, clock);
    assert.ok(holds(found, differenceMs), `${differenceMs}: ${JSON.stringify(found)}`);
    assert.ok(found!.plusMinusMs < 50, "a second edge was between two answers");
  }
});

Deno.test("measureClockOffset() does not believe a time that stands still, nor models that contradict the Date", async () => {
  const still = steppedClock();
  const startMs = still.clock.wallMs();
  const frozen = accessTo(() => {
    still.pass(1);
    return { dateMs: startMs - 5000, createdMs: startMs - 90_000 };
  });
  assert.equal(await measureClockOffset(frozen, still.clock), undefined);
  const other = steppedClock();
  const proxied = accessTo(() => {
    other.pass(1);
    return { dateMs: other.clock.wallMs(), createdMs: other.clock.wallMs() - 60_000 };
  });
  assert.ok(holds(await measureClockOffset(proxied, other.clock), 0), "by the Date alone");
});

Deno.test("measureClockOffset() knows nothing of a server without a Date, or without an answer", async () => {
  const { clock } = steppedClock();
  assert.equal(await measureClockOffset(accessTo(() => ({})), clock), undefined);
  const refused = accessTo(() => {
    throw new TypeError("refused");
  });
  assert.equal(await measureClockOffset(refused, clock), undefined);
});

Deno.test("intersect() says nothing where answers contradict each other", () => {
  const near = { leastMs: 0, mostMs: 10 };
  assert.equal(intersect([near, { leastMs: 20, mostMs: 30 }]), undefined);
  assert.deepEqual(intersect([near, { leastMs: 4, mostMs: 30 }]), {
    offsetMs: 7,
    plusMinusMs: 3,
    answers: 2,
  });
});

Deno.test("clockText() tells the range, and a difference only where it is one", () => {
  const text = (offsetMs: number, plusMinusMs: number) =>
    clockText({ offsetMs, plusMinusMs, answers: 2 }, (ms) => `${ms} ms`);
  assert.equal(text(500, 20), "the server's is 480 ms to 520 ms ahead");
  assert.equal(text(-500, 20), "the server's is 480 ms to 520 ms behind");
  assert.equal(text(700, 800), "no difference is seen (at most 100 ms behind, 1500 ms ahead)");
});
