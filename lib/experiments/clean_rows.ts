/**
 * What a server said, made fit for a file: without the keys that were sent, and in one line.
 *
 * @module
 */

import { oneLine } from "../errors.ts";
import type { Redactor } from "../redaction.ts";
import type { RunDir } from "../results/run_dir.ts";

/** Columns whose text may come from a server. The others are kvmark's own, and some are keys of rows. */
const FOREIGN_COLUMNS = new Set([
  ...["model", "error", "finish_reason", "hit_rate_cause", "peak_reason", "decision_reason"],
  "unusable",
]);

/** One string from a server. */
export function cleanText(redact: Redactor): (text: string) => string {
  return (text) => redact(oneLine(text));
}

/** The folder of a run, whose rows are cleaned before they are written. */
export function withCleanRows(runDir: RunDir, redact: Redactor): RunDir {
  const clean = cleanText(redact);
  const row = <R extends object>(one: R): R =>
    Object.fromEntries(
      Object.entries(one).map((
        [name, value],
      ) => [name, FOREIGN_COLUMNS.has(name) && typeof value === "string" ? clean(value) : value]),
    ) as R;
  return {
    dir: runDir.dir,
    get timestamp() {
      return runDir.timestamp;
    },
    get runSeed() {
      return runDir.runSeed;
    },
    get attempt() {
      return runDir.attempt;
    },
    begin: (...args) => runDir.begin(...args),
    isFinished: (cellId) => runDir.isFinished(cellId),
    finishedRows: () => runDir.finishedRows(),
    appendDetails: (size, rows) => runDir.appendDetails(size, rows.map(row)),
    appendPhase: (one) => runDir.appendPhase(row(one)),
    appendSinglePrompt: (rows) => runDir.appendSinglePrompt(rows.map(row)),
    appendServerMetrics: (rows) => runDir.appendServerMetrics(rows),
    finishCell: (cellId, one, options) =>
      runDir.finishCell(cellId, one === undefined ? one : row(one), options),
    writeRunJson: (config) => runDir.writeRunJson(config),
    writeRunCommand: (argv) => runDir.writeRunCommand(argv),
    close: () => runDir.close(),
  };
}
