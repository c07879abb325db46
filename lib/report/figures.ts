/**
 * Every graph of a run: rows in, plotly figure JSON out. Pure.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";
import { cacheRateGraphs } from "./cache_rate_figures.ts";
import type { Graph } from "./figure.ts";
import { verdictSentence } from "./findings.ts";
import { arrangeRows, type RunRows } from "./points.ts";
import { rampGraphs } from "./ramp_figures.ts";
import { distributionGraphs, requestTimeGraphs } from "./request_figures.ts";
import { serverMetricsGraphs } from "./server_metrics_figures.ts";
import { singlePromptGraphs } from "./single_prompt_figures.ts";
import { sustainedGraphs } from "./sustained_figures.ts";
import { tierMapGraphs } from "./tier_map_figures.ts";
import { workingSetGraphs } from "./working_set_figures.ts";

/**
 * The graphs of a run, most important first. Names are unique; they are the names of the pages.
 *
 * @param rows `arrangeRows(run)`, where the caller has it already.
 */
export function graphsOf(run: RunData, rows: RunRows = arrangeRows(run)): Graph[] {
  const verdicts = verdictSentence(run);
  const graphs = run.kind === "single-prompt" ? singlePromptGraphs(run) : [
    ...tierMapGraphs(run),
    ...(run.kind === "cache-rate" ? cacheRateGraphs(run, rows) : workingSetGraphs(run, rows)),
    ...distributionGraphs(run, rows),
    ...requestTimeGraphs(rows),
    ...rampGraphs(run, rows),
    ...sustainedGraphs(run),
  ];
  return [...graphs, ...serverMetricsGraphs(run)].map((graph) => ({
    ...graph,
    // A graph is sent to others without its dashboard.
    about: `${graph.about} ${verdicts}`.trim(),
  }));
}
