/**
 * The text of plotly, which draws the graphs of a report. It is larger than all the rest of kvmark
 * together, so import this module only when a report is written.
 *
 * `scripts/build.ts` puts a packed copy in the place of this module, so that what does not draw
 * does not read it: `--help` of the bundle takes 124 ms instead of 174 (docs/performance.md).
 *
 * @module
 */

import source from "plotly.min.js" with { type: "text" };

/** Plotly as its package has it: `plotly.min.js`, UTF-8. */
export function plotlySource(): string {
  return source;
}
