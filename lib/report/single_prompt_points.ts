/**
 * A single-prompt run as points of two hit rates: cold prompts are 0 %, repeated ones 100 %.
 *
 * @module
 */

import type { ComparedRequest } from "../metrics/compared_metrics.ts";
import type { SinglePromptRow, SummaryRow } from "../results/schema.ts";
import { distinct, meanOf, percentileOf, type Point } from "./points.ts";

/** One point, and its requests. */
export interface SinglePromptPoint {
  readonly point: Point;
  readonly requests: readonly ComparedRequest[];
}

/** The points of each context size that have an answered request. */
export function singlePromptPoints(rows: readonly SinglePromptRow[]): SinglePromptPoint[] {
  const answered = rows.filter((row) => (row.error_kind ?? "") === "" && (row.ttft ?? 0) > 0);
  return distinct(answered.map((row) => row.context_size)).flatMap((context) => {
    const here = answered.filter((row) => row.context_size === context);
    return [
      ...pointOf(context, 0, here.filter((row) => row.prompt_type === "unique")),
      ...pointOf(context, 100, here.filter((row) => row.prompt_type?.startsWith("cached"))),
    ];
  });
}

function pointOf(
  context: number,
  rate: number,
  rows: readonly SinglePromptRow[],
): SinglePromptPoint[] {
  if (rows.length === 0) return [];
  const requests = rows.map(requestOf);
  const row: SummaryRow = {
    context_size: context,
    cache_hit_rate: rate,
    total_requests: rows.length,
    ...spreadOf("ttft", requests.map((one) => one.ttft)),
    ...spreadOf("ttlt", requests.map((one) => one.ttlt)),
    ...spreadOf("tpot", requests.map((one) => one.tpot)),
    ...defined("avg_output_tokens", meanOf(present(requests.map((one) => one.decodeRate)))),
  };
  return [{ point: { contextSizeTokens: context, hitRatePercent: rate, row }, requests }];
}

function requestOf(row: SinglePromptRow): ComparedRequest {
  const ttlt = row.ttlt ??
    (row.generation_time === undefined ? undefined : (row.ttft ?? NaN) + row.generation_time);
  return {
    measured: true,
    ...defined("ttft", row.ttft),
    ...defined("ttlt", ttlt),
    ...defined("tpot", row.tpot),
    ...defined("decodeRate", row.output_tokens_per_sec),
  };
}

function spreadOf(name: "ttft" | "ttlt" | "tpot", values: readonly (number | undefined)[]) {
  const sorted = present(values).sort((a, b) => a - b);
  return {
    ...defined(`avg_${name}`, meanOf(sorted)),
    ...defined(`median_${name}`, percentileOf(sorted, 50)),
    ...defined(`p95_${name}`, percentileOf(sorted, 95)),
    ...defined(`p99_${name}`, percentileOf(sorted, 99)),
  };
}

function present(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

function defined<Key extends string>(key: Key, value: number | undefined) {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: number };
}
