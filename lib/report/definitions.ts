/**
 * What the words of a report mean, printed in every report: the catalogue of metrics, and the terms
 * that it builds on.
 *
 * @module
 */

import { type Metric, METRIC_RULES, METRICS } from "../metrics/catalogue.ts";

/** One term, as a reader needs it. */
export interface Definition {
  readonly name: string;
  readonly unit?: string;
  readonly definition: string;
}

const TERMS: readonly Definition[] = [
  {
    name: "Nominal hit rate",
    unit: "%",
    definition: "What the cell asked for: the share of each prompt that an earlier prompt shares.",
  },
  {
    name: "Working set",
    unit: "tokens",
    definition: "The pool of distinct prompts that are kept warm: prompts × context size.",
  },
  {
    name: "Peak",
    definition: "The concurrency with the highest input throughput among those that met the" +
      " limits. A cell is reported at its peak, over all periods at that concurrency.",
  },
];

/** The definitions of what kvmark measures. */
export const DEFINITIONS: readonly Definition[] = [
  ...METRICS.map(metricDefinition),
  ...TERMS,
  ...METRIC_RULES.map((rule, index): Definition => ({
    name: index === 0 ? "Rules" : "",
    definition: plain(rule),
  })),
];

function metricDefinition(metric: Metric): Definition {
  const note = metric.note === undefined ? "" : `. ${metric.note}`;
  return {
    name: metric.title,
    ...(metric.displayUnit === "" ? {} : { unit: metric.displayUnit }),
    definition: plain(`${metric.formula}${note}`),
  };
}

/** The catalogue marks code as Markdown does; a report has no use for the marks. */
function plain(text: string): string {
  return text.replaceAll("`", "");
}

/** What the figures of a folder of the Python suite mean: they are not kvmark's. */
export const PYTHON_DEFINITIONS: readonly Definition[] = [
  {
    name: "Written by the Python suite",
    definition: "The figures of this folder were computed by kv-cache-tester and are shown as it" +
      " wrote them. Prompt tokens are nominal, and failed requests left no row.",
  },
  {
    name: "TTFT, TTLT",
    unit: "s",
    definition: "Time from the call of the client library to the first or last text, by the wall" +
      " clock; hidden retries and the client's own delays are inside.",
  },
  {
    name: "Throughput",
    unit: "tokens/s",
    definition: "Tokens of the finished requests of a phase over first launch to last finish;" +
      " in sustained mode, tokens that were finished in a period over its length.",
  },
  {
    name: "Percentiles",
    definition:
      "In summaries of the suite the mean of the percentiles of each phase; in graphs of" +
      " request rows, taken over the rows by linear interpolation.",
  },
  ...TERMS.slice(0, 2),
];
