/**
 * The answer of a run in one sentence, two lines at most.
 *
 * @module
 */

import { damageOfRun } from "./damage.ts";
import type { RunData } from "../results/schema.ts";
import type { MapSeries, MapTier } from "../results/tier_map_file.ts";
import { formatBytes, formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import type { Gain } from "./gains.ts";
import { cellText, distinct } from "./points.ts";
import { boundedRatio, formatRatio } from "./ratios.ts";

/** Whether the hit rates were the intended ones. */
export type Verdict = "confirmed" | "differs" | "unchecked" | "none";

/** A ratio up to which throughput counts as unchanged. */
const UNCHANGED = 1.1;
/** A point between the ends of a sweep is worth a word if it is this much above both. */
const HIGHER = 1.05;

/** The verdict, with what a good one is called. */
interface Proof {
  readonly verdict: Verdict;
  readonly confirmed: string;
}

/** The headline of a run. */
export function headlineOf(
  run: RunData,
  { verdict, confirmed }: Proof,
  gains: readonly Gain[],
): string {
  if (run.sustained.length > 0 && run.summary.length === 0) {
    return "Periods of the Python suite, without a summary and without proof of the hit rates";
  }
  if (verdict === "none") {
    return damageOfRun(run).length > 0
      ? "No figure can be made of the rows that are left"
      : "No cell finished: there is nothing to report yet";
  }
  const tiers = run.kind === "working-set" ? tierHeadline(run) : undefined;
  if (tiers !== undefined) return tiers;
  const ordered = gains.filter((gain) => gain.ratio !== undefined)
    .sort((a, b) => (b.ratio ?? 0) - (a.ratio ?? 0));
  const best = ordered[0];
  const worst = ordered.at(-1);
  if (best === undefined || worst === undefined) {
    return singlePoint(run);
  }
  return best.along === "working-set"
    ? setHeadline({ verdict, confirmed }, worst)
    : rateHeadline(verdict, best) + between(run, best) +
      (best.caution === undefined ? "" : ` (${best.caution})`);
}

function singlePoint(run: RunData): string {
  if (run.kind === "single-prompt") {
    return "Cold and cached requests cannot be compared: one of the two is missing";
  }
  const measured = run.summary.filter((row) => (row.input_tokens_per_sec ?? 0) > 0);
  const row = measured[0];
  if (row === undefined) return "No request succeeded";
  return measured.length > 1
    ? "One point in each series: nothing to compare with"
    : `${formatShort(row.input_tokens_per_sec)} input tokens/s with ${cellText(row)};` +
      " one cell, nothing to compare with";
}

function rateHeadline(verdict: Verdict, best: Gain): string {
  const where = best.along === "single-prompt" ? `for ${best.at}` : `at ${best.at}, ${best.where}`;
  const change = boundedRatio(best, "lower");
  const much = (best.ratio ?? 1) < 0.995
    ? `${best.what.replace(/^the /, "")} ${change} ${where}`
    : `${change} ${best.what} ${where}`;
  const flat = (best.ratio ?? 0) < UNCHANGED;
  if (verdict === "differs") return `Not the intended hit rates: ${much}`;
  if (verdict === "unchecked") {
    return flat
      ? `No effect of the hit rate seen, and no proof of hits: ${much}`
      : `${much}, without proof of hits`;
  }
  return flat ? `The cache is used but brings no gain: ${much}` : `Caching works: ${much}`;
}

/** A rate between the ends of the sweep at which throughput is higher than at both. */
function between(run: RunData, { along, where }: Gain): string {
  if (along !== "hit-rate") return "";
  const points = run.summary.filter((row) =>
    `${formatCount(row.context_size)}-token prompts` === where &&
    (row.input_tokens_per_sec ?? 0) > 0
  ).sort((a, b) => (a.cache_hit_rate ?? 0) - (b.cache_hit_rate ?? 0));
  const rate = (row: (typeof points)[number] | undefined) => row?.input_tokens_per_sec ?? NaN;
  const ends = Math.max(rate(points[0]), rate(points.at(-1)));
  const best = points.slice(1, -1).reduce<(typeof points)[number] | undefined>(
    (a, b) => a === undefined || rate(b) > rate(a) ? b : a,
    undefined,
  );
  return best === undefined || !(rate(best) > HIGHER * ends)
    ? ""
    : `; highest at ${formatPercent(best.cache_hit_rate)}, ${
      formatRatio(rate(best) / rate(points[0]))
    }`;
}

/** `HBM holds 28k tokens, DRAM 24k more, SSD 24k more; a miss costs 129 ms`. */
function tierHeadline({ tierMap, summary }: RunData): string | undefined {
  const series = tierMap?.series[0];
  if (series === undefined || series.sizes.length === 0) return undefined;
  const cached = series.tiers.filter((tier) => tier.name !== "recompute");
  const held = cached.flatMap((tier, i) => holding(tier, i) ?? []);
  if (series.knees.length === 0) return flatHeadline(series, tierMap?.kvBytesPerToken, summary);
  if (held.length === 0) return undefined;
  const [first] = cached;
  const cost = first?.missCostMs === undefined
    ? ""
    : `; a miss costs ${formatMs(first.missCostMs)}`;
  const one = tierMap!.series.length > 1
    ? ` (${formatCount(series.contextSizeTokens)}-token prompts at ${
      formatPercent(series.hitRatePercent)
    })`
    : "";
  return held.join(", ") + cost + one;
}

function holding({ name, capacity }: MapTier, index: number): string | undefined {
  const tokens = capacity?.tokens;
  if (capacity === undefined || tokens === undefined) return undefined;
  const gib = capacity.gib === undefined ? "" : ` (${formatBytes(capacity.gib * 2 ** 30)})`;
  if (index === 0) {
    return `${name === "cache" ? "The cache" : name} holds ${formatShort(tokens)} tokens${gib}`;
  }
  // An inclusive tier holds what is above it once more.
  return capacity.reading === "inclusive"
    ? `${name} ${formatShort(tokens)} in all${gib}`
    : `${name} ${formatShort(tokens)} more${gib}`;
}

/** Without an end in sight: how far the sweep went, and what throughput did. */
function flatHeadline(
  series: MapSeries,
  bytesPerToken: number | undefined,
  summary: RunData["summary"],
): string | undefined {
  const rates = distinct(
    summary.filter((row) =>
      row.context_size === series.contextSizeTokens && row.cache_hit_rate === series.hitRatePercent
    ).map((row) => row.input_tokens_per_sec),
  );
  const [least, most] = [rates[0], rates.at(-1)];
  if (least === undefined || most === undefined || series.sizes.length < 2) return undefined;
  const largest = Math.max(
    ...series.sizes.map((size) => size.workingSetTokens),
    ...summary.map((row) => row.working_set_size ?? 0),
  );
  const size = bytesPerToken === undefined ? "" : ` (${formatBytes(largest * bytesPerToken)})`;
  return `No knee up to ${formatShort(largest)} tokens${size}: input throughput between ` +
    `${formatShort(least)} and ${formatShort(most)} tokens/s`;
}

function setHeadline({ verdict, confirmed }: Proof, gain: Gain): string {
  const ratio = gain.ratio ?? NaN;
  const verb = ratio > 1 / UNCHANGED && ratio < UNCHANGED
    ? "stays about the same"
    : ratio < 1
    ? "falls"
    : "rises";
  const proof = {
    confirmed,
    differs: "not the intended hit rates",
    unchecked: "hit rates not proven",
    none: "no finished cell",
  }[verdict];
  const caution = gain.caution === undefined ? "" : ` (${gain.caution})`;
  return `Input throughput ${verb} from ${formatShort(gain.inputBefore)} to ` +
    `${formatShort(gain.inputAfter)} tokens/s from the smallest to the largest set; ` +
    `${proof}${caution}`;
}
