/**
 * A short `cache-rate` run in the test's own process, and what it left behind.
 *
 * @module
 */

import { command } from "../../commands/cache_rate.ts";
import { exitCodeOf, KvmarkError } from "../../lib/errors.ts";
import { denoHost } from "../../lib/host.ts";
import { withTempDir } from "./command.ts";
import { readCsvText } from "./csv_text.ts";
import type { TextRow } from "./sweep.ts";

const WORKERS_FROM = new URL("../../main.ts", import.meta.url).href;

const RUN = [
  ...["--context-sizes", "512", "--working-set-size", "4096"],
  ...["--chunk-size", "16", "--output-tokens", "2", "--mode", "fixed", "--num-retries", "0"],
  ...["--workers", "1", "--skip-graphs", "--json"],
];

/** The option that replaces the levels of the run. */
export const LEVELS = "--fixed-concurrency-levels";

/** What a run left behind. */
export interface Run {
  readonly stderr: string;
  readonly code: number;
  readonly rows: readonly TextRow[];
  readonly details: readonly TextRow[];
  readonly metrics: readonly TextRow[];
  readonly phases: readonly TextRow[];
  readonly startedAt: string;
  readonly cold?: { readonly by: string; readonly proved: boolean; readonly evidence: string[] };
}

/** Runs cache-rate in this process; only its sending threads are others. */
export function cacheRate(url: string, args: readonly string[] = []): Promise<Run> {
  return withTempDir(async (dir) => {
    let stderr = "";
    const host = {
      ...denoHost(WORKERS_FROM),
      env: () => undefined,
      stdout: { isTerminal: false, columns: () => 80, write: () => {} },
      stderr: {
        isTerminal: false,
        columns: () => 80,
        write: (text: string) => void (stderr += text),
      },
      onInterrupt: () => () => {},
    };
    const rate = args.includes("--cache-hit-rates") ? [] : ["--cache-hit-rates", "50"];
    const fixed = args.includes("--test-duration") ? [] : ["--test-duration", "0.25"];
    const ramp = args.includes("--ramp-duration") ? [] : ["--ramp-duration", "0.25"];
    const level = args.includes(LEVELS) ? [] : [LEVELS, "2"];
    const words = [
      "--api-endpoint",
      url,
      "--output-dir",
      dir,
      ...RUN,
      ...fixed,
      ...ramp,
      ...rate,
      ...level,
      ...args,
    ];
    const error = await command(host).exitOverride().parseAsync(words, { from: "user" })
      .then(() => undefined, (error) => error);
    if (error !== undefined && !(error instanceof KvmarkError)) throw error;
    const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
    const rows = (prefix: string) =>
      names.filter((name) => name.startsWith(prefix)).flatMap((name) =>
        readCsvText(Deno.readTextFileSync(`${dir}/${name}`))
      );
    const about = names.includes("run.json")
      ? JSON.parse(Deno.readTextFileSync(`${dir}/run.json`))
      : {};
    return {
      stderr,
      code: error === undefined ? 0 : exitCodeOf(error),
      rows: rows("summary_"),
      details: rows("detailed_results_"),
      metrics: rows("server_metrics_"),
      phases: rows("phase_metadata_"),
      startedAt: about.startedAt,
      cold: about.cold,
    };
  });
}
