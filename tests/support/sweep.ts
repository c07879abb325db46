/**
 * A short `cache-rate` run against `simulate`, as the command under test, and what it left behind.
 *
 * @module
 */

import { readCsvText } from "./csv_text.ts";
import { type Finished, kvmark, withTempDir } from "./command.ts";
import { startSimulateCommand } from "./simulator.ts";
import { parseTruth, type TruthEntry } from "../../lib/sim/truth_log.ts";

/** A row of a CSV file, as text. */
export type TextRow = Readonly<Record<string, string>>;

/** What a run left behind. */
export interface Sweep extends Finished {
  readonly details: readonly TextRow[];
  readonly summary: readonly TextRow[];
  readonly phases: readonly TextRow[];
  readonly truth: readonly TruthEntry[];
  readonly files: readonly string[];
}

/** How to run {@linkcode sweep}. */
export interface SweepOptions {
  readonly simulate?: readonly string[];
  readonly cacheRate?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Runs one after the other on the same server, each in a folder of its own; rows are united. */
  readonly runs?: number;
}

/** A second at concurrency 2, one context of 512 tokens, 50 %: enough for some 20 requests. */
export const SHORT_RUN = [
  ...["--context-sizes", "512", "--working-set-size", "4096", "--cache-hit-rates", "50"],
  ...["--chunk-size", "16", "--output-tokens", "8", "--mode", "fixed", "--num-retries", "0"],
  ...["--fixed-concurrency-levels", "2", "--ramp-duration", "1", "--test-duration", "1"],
  ...["--timeout", "1.5", "--skip-graphs"],
];

/** The short run with other options: an option that is given replaces its default. */
export function shortRun(given: readonly string[]): string[] {
  const kept: string[] = [];
  let option = "";
  for (const word of SHORT_RUN) {
    if (word.startsWith("--")) option = word;
    if (!given.includes(option)) kept.push(word);
  }
  return [...kept, ...given];
}

/** What a run wrote. */
export type Output = Pick<Sweep, "files" | "details" | "summary" | "phases">;

/** Runs a sweep against a simulator of its own. An option that is given replaces its default. */
export async function sweep(options: SweepOptions): Promise<Sweep> {
  const { result, truth } = await onSimulator(options.simulate ?? [], async (url, dir) => {
    const outs = Array.from({ length: options.runs ?? 1 }, (_, run) => `${dir}/out${run}`);
    let finished: Finished = { code: -1, stdout: "", stderr: "nothing was run" };
    for (const out of outs) {
      const args = ["cache-rate", "--api-endpoint", url, "--output-dir", out];
      finished = await kvmark([...args, ...shortRun(options.cacheRate ?? [])], {
        ...(options.env === undefined ? {} : { env: options.env }),
      });
      if (finished.code !== 0) break;
    }
    return { ...finished, ...readOutput(outs) };
  });
  return { ...result, truth };
}

/** Runs `body` with a simulator and an empty folder; both are gone afterwards. */
export function onSimulator<T>(
  simulate: readonly string[],
  body: (url: string, dir: string) => Promise<T>,
): Promise<{ readonly result: T; readonly truth: readonly TruthEntry[] }> {
  return withTempDir(async (dir) => {
    const log = `${dir}/truth.jsonl`;
    const simulator = await startSimulateCommand([
      ...["--truth-log", log, "--truth-blocks"],
      ...simulate,
    ]);
    let result: T;
    try {
      result = await body(simulator.url, dir);
    } finally {
      await simulator[Symbol.asyncDispose]();
    }
    return { result, truth: parseTruth(Deno.readTextFileSync(log)) };
  });
}

/** The files and rows of results folders, united; a folder that is not there has none. */
export function readOutput(outs: readonly string[]): Output {
  const files = outs.filter(isThere).flatMap((out) =>
    [...Deno.readDirSync(out)].map((entry) => `${out}/${entry.name}`)
  ).sort();
  const rows = (prefix: string) => rowsOf(files, prefix);
  return {
    files,
    details: rows("detailed_results_"),
    summary: rows("summary_"),
    phases: rows("phase_metadata_"),
  };
}

/** The rows of the CSV files whose names begin with `prefix`. */
export function rowsOf(files: readonly string[], prefix: string): TextRow[] {
  return files.filter((path) => path.includes(`/${prefix}`) && path.endsWith(".csv"))
    .flatMap((path) => readCsvText(Deno.readTextFileSync(path)));
}

function isThere(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
