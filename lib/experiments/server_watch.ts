/**
 * The metrics of the servers around each period: scraped on timers of their own, kept as rows, and
 * summed up for the verdict.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import type { Failure, PeriodOutcome } from "../record.ts";
import type { RunDir } from "../results/run_dir.ts";
import type { ServerMetricsRow } from "../results/schema.ts";
import { sumByKey } from "../server/counters.ts";
import { type CounterHits, tierHitsFromCounters } from "../server/hits.ts";
import type { ServerAccess } from "../server/http.ts";
import type { Presence } from "../server/presence.ts";
import {
  COUNTERS_FELL,
  deltaBetween,
  type Restart,
  restartIn,
  type Scraper,
  type ServerSample,
  startScraper,
} from "../server/scrape.ts";
import { type MetricsWitness, Restarts, restartText, spoiltBy } from "./restarts.ts";
import { filled, whereOf } from "./rows.ts";

/** What the counters of all servers gained over periods. */
export type CountedTokens = Omit<CounterHits, "source">;

/** Watches the metrics of the servers of a run. */
export interface ServerWatch {
  /** Restarts and absences so far: what was warm before the last one is cold. */
  readonly restarts: number;
  /** True from the moment at which a server is seen to be away. */
  readonly isAway: boolean;
  /** Takes each failure of a request. */
  failed(failure: Failure): void;
  /**
   * To be called before it is decided what has to be warmed: waits until the servers answer, and
   * notices one that was started again since the last period.
   *
   * @throws {KvmarkError} `unreachable` if a server stays away.
   */
  ready(): Promise<void>;
  /**
   * Runs a period between two scrapes; its rows are appended before this resolves. One in which a
   * server went away or was started again is unusable, and this waits until it is back.
   */
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
  /** Of the servers that requests are sent to. @default {no absence is looked for} */
  readonly presences?: readonly Presence[];
  /** Ends the waiting for a server. */
  readonly drain?: AbortSignal;
}

/** So often in a row counters may fall, alone of all witnesses, until nothing is made of it. */
const MOST_SILENT_RESTARTS = 2;

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
  readonly #restarts: Restarts;
  /** Up to here the samples of a scraper were searched for a restart. */
  readonly #searchedToMs = new Map<Scraper, number>();
  #residentTokens: number | undefined;
  #silent = 0;

  constructor(options: WatchOptions, watched: readonly WatchedServer[], complete: boolean) {
    const { clock, presences = [], drain } = options;
    this.#options = options;
    this.#watched = watched;
    this.#complete = complete;
    this.#restarts = new Restarts(presences, () => clock.wallMs(), drain);
  }

  get restarts(): number {
    return this.#restarts.count;
  }

  get isAway(): boolean {
    return this.#restarts.isAway;
  }

  failed(failure: Failure): void {
    this.#restarts.failed(failure);
  }

  async ready(): Promise<void> {
    const absence = await this.#restarts.whenBack();
    await this.#scrapeAll();
    const { restart } = this.#witness();
    if (restart === undefined && typeof absence !== "object") return;
    this.#restarts.count++;
    if (restart !== undefined) this.#options.onWarning(restartText(restart));
  }

  async around(run: () => Promise<PeriodOutcome>): Promise<PeriodOutcome> {
    await this.#scrapeAll();
    const sent = await run();
    const absence = await this.#restarts.whenBack();
    await this.#scrapeAll();
    const witness = this.#witness();
    const outcome = absence === "interrupted"
      ? { ...sent, interrupted: true }
      : this.#judged(sent, witness, spoiltBy(sent, witness, absence));
    await this.#keep(outcome);
    return outcome;
  }

  #judged(sent: PeriodOutcome, witness: MetricsWitness, why: string | undefined): PeriodOutcome {
    if (why === undefined) {
      this.#silent = 0;
      return sent;
    }
    const isSilent = witness.restart?.evidence === COUNTERS_FELL &&
      sent.records.every(({ failure }) => failure === undefined);
    this.#silent = isSilent ? this.#silent + 1 : 0;
    if (this.#silent > MOST_SILENT_RESTARTS) {
      const reason = "shows counters that fall, though no request fails: several servers in turn";
      for (const { scraper } of this.#watched) scraper.disable(reason);
      return sent;
    }
    this.#restarts.count++;
    return { ...sent, unusable: why };
  }

  /** What the metrics show since they were looked at before. */
  #witness(): MetricsWitness {
    let restart: Restart | undefined;
    let isSame = this.#complete && this.#watched.length > 0;
    for (const { scraper } of this.#watched) {
      const fromMs = this.#searchedToMs.get(scraper) ?? -Infinity;
      const since = scraper.samples.filter(({ atMs }) => atMs >= fromMs);
      const last = since.at(-1);
      restart ??= restartIn(since);
      isSame &&= since.length > 1 && last !== undefined &&
        since.every(({ startedAtSec }) => startedAtSec !== undefined);
      if (last !== undefined) this.#searchedToMs.set(scraper, last.atMs);
    }
    return { ...(restart === undefined ? {} : { restart }), isSame: isSame && !restart };
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
