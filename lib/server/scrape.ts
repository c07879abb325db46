/**
 * The server's counters over time, scraped on a timer of their own, off the hot path.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import { canonicalSeries, type ServerSeries, sumByKey } from "./counters.ts";
import { looksLikeExposition, parseExposition } from "./exposition.ts";
import type { ServerFacts } from "./facts.ts";
import { KvmarkError } from "../errors.ts";
import { type CounterHits, hitsFromCounters } from "./hits.ts";
import { send, type ServerAccess } from "./http.ts";

/** One scrape. */
export interface ServerSample {
  /** Middle of the scrape, on the run's clock. */
  readonly atMs: number;
  readonly series: readonly ServerSeries[];
}

/** A gauge over a stretch of time. */
export interface GaugeSpread {
  readonly mean: number;
  readonly max: number;
}

/** What the counters gained and the gauges showed between two scrapes. */
export interface ServerDelta {
  /** The scrapes that the delta is taken between: not after and not before the asked instants. */
  readonly fromAtMs: number;
  readonly toAtMs: number;
  /** By canonical key; empty after a restart. */
  readonly counters: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, GaugeSpread>>;
  /** A counter went backwards or vanished: the server was started again, its deltas mean nothing. */
  readonly restarted: boolean;
  /** Hits and queries, where the counters tell them. */
  readonly hits?: CounterHits;
}

/** A running scraper. */
export interface Scraper {
  readonly samples: readonly ServerSample[];
  /** Why scraping has ended by itself; absent while it goes on. */
  readonly disabled: string | undefined;
  /** Scrapes at once: before the first and after the last request of a cell. */
  scrapeNow(): Promise<void>;
  /**
   * The delta over a stretch that holds [fromAtMs, toAtMs], as far as there are scrapes; nothing
   * if there are fewer than two.
   */
  delta(fromAtMs: number, toAtMs: number): ServerDelta | undefined;
  /** Drops the samples before the last one that is not after `beforeAtMs`. */
  forget(beforeAtMs: number): void;
  stop(): Promise<void>;
}

/** Options of {@linkcode startScraper}. */
export interface ScraperOptions {
  readonly access: ServerAccess;
  readonly facts: Pick<ServerFacts, "metricsUrl">;
  readonly intervalMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Gets the one warning when the metrics route turns out to be bad. */
  readonly onWarning?: (text: string) => void;
}

const SCRAPE_TIMEOUT_MS = 10_000;

/**
 * Starts to scrape. Never throws: a route that fails once is left alone from then on, with one
 * warning, because a bad route may cost the server more than it tells (trtllm-serve).
 */
export function startScraper(options: ScraperOptions): Scraper {
  return new TimedScraper(options);
}

class TimedScraper implements Scraper {
  readonly samples: ServerSample[] = [];
  disabled: string | undefined;
  readonly #options: ScraperOptions;
  readonly #stop = new AbortController();
  readonly #timer: Promise<void>;
  #running: Promise<void> | undefined;

  constructor(options: ScraperOptions) {
    this.#options = options;
    if (options.facts.metricsUrl === undefined) this.disabled = "the server has no metrics route";
    options.signal?.addEventListener("abort", () => this.#stop.abort(), { once: true });
    if (options.signal?.aborted) this.#stop.abort();
    this.#timer = this.#loop();
  }

  async scrapeNow(): Promise<void> {
    // One that is under way began before now: its counters may be those of before.
    await this.#running;
    await this.#scrapeOnce();
  }

  delta(fromAtMs: number, toAtMs: number): ServerDelta | undefined {
    return deltaBetween(this.samples, fromAtMs, toAtMs);
  }

  forget(beforeAtMs: number): void {
    const last = this.samples.findLastIndex(({ atMs }) => atMs <= beforeAtMs);
    if (last > 0) this.samples.splice(0, last);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#timer;
  }

  async #loop(): Promise<void> {
    const { clock, intervalMs } = this.#options;
    while (this.disabled === undefined && !this.#stop.signal.aborted) {
      await this.#scrapeOnce();
      await clock.sleep(intervalMs, this.#stop.signal);
    }
  }

  #scrapeOnce(): Promise<void> {
    this.#running ??= this.#scrape().finally(() => this.#running = undefined);
    return this.#running;
  }

  async #scrape(): Promise<void> {
    const { access, clock, facts: { metricsUrl } } = this.#options;
    if (metricsUrl === undefined || this.disabled !== undefined || this.#stop.signal.aborted) {
      return;
    }
    try {
      const startedAtMs = clock.nowMs();
      const reply = await send(access, {
        path: metricsUrl,
        timeoutMs: SCRAPE_TIMEOUT_MS,
        signal: this.#stop.signal,
      });
      const atMs = (startedAtMs + clock.nowMs()) / 2;
      if (reply.status !== 200) return this.#disable(`answers ${reply.status}`);
      const exposition = parseExposition(reply.text);
      if (!looksLikeExposition(exposition)) return this.#disable("is not Prometheus text");
      if (reply.truncated || exposition.truncated) return this.#disable("is too long to be read");
      this.samples.push({ atMs, series: canonicalSeries(exposition) });
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#disable(error instanceof KvmarkError ? `fails: ${error.message}` : "fails");
    }
  }

  #disable(reason: string): void {
    this.disabled = `the metrics route ${reason}`;
    this.#options.onWarning?.(`${this.disabled}; server counters are left out from here on`);
  }
}

/** The delta over the samples that enclose the asked stretch. Pure. */
export function deltaBetween(
  samples: readonly ServerSample[],
  fromAtMs: number,
  toAtMs: number,
): ServerDelta | undefined {
  const before = samples.findLastIndex(({ atMs }) => atMs <= fromAtMs);
  const after = samples.findIndex(({ atMs }) => atMs >= toAtMs);
  const window = samples.slice(Math.max(0, before), after === -1 ? undefined : after + 1);
  const [first, last] = [window[0], window.at(-1)];
  if (first === undefined || last === undefined || first === last) return undefined;
  const restarted = hasRestarted(window);
  const counters = restarted ? {} : gained(first, last);
  const hits = hitsFromCounters(counters);
  return {
    fromAtMs: first.atMs,
    toAtMs: last.atMs,
    counters,
    gauges: gaugesOf(window),
    restarted,
    ...(hits === undefined ? {} : { hits }),
  };
}

function countersById({ series }: ServerSample): Map<string, number> {
  return new Map(
    series.filter(({ kind }) => kind === "counter").map(({ id, value }) => [id, value]),
  );
}

/** One worker of many that starts again shows only in its own series. */
function hasRestarted(window: readonly ServerSample[]): boolean {
  let earlier = new Map<string, number>();
  for (const sample of window) {
    const now = countersById(sample);
    for (const [id, value] of earlier) {
      if ((now.get(id) ?? -1) < value) return true;
    }
    earlier = now;
  }
  return false;
}

/** A series that appears was 0 before: clients make labelled series at their first increment. */
function gained(first: ServerSample, last: ServerSample): Record<string, number> {
  const start = countersById(first);
  return sumByKey(
    last.series
      .filter(({ kind }) => kind === "counter")
      .map((series) => ({ ...series, value: series.value - (start.get(series.id) ?? 0) })),
  );
}

function gaugesOf(window: readonly ServerSample[]): Record<string, GaugeSpread> {
  const values = new Map<string, number[]>();
  for (const { series } of window) {
    const gauges = sumByKey(series.filter(({ kind }) => kind === "gauge"));
    for (const [key, value] of Object.entries(gauges)) {
      values.set(key, [...values.get(key) ?? [], value]);
    }
  }
  return Object.fromEntries(
    [...values].map(([key, seen]) => [key, {
      mean: seen.reduce((sum, value) => sum + value, 0) / seen.length,
      max: seen.reduce((largest, value) => Math.max(largest, value), -Infinity),
    }]),
  );
}
