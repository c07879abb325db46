/**
 * kvmark's own client, as it is: the load pool with its threads, driven against a URL.
 *
 * @module
 */

import { encodeBody, routeUrl } from "../../lib/client/openai.ts";
import { denoHost } from "../../lib/host.ts";
import { openPool } from "../../lib/load/pool.ts";
import { ENGLISH_WORDS } from "../../lib/prompt/english_words.ts";
import { randomStream, seedFor } from "../../lib/random.ts";
import type { InferenceRequest, PeriodOutcome } from "../../lib/record.ts";

/** What to send. */
export interface PoolLoad {
  readonly baseUrl: string;
  readonly model: string;
  readonly streams: number;
  readonly outputTokens: number;
  /** Answers are up to this share longer or shorter, so that streams do not end all at once. */
  readonly vary?: number;
  readonly promptWords?: number;
  /** Requests are launched for so long; those in flight then are drained. */
  readonly durationMs: number;
  readonly workers: number;
  /** Certificate authorities, in PEM. */
  readonly caPem?: string;
  readonly timeoutMs?: number;
  /** Leave requests that failed in the outcome, instead of throwing. */
  readonly allowFailures?: boolean;
}

/** The program, whose worker threads send. */
export const MAIN_MODULE = new URL("../../main.ts", import.meta.url).href;

/** Words of which no two prompts have the first few in common: nothing is found in a cache. */
export function promptText(words: number, number: number): string {
  const stream = randomStream(seedFor("bench", `${number}`));
  const list = Array.from(
    { length: words },
    () => ENGLISH_WORDS[stream.nextBelow(ENGLISH_WORDS.length)],
  );
  return list.join(" ");
}

/** Runs one period. Throws if a request failed, as its figures would be of another load. */
export async function runPool(load: PoolLoad): Promise<PeriodOutcome> {
  const host = denoHost(MAIN_MODULE);
  const pool = await openPool({
    workers: load.workers,
    headers: {},
    workerModule: MAIN_MODULE,
    clock: host.clock,
    cpuMs: () => host.cpuMs(),
    ...(load.caPem === undefined ? {} : { caPem: load.caPem }),
  });
  try {
    const spec = {
      cellId: "bench",
      periodId: "bench",
      concurrency: load.streams,
      durationMs: load.durationMs,
      connectUrls: [`${load.baseUrl}/health`],
    };
    let sent = 0;
    const outcome = await pool.runPeriod(spec, () => requestOf(load, sent++));
    const failed = outcome.records.filter(({ failure }) => failure !== undefined);
    if (failed.length > 0 && load.allowFailures !== true) {
      throw new Error(`${failed.length} requests failed: ${failed[0]?.failure?.message}`);
    }
    return outcome;
  } finally {
    await pool.close();
  }
}

function requestOf(load: PoolLoad, number: number): InferenceRequest {
  const spread = Math.round(load.outputTokens * (load.vary ?? 0));
  const chosen = randomStream(seedFor("bench tokens", `${number}`)).nextBelow(2 * spread + 1);
  const outputTokens = load.outputTokens - spread + chosen;
  const target = {
    baseUrl: load.baseUrl,
    api: "completions",
    model: load.model,
    streamUsage: true,
    ignoreEos: true,
    minTokens: true,
  } as const;
  return {
    requestId: `bench-${number}`,
    labels: {
      cellId: "bench",
      periodId: "bench",
      purpose: "measure",
      contextSizeTokens: 8,
      hitRatePercent: 0,
      concurrency: load.streams,
    },
    plan: { promptTokens: 8, sharedTokens: 0, achievableTokens: 0 },
    api: target.api,
    url: routeUrl(target),
    body: encodeBody(target, promptText(load.promptWords ?? 7, number), outputTokens),
    maxOutputTokens: outputTokens,
    timeoutMs: load.timeoutMs ?? 120_000,
  };
}
