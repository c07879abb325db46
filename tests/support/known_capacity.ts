/**
 * Working-set runs on a cache whose capacity is known, made by a small physical model that has
 * nothing in common with the code that finds capacities: an LRU cache of whole prefixes, one prefill
 * at a time, a closed loop in front of it.
 */

import { type RandomStream, randomStream, seedFor } from "../../lib/random.ts";
import type { DetailRow, RunData, SustainedRow } from "../../lib/results/schema.ts";

/** What is simulated. */
export interface KnownCapacity {
  readonly seed: number;
  readonly order: "cyclic" | "random";
  /** Tokens that the cache holds; `Infinity` where everything fits. */
  readonly capacityTokens: number;
  /** `sustained`: the suite's periods, whose level follows the TTFT. Else one level for all. */
  readonly load: "sustained" | number;
  /** @default {64000} */
  readonly contextTokens?: number;
  /** @default {20 sizes from 0.64M to 5M} */
  readonly sizes?: readonly number[];
  /** Seconds of prefill of a prompt whose prefix is found, and of one that is computed whole. */
  readonly hitSec?: number;
  readonly missSec?: number;
  readonly periodSec?: number;
}

const HIT_PERCENT = 96;
const TTFT_LIMIT_SEC = 2;
const LEVELS = [1, 3, 5, 7, 9, 11, 13, 15];

/** The run as `readRun` gives it: request rows, and period rows of a sustained one. */
export function knownCapacityRun(options: KnownCapacity): RunData {
  const { details, periods } = measured(options);
  const sustained = options.load === "sustained";
  return {
    dir: "out",
    kind: "working-set",
    writtenBy: sustained ? "python" : "kvmark",
    config: {
      parameters: sustained
        ? { random_selection: options.order === "random" }
        : { "access-order": options.order },
    },
    summary: periods.map((row) => ({
      context_size: row.context_size!,
      cache_hit_rate: HIT_PERCENT,
      working_set_size: row.working_set_size!,
      peak_concurrency: row.concurrency_level!,
    })),
    details,
    phases: [],
    singlePrompt: [],
    sustained: sustained ? periods : [],
    files: [],
    problems: [],
  };
}

function measured(options: KnownCapacity) {
  const { contextTokens: context = 64_000, periodSec = 30 } = options;
  const sizes = options.sizes ??
    Array.from({ length: 20 }, (_, i) => Math.ceil((600_000 + i * 231_578) / context) * context);
  const stream = randomStream(seedFor("known capacity", options.seed, options.load));
  const cache = lruCache(options.capacityTokens);
  const server = { options, stream, cache, context, unique: 0, next: 0, nowSec: 1e9 };
  const largest = Math.round(sizes.at(-1)! / context);
  const kept = context * HIT_PERCENT / 100;
  for (let prompt = 0; prompt < largest; prompt++) cache.use(`p${prompt}`, kept);
  const details: DetailRow[] = [];
  const periods: SustainedRow[] = [];
  let level = 0;
  for (const size of sizes) {
    const prompts = Math.round(size / context);
    for (let n = 0; n < 3; n++) {
      const concurrency = options.load === "sustained" ? LEVELS[level]! : options.load;
      const id = periods.length + 1;
      const rows = period(server, prompts, concurrency, periodSec, id);
      details.push(...rows);
      const worst = Math.max(0, ...rows.map((row) => row.ttft!));
      periods.push({
        period_number: id,
        context_size: context,
        cache_hit_rate: HIT_PERCENT,
        working_set_size: size,
        concurrency_level: concurrency,
        duration: periodSec,
        num_requests_completed: rows.length,
        input_tokens_per_sec: rows.length * context / periodSec,
        measured_ttft: worst,
      });
      level = Math.max(0, Math.min(LEVELS.length - 1, level + (worst < TTFT_LIMIT_SEC ? 1 : -2)));
    }
  }
  return { details, periods };
}

interface Server {
  readonly options: KnownCapacity;
  readonly stream: RandomStream;
  readonly cache: ReturnType<typeof lruCache>;
  readonly context: number;
  unique: number;
  next: number;
  nowSec: number;
}

/** A closed loop: each slot sends again as soon as its prompt was prefilled. */
function period(
  server: Server,
  prompts: number,
  concurrency: number,
  seconds: number,
  id: number,
): DetailRow[] {
  const { options, stream, cache, context } = server;
  const { hitSec = 0.15, missSec = 1.65 } = options;
  const kept = context * HIT_PERCENT / 100;
  const end = server.nowSec + seconds;
  const queue: number[] = new Array(concurrency).fill(server.nowSec);
  const rows: DetailRow[] = [];
  let free = server.nowSec;
  while (queue.length > 0) {
    const sent = queue.shift()!;
    const prompt = options.order === "random" ? stream.nextBelow(prompts) : server.next++ % prompts;
    const found = cache.use(`p${prompt}`, kept);
    cache.use(`u${server.unique++}`, context - kept);
    const noise = Math.exp(0.04 * normal(stream));
    free = Math.max(free, sent) + (found * hitSec + (1 - found) * missSec) * noise;
    rows.push({
      request_id: `P${id}_${rows.length}`,
      phase_id: `SUSTAINED_P${id}`,
      working_set_size: prompts * context,
      cache_hit_rate: HIT_PERCENT,
      context_size: context,
      cached_tokens: kept,
      unique_tokens: context - kept,
      output_tokens: 1,
      ttft: free - sent + 0.02,
      launch_time: sent,
      finish_time: free + 0.02,
      concurrency_level: concurrency,
    });
    if (free + 0.02 < end) queue.push(free + 0.02);
  }
  server.nowSec = Math.max(free, end) + 0.1;
  return rows;
}

/** Least recently used goes first, block by block; the share of the entry that was there. */
function lruCache(capacityTokens: number) {
  const entries = new Map<string, number>();
  let held = 0;
  return {
    use(name: string, tokens: number): number {
      const found = entries.get(name) ?? 0;
      entries.delete(name);
      entries.set(name, tokens);
      held += tokens - found;
      while (held > capacityTokens) {
        const [oldest, size] = entries.entries().next().value!;
        const gone = Math.min(size, held - capacityTokens);
        held -= gone;
        if (gone < size) entries.set(oldest, size - gone);
        else entries.delete(oldest);
      }
      return found / tokens;
    },
  };
}

function normal(stream: RandomStream): number {
  return Math.sqrt(-2 * Math.log(1 - stream.nextFloat())) *
    Math.cos(2 * Math.PI * stream.nextFloat());
}
