/**
 * Every metric, declared once: name, units, formula, where its parts come from, which way is
 * better, what it needs. `docs/metrics.md` and the definitions in the reports are printed from it.
 *
 * @module
 */

/** One metric. */
export interface Metric {
  /** As in the columns of the tables, without the statistic: `ttft`, not `p95_ttft`. */
  readonly name: string;
  /** For headings and axes. */
  readonly title: string;
  readonly group: "latency" | "throughput" | "cache" | "requests" | "client";
  /** Unit in the CSV files. */
  readonly unit: string;
  /** Unit for people. */
  readonly displayUnit: string;
  readonly formula: string;
  /** What it is computed from, and over which requests. */
  readonly source: string;
  readonly better: "lower" | "higher" | "neither";
  /** What the server or the run has to give; without it the metric is absent, never 0. */
  readonly needs: readonly string[];
  /** What a reader has to know to read it right. */
  readonly note?: string;
}

const LATENCY_SOURCE = "Answered requests that were sent in the window, without ramp-in";
const RATE_SOURCE = "Answered requests of the period, with the work that lies in the window";

/** All metrics, in the order of the documentation. */
export const METRICS = [
  {
    name: "ttft",
    title: "TTFT",
    group: "latency",
    unit: "s",
    displayUnit: "ms",
    formula: "first read with generated text, reasoning or a tool call - sent",
    source: LATENCY_SOURCE,
    better: "lower",
    needs: ["a streamed answer"],
    note: "Role-only and empty deltas do not count. `sent` is when the body went to the network.",
  },
  {
    name: "ttft_from_due",
    title: "TTFT from due",
    group: "latency",
    unit: "s",
    displayUnit: "ms",
    formula: "first read with generated content - due",
    source: LATENCY_SOURCE,
    better: "lower",
    needs: ["a streamed answer"],
    note: "TTFT with the client's own delay; much above TTFT means that the client is the limit.",
  },
  {
    name: "ttlt",
    title: "TTLT",
    group: "latency",
    unit: "s",
    displayUnit: "ms",
    formula: "last read with generated content - sent",
    source: LATENCY_SOURCE,
    better: "lower",
    needs: ["a streamed answer"],
  },
  {
    name: "tpot",
    title: "TPOT",
    group: "latency",
    unit: "s",
    displayUnit: "ms",
    formula: "(TTLT - TTFT) / (output tokens - tokens of the first read)",
    source: LATENCY_SOURCE,
    better: "lower",
    needs: ["output tokens", "at least two reads and one token after the first"],
    note:
      "One value a request. The Python suite's `itl` is this, with one token in the first read.",
  },
  {
    name: "itl",
    title: "ITL",
    group: "latency",
    unit: "s",
    displayUnit: "ms",
    formula: "gap between neighbouring reads that carried generated content",
    source: `${LATENCY_SOURCE}; the gaps of all requests pooled`,
    better: "lower",
    needs: ["at least two reads"],
    note: "A gap between reads, not tokens, where chunks carry several (`multi_token_chunks`).",
  },
  {
    name: "avg_output_tokens",
    title: "Decode rate of a request",
    group: "throughput",
    unit: "tokens/s",
    displayUnit: "tokens/s",
    formula: "(output tokens - tokens of the first read) / (TTLT - TTFT), mean over requests",
    source: LATENCY_SOURCE,
    better: "higher",
    needs: ["output tokens", "at least two reads and one token after the first"],
    note: "A rate and not a count; the name is the Python suite's.",
  },
  {
    name: "input_tokens_per_sec",
    title: "Input throughput",
    group: "throughput",
    unit: "tokens/s",
    displayUnit: "tokens/s",
    formula:
      "prompt tokens worked on in the window / window; work goes on as evenly as the times of sending and of first content allow",
    source: `${RATE_SOURCE}; prompt tokens as the server counts them, else as planned`,
    better: "higher",
    needs: [],
    note:
      "Computed + reused. What still waits in the server's queue at the end is not counted. With `--strict-time-window` only whole requests inside the window count.",
  },
  {
    name: "computed_tokens_per_sec",
    title: "Computed input throughput",
    group: "throughput",
    unit: "tokens/s",
    displayUnit: "tokens/s",
    formula:
      "(prompt - cached) tokens worked on in the window / window, by the rule of input throughput",
    source: RATE_SOURCE,
    better: "neither",
    needs: ["cached tokens of every answered request"],
  },
  {
    name: "reused_tokens_per_sec",
    title: "Reused input throughput",
    group: "throughput",
    unit: "tokens/s",
    displayUnit: "tokens/s",
    formula:
      "cached prompt tokens worked on in the window / window, by the rule of input throughput",
    source: RATE_SOURCE,
    better: "neither",
    needs: ["cached tokens of every answered request"],
  },
  {
    name: "unanswered_input_percent",
    title: "Input that was not answered yet",
    group: "throughput",
    unit: "%",
    displayUnit: "%",
    formula: "1 - prompt tokens with first content in the window / input in the window",
    source: RATE_SOURCE,
    better: "lower",
    needs: [],
    note:
      "How far input throughput can be too high at most. 100 % where no answer came in the window.",
  },
  {
    name: "output_tokens_per_sec",
    title: "Output throughput",
    group: "throughput",
    unit: "tokens/s",
    displayUnit: "tokens/s",
    formula:
      "Σ tokens of the reads in the window / window; those after the first read in equal shares",
    source: RATE_SOURCE,
    better: "higher",
    needs: ["output tokens of every answered request"],
  },
  {
    name: "achievable_hit_rate",
    title: "Achievable hit rate",
    group: "cache",
    unit: "%",
    displayUnit: "%",
    formula: "Σ shared prompt tokens that whole blocks can serve / Σ prompt tokens",
    source: "Answered requests of the period",
    better: "neither",
    needs: [],
    note: "The nominal rate after rounding to chunks and blocks; the last token is computed.",
  },
  {
    name: "observed_hit_rate",
    title: "Observed hit rate",
    group: "cache",
    unit: "%",
    displayUnit: "%",
    formula: "Σ cached prompt tokens / Σ prompt tokens",
    source: "Answered requests of the period, both counts as the server reported them",
    better: "neither",
    needs: ["cached tokens of every answered request"],
  },
  {
    name: "total_requests",
    title: "Answered requests",
    group: "requests",
    unit: "",
    displayUnit: "",
    formula: "requests launched - requests failed",
    source: "All requests of the period",
    better: "neither",
    needs: [],
  },
  {
    name: "failed_requests",
    title: "Failed requests",
    group: "requests",
    unit: "",
    displayUnit: "",
    formula: "requests without a complete answer, by kind",
    source: "All requests of the period",
    better: "lower",
    needs: [],
    note: "A failed request changes no other figure.",
  },
  {
    name: "multi_token_chunks",
    title: "Requests with several tokens a chunk",
    group: "requests",
    unit: "",
    displayUnit: "",
    formula: "requests with output tokens - 1 > 1.1 x stream events that carried content",
    source: "Answered requests of the period",
    better: "neither",
    needs: ["output tokens, not counted from chunks"],
  },
  {
    name: "due_to_sent",
    title: "Client delay before sending",
    group: "client",
    unit: "ms",
    displayUnit: "ms",
    formula: "sent - due",
    source: "Requests of the period, failed ones included",
    better: "lower",
    needs: [],
  },
  {
    name: "event_loop_lag",
    title: "Event-loop lag",
    group: "client",
    unit: "ms",
    displayUnit: "ms",
    formula: "how late a timer of a load worker fires",
    source: "The worst worker; of several periods the worst",
    better: "lower",
    needs: [],
    note: "A read is stamped late by up to this much.",
  },
  {
    name: "client_cpu_cores",
    title: "Client CPU",
    group: "client",
    unit: "cores",
    displayUnit: "cores",
    formula: "CPU time of the process / wall time",
    source: "From the start of the period until its last request ended",
    better: "lower",
    needs: [],
  },
  {
    name: "client_share_throughput_percent",
    title: "Client's share of the throughput",
    group: "client",
    unit: "%",
    displayUnit: "%",
    formula:
      "Σ (from when an end may have been there, unseen, to when the next request was sent) / (concurrency x window)",
    source: "Requests of the period; time inside the window only",
    better: "lower",
    needs: [],
    note:
      "What the client's own delays can account for at most. Pauses after failures are not its.",
  },
  {
    name: "client_share_ttft_p95_percent",
    title: "Client's share of TTFT",
    group: "client",
    unit: "%",
    displayUnit: "%",
    formula: "(p95 of TTFT from due - p95 of TTFT without the time held up) / p95 of TTFT",
    source: LATENCY_SOURCE,
    better: "lower",
    needs: ["a streamed answer"],
    note:
      "The same for p50 and p99. A read that comes in a stall of the event loop may have waited since the stall began. Requests that overlap a stall of 0.25 s are left out of latencies, and counted.",
  },
  {
    name: "client_limited",
    title: "Client limited",
    group: "client",
    unit: "",
    displayUnit: "",
    formula:
      "the client's share of the throughput or of TTFT p50, p95 or p99 is over 5 % of that figure",
    source: "The delays of the requests themselves, and when the event loops were held up",
    better: "neither",
    needs: [],
    note: "`client_marks` names the figures. A level whose throughput is marked is no peak.",
  },
] as const satisfies readonly Metric[];

/** Rules that several metrics share, as sentences for the documentation. */
export const METRIC_RULES = [
  "The window of a period lasts from its start until launching stopped; requests in flight are then drained and count with the work that was done inside the window, as evenly as the times of sending and of first content allow: not before it was sent, finished at first content, no faster than the fastest answer of the period.",
  "Ramp-in: the first request of each slot, which all start together, is left out of latencies if at least max(concurrency, 4) others remain. It counts for throughput and hit rates.",
  "Percentiles interpolate linearly between closest ranks (the NumPy default). Those of a cell are taken over the requests of all its periods at the peak, and its rates are Σ tokens / Σ window.",
  "A failed request is counted by its kind and changes no other figure. A figure whose parts are missing is absent.",
  "Output tokens are the server's `usage.completion_tokens`; without them the chunks with content are counted, and the row says so.",
  "Intervals are bootstrap percentile intervals over requests (2,000 resamples, 95 %). Requests of one period wait for each other, so the true interval is somewhat wider.",
] as const;

/** The declaration of a metric by its name. */
export function metricNamed(name: string): Metric | undefined {
  return METRICS.find((metric) => metric.name === name);
}
