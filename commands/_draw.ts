/**
 * What `index` and `regenerate` share: a folder is read, its pages are written, what could not be
 * read is told.
 *
 * @module
 */

import { KvmarkError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import type { KeptPage } from "../lib/report/kept_pages.ts";
import type { SiteOptions } from "../lib/report/site.ts";
import type { ExperimentKind, RunData, SummaryRow } from "../lib/results/schema.ts";

/** How a folder is drawn. */
export interface DrawOptions extends SiteOptions {
  /** Draws the folder as this, whatever its files say. */
  readonly kind?: ExperimentKind;
  readonly json: boolean;
  /** Refuses a folder of the Python suite with missing or damaged rows. */
  readonly strict: boolean;
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
  for (const one of drawn.damage) host.stderr.write(`kvmark: incomplete: ${one}\n`);
  for (const problem of drawn.problems) host.stderr.write(`kvmark: not read: ${problem}\n`);
  if (drawn.kept.length > 0) host.stdout.write(`${keptText(drawn.kept)}\n`);
  const pages = drawn.files.filter((name) => name.endsWith(".html")).length;
  if (drawn.headline !== undefined) host.stdout.write(`${drawn.headline}\n`);
  host.stdout.write(`${drawn.kind}, ${pages} pages\ndashboard: ${dir}/${index}\n`);
}

/** What became of the pages that another program drew. */
function keptText(kept: readonly KeptPage[]): string {
  const moved = kept.filter((page) => page.was !== undefined).length;
  const pages = `${kept.length} page${kept.length === 1 ? "" : "s"}`;
  const now = moved === 0 ? "" : `; ${moved} had the name of one drawn now and became *.orig.html`;
  return `kept ${pages} of the program that measured${now}`;
}

interface Drawn {
  /** Pages in the folder that another program drew. */
  readonly kept: readonly KeptPage[];
  readonly kind: ExperimentKind | "comparison";
  readonly files: readonly string[];
  readonly problems: readonly string[];
  /** Rows that are missing, or that contradict others. */
  readonly damage: readonly string[];
  /** What the dashboard says first. */
  readonly headline?: string;
  /** The summary rows that the pages show. */
  readonly figures?: readonly SummaryRow[];
}

async function drawRun(host: Host, found: RunData, options: DrawOptions): Promise<Drawn> {
  const { writeReportBeside } = await import("../lib/report/report.ts");
  const { kind = found.kind } = options;
  if (options.strict) await refuseDamaged([found]);
  if (kind !== found.kind) {
    host.stderr.write(`kvmark: ${found.dir} looks like ${found.kind}; drawn as ${kind}\n`);
  }
  const run = await withTierMap(await withKvBytes(host, { ...found, kind }));
  const { files, kept, headline } = await writeReportBeside(host.files, run, options);
  const { problems, damage = [], summary: figures } = run;
  return { kind, files, kept, headline, problems, damage, figures };
}

/**
 * Refuses runs of which rows are missing or damaged.
 *
 * @throws {KvmarkError} `damaged`, with all that is wrong.
 */
export async function refuseDamaged(runs: readonly RunData[]): Promise<void> {
  const { damageOfRun } = await import("../lib/report/damage.ts");
  const problems = runs.flatMap((run) => damageOfRun(run).map((one) => `${run.dir}: ${one}`));
  if (problems.length === 0) return;
  throw new KvmarkError("damaged", "Rows are missing or damaged, and --strict refuses them", {
    problems,
    hint: "restore the files, or leave --strict out: the pages then say what is missing",
  });
}

async function drawComparison(host: Host, dir: string, options: DrawOptions): Promise<Drawn> {
  const { readComparison } = await import("../lib/report/comparison_file.ts");
  const { writeComparisonPages } = await import("../lib/report/comparison_pages.ts");
  const comparison = await readComparison(host.files, dir);
  const files = await writeComparisonPages(host.files, dir, comparison, options);
  return { kind: "comparison", files, kept: [], problems: [], damage: [] };
}

/** The run with a tier map: a working-set run of the Python suite, or an older one, has none. */
export async function withTierMap(run: RunData): Promise<RunData> {
  if (run.kind !== "working-set" || run.tierMap !== undefined || run.summary.length === 0) {
    return run;
  }
  const { buildTierMap } = await import("../lib/tiers/tier_map.ts");
  return { ...run, tierMap: buildTierMap(run) };
}

/** The tokenizer that the Python suite takes where it is told none: it says nothing of the model. */
const DEFAULT_TOKENIZER = "Qwen/Qwen2.5-Coder-32B-Instruct";

/**
 * The run with the bytes of KV cache per token, so that sizes stand in GiB too: where the folder does
 * not say them, by the name of the model, else of the tokenizer that the prompts were made with.
 */
export async function withKvBytes(host: Host, run: RunData): Promise<RunData> {
  const { config } = run;
  if (config.kvBytesPerToken !== undefined || run.tierMap?.kvBytesPerToken !== undefined) {
    return run;
  }
  const { kvBytesOf } = await import("../lib/experiments/kv_bytes.ts");
  const model = config.model ?? run.summary.find((row) => row.model !== undefined)?.model;
  const tokenizer = ["tokenizer_id", "tokenizer"].map((name) => config.parameters?.[name])
    .find((value) => typeof value === "string" && value !== DEFAULT_TOKENIZER);
  for (const [what, name] of [["model", model], ["tokenizer", tokenizer]] as const) {
    if (typeof name !== "string") continue;
    const found = await kvBytesOf(host, { engine: "unknown", names: [name] }, false);
    if (found.kvBytesPerToken === undefined) continue;
    const source = `${found.kvBytesPerTokenSource}, by the ${what}'s name`;
    return { ...run, config: { ...config, ...found, kvBytesPerTokenSource: source } };
  }
  return run;
}
