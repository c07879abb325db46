/**
 * `--replicates`: the same experiment several times, each in a folder of its own and from a cold
 * start. Only whole runs show how much a figure changes from run to run.
 *
 * @module
 */

import { KvmarkError } from "../lib/errors.ts";
import type { OutputConfig, RunResult, Signals } from "../lib/experiments/config.ts";
import type { RunListener } from "../lib/experiments/listener.ts";
import type { Host } from "../lib/host.ts";
import { sampleInterval } from "../lib/metrics/compare.ts";
import { replicateFolder } from "../lib/results/replicates.ts";
import { isResultFile } from "../lib/results/run_files.ts";
import type { SummaryRow } from "../lib/results/schema.ts";
import { formatShort } from "../lib/units.ts";
import { type ResultView, writePages } from "./_finish.ts";
import { alignedLines, seconds } from "./_result_table.ts";
import type { Readable } from "./_options.ts";

/** An experiment that can be repeated. */
export interface Repeatable<Config> {
  readonly run: (config: Config, listener: RunListener, signals: Signals) => Promise<RunResult>;
  readonly view: (config: Config, result: RunResult) => Promise<ResultView> | ResultView;
}

/** The same experiment, as `runToEnd` takes it. */
export interface Repeated {
  readonly run: (listener: RunListener, signals: Signals) => Promise<RunResult>;
  readonly view: (result: RunResult) => Promise<ResultView> | ResultView;
}

/** What of the options matters here. */
export interface ReplicateOptions {
  readonly replicates: number;
  readonly skipGraphs: boolean;
  readonly reuseCache: boolean;
  readonly outputDir: string;
}

/** Problems between the options. @param isShard Whether this process is one of several. */
export function replicateProblems(
  { replicates = 1, reuseCache = false }: Readable<ReplicateOptions>,
  isShard: boolean,
): string[] {
  if (replicates < 2) return [];
  return [
    ...(isShard ? ["--replicates does not go with --shard: start the shards again instead"] : []),
    ...(reuseCache
      ? ["--replicates starts each run cold, and --reuse-cache would keep the cache"]
      : []),
  ];
}

/** An experiment once, or as often as `--replicates` says. */
export function repeated<Config extends { readonly output: OutputConfig }>(
  host: Host,
  options: ReplicateOptions,
  config: Config,
  experiment: Repeatable<Config>,
): Repeated {
  if (options.replicates === 1) {
    return {
      run: (listener, signals) => experiment.run(config, listener, signals),
      view: (result) => experiment.view(config, result),
    };
  }
  const configs = Array.from({ length: options.replicates }, (_, i): Config => ({
    ...config,
    output: { ...config.output, dir: `${config.output.dir}/${replicateFolder(i + 1)}` },
  }));
  const results: RunResult[] = [];
  return {
    async run(listener, signals) {
      await refuseRunFolder(host, config.output.dir);
      for (const [i, one] of configs.entries()) {
        if (signals.drain.aborted) break;
        listener.note(`replicate ${i + 1} of ${configs.length}, in ${one.output.dir}`);
        const result = await experiment.run(one, listener, signals);
        results.push(result);
        if (result.interrupted || result.stopped !== undefined) break;
      }
      return united(results, results.length < configs.length);
    },
    async view() {
      const views = await Promise.all(
        results.map((result, i) => experiment.view(configs[i]!, result)),
      );
      return unitedView(host, options, configs.map((one) => one.output.dir), results, views);
    },
  };
}

/** @throws {KvmarkError} `usage`, if a run without replicates is in the folder. */
async function refuseRunFolder(host: Host, dir: string): Promise<void> {
  if (!(await host.files.list(dir)).some(isResultFile)) return;
  throw new KvmarkError("usage", `${dir} holds a run that was made without --replicates`, {
    hint: "give another --output-dir; that run can be one of the folders of kvmark combine",
  });
}

function united(results: readonly RunResult[], isCut: boolean): RunResult {
  const last = results.at(-1);
  return {
    rows: results.flatMap((result) => result.rows),
    warnings: [...new Set(results.flatMap((result) => result.warnings))],
    interrupted: last === undefined || last.interrupted || (isCut && last.stopped === undefined),
    ...(last?.stopped === undefined ? {} : { stopped: last.stopped }),
  };
}

function unitedView(
  host: Host,
  { skipGraphs }: ReplicateOptions,
  dirs: readonly string[],
  results: readonly RunResult[],
  views: readonly ResultView[],
): ResultView {
  const titled = (text: (view: ResultView) => string) =>
    views.map((view, i) => `replicate ${i + 1}: ${dirs[i]}\n${text(view)}`).join("\n");
  return {
    table: (columns) =>
      `${titled((view) => view.table(columns))}\n${spreadTable(results.map(({ rows }) => rows))}`,
    brief: () => titled((view) => view.brief()),
    json: {
      rows: results.flatMap(({ rows }, i) => rows.map((row) => ({ replicate: i + 1, ...row }))),
      replicates: results.map((_, i) => ({ output_dir: dirs[i], ...views[i]?.json })),
    },
    async write() {
      for (const [i, view] of views.entries()) {
        await view.write?.();
        const isEmpty = (results[i]?.rows.length ?? 0) === 0;
        if (!skipGraphs && !isEmpty) await writePages(host, dirs[i] ?? "");
      }
    },
  };
}

/** Each cell over the replicates: the mean and how well it is known. */
function spreadTable(runs: readonly (readonly SummaryRow[])[]): string {
  const cells = Map.groupBy(
    runs.flat(),
    (row) => [row.context_size, row.working_set_size, row.cache_hit_rate].join("_"),
  );
  const lines = [...cells.values()].flatMap((rows) => {
    const [row] = rows;
    if (row === undefined) return [];
    const over = (column: "input_tokens_per_sec" | "p95_ttft", text: (value: number) => string) => {
      const runs = rows.flatMap((one) => one[column] ?? []);
      if (runs.length === 0) return "–";
      const { estimate, low, high } = sampleInterval(
        runs.map((value) => ({ value, repeats: [] })),
      );
      return low === undefined || high === undefined
        ? text(estimate)
        : `${text(estimate)} (${text(low)} to ${text(high)})`;
    };
    return [[
      String(row.context_size ?? "–"),
      formatShort(row.working_set_size),
      `${row.cache_hit_rate ?? "–"} %`,
      String(rows.length),
      over("input_tokens_per_sec", formatShort),
      over("p95_ttft", seconds),
    ]];
  });
  const head = ["context", "set", "rate", "runs", "input/s (95 %)", "TTFT p95 (95 %)"];
  return `over the replicates:\n${alignedLines([head, ...lines]).join("\n")}\n`;
}
