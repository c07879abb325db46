/**
 * What the words of a report mean, printed in every report.
 *
 * @module
 */

/** One term, as a reader needs it. */
export interface Definition {
  readonly name: string;
  readonly unit?: string;
  readonly definition: string;
}

/** The terms that graphs and tables use. */
export const DEFINITIONS: readonly Definition[] = [
  {
    name: "TTFT",
    unit: "time",
    definition: "Time to first token: the first read that carries generated text, reasoning or a" +
      " tool-call delta, minus the instant at which the request was handed to the network." +
      " Role-only and empty deltas do not count.",
  },
  { name: "TTLT", unit: "time", definition: "Time to last token: the last such read minus sent." },
  {
    name: "ITL",
    unit: "time",
    definition: "Gaps between reads that carry generated content. Where chunks carry several" +
      " tokens this is time per chunk.",
  },
  {
    name: "TPOT",
    unit: "time",
    definition: "(TTLT − TTFT) / (output tokens − tokens of the first chunk), per request.",
  },
  {
    name: "Decode rate",
    unit: "tokens/s",
    definition: "Output tokens of one request over the time from its first to its last token.",
  },
  {
    name: "Input throughput",
    unit: "tokens/s",
    definition: "Prompt tokens of successful requests per second of the window: each prompt is" +
      " spread evenly over the time from sent to first token, and the part inside the window" +
      " counts. Reused tokens are those that the server reported as cached; computed tokens are" +
      " the rest.",
  },
  {
    name: "Output throughput",
    unit: "tokens/s",
    definition: "Generated tokens per second of the window, spread evenly between the first and" +
      " the last token of each request.",
  },
  {
    name: "Nominal, achievable, observed hit rate",
    unit: "%",
    definition: "What the cell asked for; what the prompts allow after rounding to chunks and" +
      " blocks, the last block being recomputed; what the server reported, over all prompt tokens.",
  },
  {
    name: "Peak",
    definition: "The concurrency with the highest input throughput among those that met the" +
      " limits. A cell is reported at its peak, pooled over the periods at that concurrency.",
  },
  {
    name: "Working set",
    unit: "tokens",
    definition: "The pool of distinct prompts that are kept warm: prompts × context size.",
  },
  {
    name: "Percentiles",
    definition: "Linear interpolation between closest ranks, over the requests of all periods at" +
      " the peak together. The first request of each slot of a period is left out where enough" +
      " others remain; failed requests never count.",
  },
  {
    name: "Client-limited",
    definition: "The measuring client sent late, its event loop lagged or its CPU was full: the" +
      " figures may describe the client instead of the server.",
  },
];

/** What the figures of a folder of the Python suite mean, where that differs. */
export const PYTHON_DEFINITIONS: readonly Definition[] = [
  {
    name: "Written by the Python suite",
    definition: "The figures of this folder were computed by kv-cache-tester and are shown as it" +
      " wrote them: throughput divides the tokens of finished requests by the time from the first" +
      " launch to the last finish; percentiles are means over periods; prompt tokens are nominal;" +
      " TTFT is wall-clock time including the client's own delays; failed requests left no row.",
  },
];
