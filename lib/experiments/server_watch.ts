/**
 * The metrics of the servers around each period: scraped on timers of their own, kept as rows, and
 * summed up for the verdict.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import type { PeriodOutcome } from "../record.ts";
import type { RunDir } from "../results/run_dir.ts";
import type { ServerMetricsRow } from "../results/schema.ts";
import { sumByKey } from "../server/counters.ts";
import { type CounterHits, tierHitsFromCounters } from "../server/hits.ts";
import type { ServerAccess } from "../server/http.ts";
import { deltaBetween, type Scraper, type ServerSample, startScraper } from "../server/scrape.ts";
import { filled, whereOf } from "./rows.ts";

/** What the counters of all servers gained over periods. */
export type CountedTokens = Omit<CounterHits, "source">;

/** Watches the metrics of the servers of a run. */
export interface ServerWatch {
  /** Runs a period between two scrapes; its rows are appended before this resolves. */
  around(run: () => Promise<PeriodOutcome>): Promise<PeriodOutcome>;
  /**
   * What was counted over periods that {@linkcode ServerWatch.around} ran. Nothing unless every
   * server told it, before and after each of them and without a restart in between.
   */
  counted(outcomes: readonly PeriodOutcome[]): CountedTokens | undefined;
  /** Tokens in the caches after the last period, where every server has a gauge of them. */
  residentTokens(): number | undefined;
  close(): Promise<void>;
}

/** Where the metrics of one server are. */
export interface MetricsRoute {
  /** As it is named in rows. */
  readonly endpoint: string;
  readonly access: ServerAccess;
  /** Absent where the server has none. */
  readonly metricsUrl?: string;
}

/** Options of {@linkcode watchServers}. */
export interface WatchOptions {
  readonly servers: readonly MetricsRoute[];
  readonly runDir: Pick<RunDir, "appendServerMetrics">;
  readonly clock: Clock;
  /** Between two scrapes within a period. */
  readonly intervalMs: number;
  readonly onWarning: (text: string) => void;
  /** Ends a scrape that is under way, and all further ones. */
  readonly signal?: AbortSignal;
}

interface WatchedServer {
  readonly endpoint: string;
  readonly scraper: Scraper;
}

/** Starts to scrape the servers that have metrics; two of one route are one. */
export function watchServers(options: WatchOptions): ServerWatch {
  const { servers, clock, intervalMs, onWarning, signal } = options;
  const common = { clock, intervalMs, onWarning, ...(signal === undefined ? {} : { signal }) };
  const complete = servers.every(({ metricsUrl }) => metricsUrl !== undefined);
  const byRoute = new Map(servers.map((server) => [server.metricsUrl, server]));
  byRoute.delete(undefined);
  const watched = [...byRoute.values()].map((facts): WatchedServer => ({
    endpoint: facts.endpoint,
    scraper: startScraper({ access: facts.access, facts, ...common }),
  }));
  return new Watch(options, watched, complete);
}

class Watch implements ServerWatch {
  readonly #options: WatchOptions;
  readonly #watched: readonly WatchedServer[];
  readonly #complete: boolean;
  readonly #counted = new WeakMap<PeriodOutcome, CountedTokens>();
  #residentTokens: number | undefined;

  constructor(options: WatchOptions, watched: readonly WatchedServer[], complete: boolean) {
    this.#options = options;
    this.#watched = watched;
    this.#complete = complete;
  }

  async around(run: () => Promise<PeriodOutcome>): Promise<PeriodOutcome> {
    if (this.#watched.length === 0) return await run();
    await this.#scrapeAll();
    const outcome = await run();
    await this.#scrapeAll();
    await this.#keep(outcome);
    return outcome;
  }

  counted(outcomes: readonly PeriodOutcome[]): CountedTokens | undefined {
    return addUp(outcomes.map((outcome) => this.#counted.get(outcome)));
  }

  residentTokens(): number | undefined {
    return this.#residentTokens;
  }

  async close(): Promise<void> {
    await Promise.all(this.#watched.map(({ scraper }) => scraper.stop()));
  }

  async #scrapeAll(): Promise<void> {
    await Promise.all(this.#watched.map(({ scraper }) => scraper.scrapeNow()));
  }

  async #keep(outcome: PeriodOutcome): Promise<void> {
    const { clock, runDir } = this.#options;
    const { startAtMs, drainedAtMs } = outcome;
    const counted: (CountedTokens | undefined)[] = [];
    const resident = this.#watched.map(({ scraper }) => residentIn(scraper.samples.at(-1)));
    this.#residentTokens = this.#complete
      ? resident.reduce<number | undefined>(
        (sum, tokens) => sum === undefined || tokens === undefined ? undefined : sum + tokens,
        0,
      )
      : undefined;
    for (const { scraper, endpoint } of this.#watched) {
      const delta = scraper.delta(startAtMs, drainedAtMs);
      const encloses = delta !== undefined && delta.fromAtMs <= startAtMs &&
        delta.toAtMs >= drainedAtMs;
      // A worker that was asked nothing counts nothing.
      counted.push(encloses && !delta.restarted ? delta.hits ?? NOTHING : undefined);
      const wallOffsetMs = clock.wallMs() - clock.nowMs();
      await runDir.appendServerMetrics(
        metricsRows(scraper.samples, { outcome, endpoint, wallOffsetMs }),
      );
      scraper.forget(clock.nowMs());
    }
    const sum = this.#complete ? addUp(counted) : undefined;
    if (sum !== undefined && sum.queryTokens > 0) this.#counted.set(outcome, sum);
  }
}

function residentIn(sample: ServerSample | undefined): number | undefined {
  return sumByKey((sample?.series ?? []).filter(({ kind }) => kind === "gauge"))["residentTokens"];
}

const NOTHING: CountedTokens = { queryTokens: 0, hitTokens: 0, promptTokens: 0 };

/** The sum, if all are known and there is one. */
function addUp(parts: readonly (CountedTokens | undefined)[]): CountedTokens | undefined {
  let sum = NOTHING;
  for (const part of parts) {
    if (part === undefined) return undefined;
    const [a, b] = [sum.promptTokens, part.promptTokens];
    sum = {
      queryTokens: sum.queryTokens + part.queryTokens,
      hitTokens: sum.hitTokens + part.hitTokens,
      ...(a === undefined || b === undefined ? {} : { promptTokens: a + b }),
    };
  }
  return parts.length === 0 ? undefined : sum;
}

/** Rows of the samples of one server from the last one before a period on. */
export function metricsRows(
  samples: readonly ServerSample[],
  { outcome, endpoint, wallOffsetMs }: {
    readonly outcome: PeriodOutcome;
    readonly endpoint: string;
    readonly wallOffsetMs: number;
  },
): ServerMetricsRow[] {
  const labels = outcome.records[0]?.labels;
  if (labels === undefined) return [];
  const first = samples.findLastIndex(({ atMs }) => atMs <= outcome.startAtMs);
  return samples.slice(Math.max(0, first)).map((sample, index, window) => {
    const before = window[index - 1];
    return filled({
      ...whereOf(labels),
      phase_id: labels.periodId,
      endpoint,
      time: (sample.atMs + wallOffsetMs) / 1000,
      ...gaugeCells(sample),
      ...(before === undefined ? {} : counterCells(before, sample)),
    });
  });
}

function gaugeCells({ series }: ServerSample) {
  const gauges = sumByKey(series.filter(({ kind }) => kind === "gauge"));
  const percent = (share: number | undefined) => share === undefined ? undefined : 100 * share;
  return {
    running: gauges["running"],
    waiting: gauges["waiting"],
    kv_usage: percent(gauges["kvUsage"]),
    host_kv_usage: percent(gauges["hostKvUsage"]),
  };
}

function counterCells(before: ServerSample, sample: ServerSample) {
  const delta = deltaBetween([before, sample], before.atMs, sample.atMs);
  const counters = delta?.counters ?? {};
  const tiers = tierHitsFromCounters(counters);
  return {
    interval_s: (sample.atMs - before.atMs) / 1000,
    prompt_tokens: counters["promptTokens"],
    generated_tokens: counters["generatedTokens"],
    cache_query_tokens: delta?.hits?.queryTokens,
    cache_hit_tokens: delta?.hits?.hitTokens,
    hbm_hit_tokens: tiers.hbm,
    dram_hit_tokens: tiers.dram,
    ssd_hit_tokens: tiers.ssd,
    offload_hit_tokens: tiers.offload,
    evicted_tokens: counters["evictedTokens"],
    preemptions: counters["preemptions"],
    offload_load_bytes: counters["offloadLoadBytes"],
    offload_load_s: counters["offloadLoadTime"],
    offload_store_bytes: counters["offloadStoreBytes"],
    offload_store_s: counters["offloadStoreTime"],
    restarted: delta?.restarted === true ? "yes" : undefined,
  };
}
