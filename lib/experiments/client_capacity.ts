/**
 * What this host can drive: a self-calibration against the simulator.
 *
 * @module
 */

import { encodeBody, routeUrl, type Target } from "../client/openai.ts";
import type { Host } from "../host.ts";
import { type LoadPool, openPool } from "../load/pool.ts";
import { type PeriodSummary, summarisePeriod } from "../metrics/summary.ts";
import type { InferenceRequest } from "../record.ts";
import type { ClientCapacity } from "../server/doctor.ts";
import { startSimulatorThread } from "../sim/worker.ts";

/** One level of the calibration. */
export interface CapacityLevel {
  readonly streams: number;
  readonly tokensPerSec: number;
  /** Tokens/s of all streams if nothing held them up. */
  readonly idealTokensPerSec: number;
  readonly clientLimited: boolean;
  /** Why the client was the limit. */
  readonly reasons: readonly string[];
}

const LEVELS = [8, 32, 128, 256, 512, 1024, 2048] as const;
/** The first requests meet code that is not compiled yet. */
const WARM_UP_MS = 300;
/** Of the middle answer. */
const OUTPUT_TOKENS = 50;
/**
 * Answers are up to so many tokens shorter or longer. Of equal ones all streams would end at one
 * instant, and what was found would be how fast so many requests can be sent.
 */
const SPREAD_TOKENS = 20;
const ITL_MS = 10;
/** Of the order of a TTFT limit: how much lag of the client matters is judged against it. */
const TTFT_MS = 500;
const REQUEST_MS = TTFT_MS + (OUTPUT_TOKENS - 1) * ITL_MS;
/** All streams begin at once, and wait for their first token: after two rounds they are mixed. */
const PERIOD_MS = 3 * REQUEST_MS;
/** Less than this share of the ideal, and the level is not driven. */
const DRIVEN = 0.9;

/**
 * Sends more and more streams to a simulator of constant latency, until they are no longer driven
 * as they should be. The simulator shares the host's cores, so the figure is a lower bound.
 *
 * @param workers Sending threads.
 * @param streamLevels Numbers of streams to try, ascending.
 */
export async function calibrateClient(
  host: Host,
  workers: number,
  streamLevels: readonly number[] = LEVELS,
): Promise<ClientCapacity> {
  await using simulator = await startSimulatorThread(host.workerModule, {
    port: 0,
    faults: ["constant-latency"],
    constantTtftMs: TTFT_MS,
    itlMs: ITL_MS,
    itlGrowthMs: 0,
  });
  const pool = await openPool({
    workers,
    headers: {},
    workerModule: host.workerModule,
    clock: host.clock,
    cpuMs: () => host.cpuMs(),
  });
  try {
    const { url, settings: { model } } = simulator;
    await runLevel(pool, url, model, LEVELS[0], WARM_UP_MS);
    const levels: CapacityLevel[] = [];
    for (const streams of streamLevels) {
      const level = await runLevel(pool, url, model, streams, PERIOD_MS);
      levels.push(level);
      if (!isDriven(level)) break;
    }
    return capacityFrom(levels);
  } finally {
    await pool.close();
  }
}

async function runLevel(
  pool: LoadPool,
  baseUrl: string,
  model: string,
  streams: number,
  durationMs: number,
): Promise<CapacityLevel> {
  const target: Target = {
    baseUrl,
    model,
    api: "completions",
    streamUsage: true,
    ignoreEos: true,
    minTokens: true,
  };
  let sent = 0;
  const spec = {
    cellId: "calibration",
    periodId: `CALIBRATION_c${streams}`,
    concurrency: streams,
    durationMs,
    connectUrls: [`${baseUrl}/health`],
  };
  const outcome = await pool.runPeriod(spec, () => requestFor(target, streams, sent++));
  return levelFrom(streams, summarisePeriod(outcome, { strictTimeWindow: false }));
}

function requestFor(target: Target, streams: number, number: number): InferenceRequest {
  // A stride without a divisor in common takes every length equally often, in no visible order.
  const longer = (number * 7919) % (2 * SPREAD_TOKENS + 1) - SPREAD_TOKENS;
  const outputTokens = OUTPUT_TOKENS + longer;
  return {
    requestId: `calibration-${streams}-${number}`,
    labels: {
      cellId: "calibration",
      periodId: `CALIBRATION_c${streams}`,
      purpose: "probe",
      contextSizeTokens: 8,
      hitRatePercent: 0,
      concurrency: streams,
    },
    plan: { promptTokens: 8, sharedTokens: 0, achievableTokens: 0 },
    api: target.api,
    url: routeUrl(target),
    body: encodeBody(target, "time year people way day man thing", outputTokens),
    maxOutputTokens: outputTokens,
    timeoutMs: 30_000,
  };
}

function levelFrom(streams: number, summary: PeriodSummary): CapacityLevel {
  return {
    streams,
    tokensPerSec: summary.outputTokensPerSec ?? 0,
    idealTokensPerSec: streams * OUTPUT_TOKENS / REQUEST_MS * 1000,
    clientLimited: summary.clientLimited,
    reasons: summary.clientMarks,
  };
}

function isDriven({ tokensPerSec, idealTokensPerSec, clientLimited }: CapacityLevel): boolean {
  return !clientLimited && tokensPerSec >= idealTokensPerSec * DRIVEN;
}

/** The highest level that was driven, and what ended the search. Pure. */
export function capacityFrom(levels: readonly CapacityLevel[]): ClientCapacity {
  const driven = levels.findLast(isDriven);
  const failed = levels.find((level) => !isDriven(level));
  const why = failed === undefined
    ? "the highest level tried; it can do more"
    : failed.clientLimited
    ? `at ${failed.streams} the client is the limit (${failed.reasons.join("; ")})`
    : `at ${failed.streams} the simulator on the same host is the limit`;
  return {
    streams: driven?.streams ?? 0,
    tokensPerSec: driven?.tokensPerSec ?? 0,
    evidence: `against the simulator on this host: ${why}`,
  };
}
