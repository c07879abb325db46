/**
 * What `index` and `regenerate` share: a folder is read, its pages are written, what could not be
 * read is told.
 *
 * @module
 */

import type { Host } from "../lib/host.ts";
import type { SiteOptions } from "../lib/report/site.ts";
import type { ExperimentKind, RunData } from "../lib/results/schema.ts";

/** How a folder is drawn. */
export interface DrawOptions extends SiteOptions {
  /** Draws the folder as this, whatever its files say. */
  readonly kind?: ExperimentKind;
  readonly json: boolean;
}

/** Draws the pages of a results folder, or of a comparison. @throws {KvmarkError} `io` */
export async function drawFolder(host: Host, given: string, options: DrawOptions): Promise<void> {
  const { readRun, isCombined } = await import("../lib/results/read.ts");
  const dir = given.replace(/(?<=.)\/+$/, "");
  const combined = isCombined(await host.files.list(dir));
  const drawn = combined
    ? await drawComparison(host, dir, options)
    : await drawRun(host, await readRun(host.files, dir), options);
  const [index = "index.html"] = drawn.files;
  if (options.json) {
    host.stdout.write(`${JSON.stringify({ dir, ...drawn, index: `${dir}/${index}` })}\n`);
    return;
  }
  for (const problem of drawn.problems) host.stderr.write(`kvmark: not read: ${problem}\n`);
  const pages = drawn.files.filter((name) => name.endsWith(".html")).length;
  host.stdout.write(`${drawn.kind}, ${pages} pages\ndashboard: ${dir}/${index}\n`);
}

interface Drawn {
  readonly kind: ExperimentKind | "comparison";
  readonly files: readonly string[];
  readonly problems: readonly string[];
}

async function drawRun(host: Host, found: RunData, options: DrawOptions): Promise<Drawn> {
  const { writeReport } = await import("../lib/report/report.ts");
  const { kind = found.kind } = options;
  if (kind !== found.kind) {
    host.stderr.write(`kvmark: ${found.dir} looks like ${found.kind}; drawn as ${kind}\n`);
  }
  const run = await withTierMap({ ...found, kind });
  const files = await writeReport(host.files, run, options);
  return { kind, files, problems: run.problems };
}

async function drawComparison(host: Host, dir: string, options: DrawOptions): Promise<Drawn> {
  const { readComparison } = await import("../lib/report/comparison_file.ts");
  const { writeComparisonPages } = await import("../lib/report/comparison_pages.ts");
  const comparison = await readComparison(host.files, dir);
  const files = await writeComparisonPages(host.files, dir, comparison, options);
  return { kind: "comparison", files, problems: [] };
}

/** The run with a tier map: a working-set run of the Python suite, or an older one, has none. */
export async function withTierMap(run: RunData): Promise<RunData> {
  if (run.kind !== "working-set" || run.tierMap !== undefined || run.summary.length === 0) {
    return run;
  }
  const { buildTierMap } = await import("../lib/tiers/tier_map.ts");
  return { ...run, tierMap: buildTierMap(run) };
}
