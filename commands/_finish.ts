/**
 * The end of an experiment: report, table, exit code.
 *
 * @module
 */

import { formatError, KvmarkError, userError } from "../lib/errors.ts";
import type { RunResult, Signals } from "../lib/experiments/config.ts";
import { type ErrorHandling, runProblem } from "../lib/experiments/error_handling.ts";
import type { Host } from "../lib/host.ts";
import type { ExperimentKind, SummaryRow } from "../lib/results/schema.ts";

/** A result as stdout shows it. */
export interface ResultView {
  /** Aligned lines for a terminal of so many columns. */
  table(columns: number): string;
  /** The lines of the Python suite. */
  brief(): string;
  /** Fields of the object of `--json`. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Writes what belongs to the result besides the rows and the pages. */
  readonly write?: () => Promise<void>;
}

/** How the result is given. */
export interface FinishOptions {
  readonly experiment: ExperimentKind;
  readonly dir: string;
  readonly json: boolean;
  readonly skipGraphs: boolean;
  readonly requireVerified: boolean;
  readonly errors: ErrorHandling;
  readonly brief: boolean;
  readonly view: (result: RunResult) => Promise<ResultView> | ResultView;
  /**
   * Writes what a pipeline reads, and checks its limits; called for a run that failed too, with
   * what is wrong with it.
   */
  readonly reports?: (problem: KvmarkError | undefined) => Promise<void>;
}

/** Writes the pages and prints the result. @throws {KvmarkError} For every exit code but 0. */
export async function finish(host: Host, result: RunResult, options: FinishOptions): Promise<void> {
  const { dir, experiment } = options;
  const { rows, warnings } = result;
  const view = await options.view(result);
  let page: string | undefined;
  let unwritten: KvmarkError | undefined;
  try {
    await view.write?.();
    if (!options.skipGraphs && rows.length > 0) page = await writePages(host, dir);
  } catch (error) {
    // The result is known all the same, and printed first.
    unwritten = pagesError(dir, error);
  }
  if (options.json) {
    const report = { experiment, ...view.json, warnings, output_dir: dir, index: page ?? null };
    host.stdout.write(`${JSON.stringify(report)}\n`);
  } else if (options.brief) {
    host.stdout.write(view.brief());
  } else if (rows.length > 0) {
    const columns = host.stdout.isTerminal ? host.stdout.columns() : Infinity;
    host.stdout.write(view.table(columns));
    host.stdout.write(`\n${page === undefined ? `results: ${dir}` : `dashboard: ${page}`}\n`);
  }
  const problem = unwritten ?? problemOf(result, options);
  try {
    await options.reports?.(problem);
  } catch (error) {
    if (problem === undefined) throw error;
    // The run failed already: that is the exit code, and this one is told beside it.
    host.stderr.write(`${formatError(userError(error))}\n`);
  }
  if (problem !== undefined) throw problem;
}

/** What is wrong with a result, as the error that ends the command. */
function problemOf(result: RunResult, options: FinishOptions): KvmarkError | undefined {
  if (result.interrupted) {
    return new KvmarkError("interrupted", "Interrupted; the finished cells are kept", {
      hint: "run the same command again to go on",
    });
  }
  const failure = failureOf(result, options);
  if (failure !== undefined || !options.requireVerified) return failure;
  // From the rows, so that the cells of an earlier attempt count too.
  const differing = result.rows.filter((row) => isUnverified(row, options.experiment)).length;
  if (differing === 0) return undefined;
  return new KvmarkError(
    "unverified",
    `In ${differing} cells the hit rate was not the one intended`,
    { hint: "the column hit_rate_cause says what is likely" },
  );
}

/** That a working set outgrows the cache is what a working-set run is after. */
function isUnverified(row: SummaryRow, experiment: ExperimentKind): boolean {
  const expected = experiment === "working-set" && row.hit_rate_cause_code === "eviction";
  return row.hit_rate_verdict === "differs" && !expected;
}

/** `failed`, if nothing or too little succeeded, or a failure ended the run. */
function failureOf(result: RunResult, { dir, errors }: FinishOptions): KvmarkError | undefined {
  const { rows, stopped, missed } = result;
  if (missed !== undefined) {
    return new KvmarkError("failed", `This shard came too late for ${missed.length} cells`, {
      problems: missed.slice(0, 20),
      hint: "kvmark merge says what that means for the run; to measure them again, start all " +
        "shards with a new --start-at",
    });
  }
  if (rows.length === 0) return undefined;
  const counted = rows.some((row) => (row.total_requests ?? 0) + (row.failed_requests ?? 0) > 0);
  if (!counted) {
    return new KvmarkError("failed", "No request was counted, and none failed", {
      hint: "give a longer --ramp-duration; --strict-time-window only counts requests that start " +
        "and end inside a period",
    });
  }
  const hint = `see the error columns in ${dir}, and the log of the server; the same command ` +
    "runs the cells that failed again";
  const kinds = failureKinds(rows);
  const why = kinds === "" ? "" : ` (${kinds})`;
  if (stopped !== undefined) {
    return new KvmarkError("failed", `Stopped by --on-error stop: ${stopped}${why}`, { hint });
  }
  const problem = runProblem(result, errors);
  if (problem === undefined) return undefined;
  return new KvmarkError("failed", `${problem[0]?.toUpperCase()}${problem.slice(1)}${why}`, {
    hint,
  });
}

/** The kinds of all rows and how many there are, where the rows count them: `timeout:3 tls:1`. */
function failureKinds(rows: readonly SummaryRow[]): string {
  const counts = new Map<string, number>();
  for (const part of rows.flatMap((row) => row.failure_kinds?.split(" ") ?? [])) {
    const [kind = "", count = "0"] = part.split(":");
    counts.set(kind, (counts.get(kind) ?? 0) + Number(count));
  }
  return [...counts].map(([kind, count]) => count > 0 ? `${kind}:${count}` : kind).join(" ");
}

/** @throws Whatever is not about files: a defect. */
function pagesError(dir: string, error: unknown): KvmarkError {
  const told = userError(error);
  if (!(told instanceof KvmarkError)) throw error;
  return new KvmarkError(told.kind, `Cannot write the pages in ${dir}: ${told.message}`, {
    hint: "the rows are kept: the same command writes the pages when there is space",
    cause: error,
  });
}

/** Draws the pages of a results folder. @returns The path of the first page. */
export async function writePages(host: Host, dir: string): Promise<string> {
  const { readRun } = await import("../lib/results/read.ts");
  const { writeReport } = await import("../lib/report/report.ts");
  const [first] = await writeReport(host.files, await readRun(host.files, dir));
  return `${dir.replace(/\/+$/, "")}/${first}`;
}

/**
 * One press of Ctrl-C may come as several signals: `deno task`, `npx` and shells pass on what the
 * terminal has sent to the whole group already. Nobody presses twice so fast.
 */
const ONE_PRESS_MS = 300;

/** The first signal drains, the second aborts. Call `release` when the run is over. */
export function runSignals(
  host: Pick<Host, "clock" | "onInterrupt" | "stderr">,
): Signals & { release: () => void } {
  const drain = new AbortController();
  const abort = new AbortController();
  let lastAtMs = -Infinity;
  const release = host.onInterrupt(() => {
    const nowMs = host.clock.nowMs();
    if (nowMs - lastAtMs < ONE_PRESS_MS) return;
    lastAtMs = nowMs;
    if (drain.signal.aborted) abort.abort();
    else {
      host.stderr.write("\ninterrupted: waiting for the requests in flight; again to give up\n");
      drain.abort();
    }
  });
  return { drain: drain.signal, abort: abort.signal, release };
}
