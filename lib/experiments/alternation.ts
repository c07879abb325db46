/**
 * Loaded and recomputed requests in turn (`--alternate-recompute`): what loading saves, on one
 * server and under one load.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { isAnswered, promptTokens, ttftMs } from "../metrics/durations.ts";
import { percentile, sortedCopy } from "../metrics/intervals.ts";
import type { PeriodOutcome, RequestLabels, RequestRecord } from "../record.ts";
import { ENGINE_TITLES, type ServerFacts } from "../server/facts.ts";
import { recomputeOf } from "../server/recompute.ts";
import type { AlternatedTtft } from "./rows.ts";

/** What a request is told beside its prompt. */
export type Turn = Pick<RequestLabels, "recompute">;

/**
 * Loaded and recomputed in turn. In a cycle of an even number of prompts the turn changes after
 * each round, so that every prompt has both.
 */
export function alternation(alternate: boolean, promptCount: number): () => Turn {
  if (!alternate) return () => ({});
  let turn = 0;
  return () => {
    const rounds = promptCount % 2 === 0 ? Math.floor(turn / promptCount) : 0;
    return (turn++ + rounds) % 2 === 1 ? { recompute: true } : {};
  };
}

/**
 * Refuses servers that cannot be told to recompute.
 *
 * @throws {KvmarkError} `usage`, with the server and what would enable it.
 */
export function requireRecompute(facts: readonly ServerFacts[]): void {
  for (const { engine, baseUrl, capabilities: { recompute } } of facts) {
    if (recompute.state !== "no" && recomputeOf(engine) !== undefined) continue;
    throw new KvmarkError(
      "usage",
      `Cannot alternate: ${ENGINE_TITLES[engine]} at ${baseUrl} cannot be told to recompute`,
      {
        problems: [recompute.evidence],
        hint: recompute.enable ?? "leave --alternate-recompute out",
      },
    );
  }
}

/** The two halves of an alternated cell. */
export interface Alternated {
  /** Of the requests that were free to load: what the verdict rests on. */
  readonly loaded: ReuseRates;
  readonly recomputed: ReuseRates;
  readonly ttft: AlternatedTtft;
  /** One sentence; a warning where telling the server had no effect. */
  readonly note: { readonly text: string; readonly isWarning: boolean } | undefined;
  /** What keeps the two TTFTs from being compared, as a warning. */
  readonly caution?: string;
}

/** Token-weighted, in percent of the prompt tokens. */
interface ReuseRates {
  readonly achievablePercent?: number;
  readonly reportedPercent?: number;
}

/** Splits the requests of a cell; nothing if none was told to recompute. */
export function alternatedOf(outcomes: readonly PeriodOutcome[]): Alternated | undefined {
  const answered = outcomes.flatMap(({ records }) => records).filter(isAnswered);
  const [told, free] = [true, false].map((wanted) =>
    answered.filter(({ labels }) => (labels.recompute === true) === wanted)
  );
  if (told === undefined || free === undefined || told.length === 0) return undefined;
  const [loaded, recomputed] = [ratesOf(free), ratesOf(told)];
  const [loadedMs, recomputedMs] = [medianTtftMs(free), medianTtftMs(told)];
  const caution = cautionOf(outcomes);
  return {
    loaded,
    recomputed,
    ttft: {
      ...(loadedMs === undefined ? {} : { loadedMs }),
      ...(recomputedMs === undefined ? {} : { recomputedMs }),
    },
    note: noteOf(loaded.reportedPercent, recomputed.reportedPercent),
    ...(caution === undefined ? {} : { caution }),
  };
}

/**
 * Requests that are in flight together share the prefill: a loaded one may wait for a recomputed
 * one or the other way round, as they happen to arrive.
 */
function cautionOf(outcomes: readonly PeriodOutcome[]): string | undefined {
  const most = outcomes.reduce((level, { concurrency }) => Math.max(level, concurrency), 0);
  if (most <= 1) return undefined;
  return `with ${most} requests in flight, loaded and recomputed ones wait for each other: their ` +
    "TTFTs say what loading saves only with one in flight";
}

function ratesOf(records: readonly RequestRecord[]): ReuseRates {
  const tokens = sumOf(records.map(promptTokens));
  if (tokens === 0) return {};
  const achievable = sumOf(records.map(({ plan }) => plan.achievableTokens));
  const cached = records.flatMap(({ usage }) => usage?.cachedTokens ?? []);
  return {
    achievablePercent: 100 * achievable / tokens,
    ...(cached.length < records.length ? {} : { reportedPercent: 100 * sumOf(cached) / tokens }),
  };
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function medianTtftMs(records: readonly RequestRecord[]): number | undefined {
  return percentile(sortedCopy(records.flatMap((record) => ttftMs(record) ?? [])), 50);
}

/** A difference of reuse below this is none. */
const LEAST_PERCENT = 1;

function noteOf(loaded: number | undefined, recomputed: number | undefined): Alternated["note"] {
  if (loaded === undefined || recomputed === undefined) return undefined;
  const percent = (value: number) => `${Number(value.toFixed(1))} %`;
  const text = `Loaded requests reused ${percent(loaded)}, recomputed ones ${percent(recomputed)}`;
  return loaded - recomputed >= LEAST_PERCENT ? { text: `${text}.`, isWarning: false } : {
    text: `${text}: telling the server to recompute changed nothing (all of it in HBM, or the ` +
      "server does not know the field).",
    isWarning: true,
  };
}
