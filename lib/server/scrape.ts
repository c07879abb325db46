/**
 * The server's counters over time, scraped on a timer of their own, off the hot path.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import { canonicalSeries, type ServerSeries, sumByKey } from "./counters.ts";
import { type Exposition, looksLikeExposition, parseExposition } from "./exposition.ts";
import type { ServerFacts } from "./facts.ts";
import { KvmarkError } from "../errors.ts";
import { type CounterHits, hitsFromCounters } from "./hits.ts";
import { send, type ServerAccess, type ServerReply } from "./http.ts";

/** One scrape. */
export interface ServerSample {
  /** Middle of the scrape, on the run's clock. */
  readonly atMs: number;
  readonly series: readonly ServerSeries[];
  /** The same instant on this machine's wall clock. */
  readonly wallAtMs?: number;
  /** When each process behind the route was started, by its own clock (`process_start_time`). */
  readonly startedAtSec?: ReadonlyMap<string, number>;
}

/** A server that was started again, and how that is known. */
export interface Restart {
  /** By the server's clock, where it tells it; else when it was seen. */
  readonly wallAtMs: number;
  readonly evidence: string;
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
  /** Leaves the route alone from now on, for this reason. */
  disable(reason: string): void;
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
  /** Gets a warning when the route is given up, and at each gap. */
  readonly onWarning?: (text: string) => void;
}

const SCRAPE_TIMEOUT_MS = 10_000;
/** Of a route that has just failed: a server that hangs must not hold up every period. */
const RETRY_TIMEOUT_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Starts to scrape. Never throws. A route that answers with something else than metrics is left
 * alone from then on, because a bad route may cost the server more than it tells (trtllm-serve).
 * One that has told metrics before, or does not answer, has a gap: it is asked again, on the timer
 * after pauses that double.
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
  /** In a row. */
  #failures = 0;
  #hasTold = false;

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
      const pauseMs = intervalMs * 2 ** Math.min(this.#failures, 16);
      await clock.sleep(
        Math.max(intervalMs, Math.min(pauseMs, LONGEST_PAUSE_MS)),
        this.#stop.signal,
      );
    }
  }

  #scrapeOnce(): Promise<void> {
    this.#running ??= this.#scrape().finally(() => this.#running = undefined);
    return this.#running;
  }

  async #scrape(): Promise<void> {
    const { access: { patience: _, ...access }, clock, facts: { metricsUrl } } = this.#options;
    if (metricsUrl === undefined || this.disabled !== undefined || this.#stop.signal.aborted) {
      return;
    }
    try {
      const startedAtMs = clock.nowMs();
      const reply = await send(access, {
        path: metricsUrl,
        timeoutMs: this.#failures === 0 ? SCRAPE_TIMEOUT_MS : RETRY_TIMEOUT_MS,
        signal: this.#stop.signal,
      });
      this.#take(reply, (startedAtMs + clock.nowMs()) / 2);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#gap(error instanceof KvmarkError ? `fails: ${error.message}` : "fails");
    }
  }

  #take(reply: ServerReply, atMs: number): void {
    const exposition = parseExposition(reply.text);
    if (reply.status !== 200) {
      const isBusy = reply.status >= 500 || reply.status === 429;
      return this.#gap(`answers ${reply.status}`, !isBusy);
    }
    if (!looksLikeExposition(exposition)) return this.#gap("is not Prometheus text", true);
    if (reply.truncated || exposition.truncated) return this.#gap("is too long to be read", true);
    const { clock } = this.#options;
    this.#failures = 0;
    this.#hasTold = true;
    const startedAtSec = processStarts(exposition);
    this.samples.push({
      atMs,
      series: canonicalSeries(exposition),
      wallAtMs: clock.wallMs() - (clock.nowMs() - atMs),
      ...(startedAtSec.size === 0 ? {} : { startedAtSec }),
    });
  }

  /** @param isWrong What came is no answer of a metrics route that has a bad moment. */
  #gap(reason: string, isWrong = false): void {
    if (isWrong && !this.#hasTold) return this.disable(reason);
    if (this.#failures++ > 0) return;
    this.#options.onWarning?.(
      `the metrics route ${reason}; server counters have a gap until it answers again`,
    );
  }

  disable(reason: string): void {
    this.disabled = `the metrics route ${reason}`;
    this.#options.onWarning?.(`${this.disabled}; server counters are left out from here on`);
  }
}

function processStarts({ samples }: Exposition): ReadonlyMap<string, number> {
  const found = samples.filter(({ name, value }) =>
    /(?:^|[_:])process_start_time_seconds$/.test(name) && Number.isFinite(value) && value > 0
  );
  return new Map(
    found.map(({ name, labels, value }) => [`${name}${JSON.stringify(labels)}`, value]),
  );
}

/** The evidence of a {@linkcode Restart} that no start time tells. */
export const COUNTERS_FELL = "its counters fell";
/** Two readings of one start may differ so much. */
const START_PLAY_SEC = 2;
/** The server's clock and this one may differ so much where a start is told to be recent. */
const CLOCK_PLAY_MS = 60_000;

/**
 * The last restart that the samples show. Pure.
 *
 * Counters that fall mean a restart only where no start time says that it is the same process. A
 * start that changes to one that lies long before the scrape is that of another process behind the
 * same address.
 */
export function restartIn(samples: readonly ServerSample[]): Restart | undefined {
  let found: Restart | undefined;
  for (const [index, now] of samples.entries()) {
    const before = samples[index - 1];
    if (before === undefined) continue;
    const wallAtMs = now.wallAtMs ?? now.atMs;
    const knowsStarts = before.startedAtSec !== undefined && now.startedAtSec !== undefined;
    const startMs = newStartMs(before, now);
    if (startMs !== undefined) {
      found = { wallAtMs: startMs, evidence: "its start time changed" };
    } else if (!knowsStarts && hasRestarted([before, now])) {
      found = { wallAtMs, evidence: COUNTERS_FELL };
    }
  }
  return found;
}

function newStartMs(before: ServerSample, now: ServerSample): number | undefined {
  const earliestMs = (before.wallAtMs ?? before.atMs) - CLOCK_PLAY_MS;
  for (const [id, seconds] of now.startedAtSec ?? []) {
    const was = before.startedAtSec?.get(id);
    if (was === undefined || seconds - was <= START_PLAY_SEC) continue;
    if (seconds * 1000 >= earliestMs) return seconds * 1000;
  }
  return undefined;
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
  const restarted = hasRestarted(window) || restartIn(window) !== undefined;
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
