import assert from "node:assert/strict";
import type { Clock } from "../host.ts";
import type { PeriodOutcome } from "../record.ts";
import { fixedPolicy } from "./controller.ts";
import { runPolicy } from "./runner.ts";

/** Periods of a second each, of which the named ones are unusable. */
async function runWith(unusable: readonly string[], mostTries?: number) {
  let nowMs = 0;
  const clock: Clock = { nowMs: () => nowMs, wallMs: () => nowMs, sleep: () => Promise.resolve() };
  const sent: string[] = [];
  const dropped: string[] = [];
  const finished: string[] = [];
  const run = await runPolicy({
    policy: fixedPolicy({
      levels: [2, 4],
      durationMs: 1000,
      retries: 0,
      limits: {},
      toTheEnd: true,
    }),
    judgement: {
      limits: {},
      ttftMetric: "avg",
      tokensPerReqMetric: "avg",
      strictTimeWindow: false,
    },
    clock,
    ...(mostTries === undefined ? {} : { mostTries }),
    send({ periodId, concurrency }): Promise<PeriodOutcome> {
      const startAtMs = nowMs;
      nowMs += 1000;
      sent.push(periodId);
      return Promise.resolve({
        cellId: "cell",
        periodId,
        concurrency,
        startAtMs,
        stopAtMs: nowMs,
        drainedAtMs: nowMs,
        records: [],
        client: { retries: 0 },
        interrupted: false,
        ...(unusable.includes(periodId) ? { unusable: "the server restarted" } : {}),
      });
    },
    onFinish: ({ planned }) => Promise.resolve(void finished.push(planned.periodId)),
    onUnusable: ({ planned }, why) => Promise.resolve(void dropped.push(planned.periodId, why)),
  });
  return { run, sent, dropped, finished };
}

Deno.test("runPolicy() measures an unusable period again, and the policy never sees it", async () => {
  const { run, sent, dropped, finished } = await runWith(["FIXED_c2_run0", "FIXED_c2_run0_try2"]);
  const last = "FIXED_c2_run0_try3";
  assert.deepEqual(sent, ["FIXED_c2_run0", "FIXED_c2_run0_try2", last, "FIXED_c4_run0"]);
  assert.deepEqual(finished, [last, "FIXED_c4_run0"]);
  assert.deepEqual(run.periods.map(({ planned }) => planned.periodId), finished);
  assert.equal(dropped.length, 4, "both are told, with their reasons");
  assert.equal(run.unusable, undefined);
  assert.equal(run.periods[0]?.observation.elapsedMs, 1000, "the lost time is not the search's");
});

Deno.test("runPolicy() ends with the reason where a period is never usable", async () => {
  const { run, sent } = await runWith(["FIXED_c2_run0"], 1);
  assert.deepEqual(sent, ["FIXED_c2_run0"]);
  assert.deepEqual(run.periods, []);
  assert.match(run.unusable ?? "", /FIXED_c2_run0 could not be measured: the server restarted/);
  assert.equal(run.peak.withinLimits, false);
});
