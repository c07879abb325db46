/**
 * Time and memory of `kvmark regenerate`, and how large and how quick to open what it writes is.
 *
 * ```sh
 * deno run -A scripts/bench/regenerate.ts                       # 10,000, 100,000 and 1,000,000 rows
 * deno run -A scripts/bench/regenerate.ts --rows 100000 --json
 * ```
 *
 * The folder is a cache-rate sweep of 4 context sizes and 21 hit rates, its request rows spread over
 * all cells and periods. Each size is a process of its own; memory is the largest resident set that
 * the kernel saw. The dashboard is opened from disk in headless Chromium, where there is one: until
 * the event `load`, and until the first graph is drawn.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { type AnyRow, headerLine, rowLines } from "../../lib/results/csv.ts";
import {
  type Column,
  DETAIL_COLUMNS,
  PHASE_COLUMNS,
  SUMMARY_COLUMNS,
} from "../../lib/results/schema.ts";
import { findChromium } from "../../tests/support/chromium.ts";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";

const STAMP = "20261124_120000";
const CONTEXTS = [2_000, 8_000, 32_000, 128_000];
const RATES = Array.from({ length: 21 }, (_, i) => i * 5);
const POLL_MS = 20;

interface Measured {
  readonly rows: number;
  readonly inputMiB: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly pages: number;
  readonly outputMiB: number;
  readonly indexKiB: number;
  readonly loadMs?: number;
  readonly firstGraphMs?: number;
}

/** Writes the folder of a run of about `rows` requests. @returns How many there are. */
async function writeRun(dir: string, rows: number): Promise<number> {
  const periods =
    sampleCacheRateRun({ contexts: CONTEXTS, rates: RATES, requests: 1 }).phases.length;
  const requests = Math.max(1, Math.round(rows / periods));
  let written = 0;
  for (const context of CONTEXTS) {
    const run = sampleCacheRateRun({ contexts: [context], rates: RATES, requests });
    await append(`${dir}/summary_${STAMP}.csv`, SUMMARY_COLUMNS, run.summary);
    await append(`${dir}/phase_metadata_${STAMP}.csv`, PHASE_COLUMNS, run.phases);
    const details = `${dir}/detailed_results_${context}_${STAMP}.csv`;
    for (let at = 0; at < run.details.length; at += 5000) {
      await append(details, DETAIL_COLUMNS, run.details.slice(at, at + 5000));
    }
    written += run.details.length;
  }
  return written;
}

async function append(path: string, columns: readonly Column[], rows: readonly AnyRow[]) {
  const isNew = await Deno.stat(path).then(() => false, () => true);
  const text = (isNew ? headerLine(columns) : "") + rowLines(columns, rows);
  await Deno.writeTextFile(path, text, { append: true });
}

/** Runs the command and watches what the kernel says of it. */
async function regenerate(dir: string) {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", main, "regenerate", dir],
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  let [peakMiB, cpuSeconds] = [0, 0];
  const read = () => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peakMiB = Math.max(peakMiB, Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024);
      const stat = Deno.readTextFileSync(`/proc/${child.pid}/stat`).split(") ")[1]?.split(" ");
      cpuSeconds = (Number(stat?.[11]) + Number(stat?.[12])) / 100;
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(read, POLL_MS);
  const { code } = await child.status;
  clearInterval(timer);
  if (code !== 0) throw new Error(`regenerate ended with ${code}`);
  return { seconds: (performance.now() - started) / 1000, cpuSeconds, peakMiB };
}

async function openIndex(dir: string): Promise<{ loadMs: number; firstGraphMs: number }> {
  const browser = await chromium.launch({
    executablePath: findChromium() ?? "",
    args: ["--no-sandbox"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const started = performance.now();
    await page.goto(`file://${dir}/index.html`);
    const loadMs = performance.now() - started;
    await page.locator("figure.graph .plot").first().scrollIntoViewIfNeeded();
    await page.locator(".main-svg").first().waitFor({ state: "attached" });
    return { loadMs, firstGraphMs: performance.now() - started };
  } finally {
    await browser.close();
  }
}

function sizes(dir: string, isCounted: (name: string) => boolean): number {
  let bytes = 0;
  for (const { name } of Deno.readDirSync(dir)) {
    if (isCounted(name)) bytes += Deno.statSync(`${dir}/${name}`).size;
  }
  return bytes / 2 ** 20;
}

async function measure(wanted: number): Promise<Measured> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-bench-" });
  try {
    const rows = await writeRun(dir, wanted);
    const inputMiB = sizes(dir, () => true);
    const run = await regenerate(dir);
    const isPage = (name: string) => name.endsWith(".html");
    return {
      rows,
      inputMiB,
      ...run,
      pages: [...Deno.readDirSync(dir)].filter((entry) => isPage(entry.name)).length,
      outputMiB: sizes(dir, isPage),
      indexKiB: Deno.statSync(`${dir}/index.html`).size / 1024,
      ...(findChromium() === undefined ? {} : await openIndex(dir)),
    };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const { values } = parseArgs({
  args: Deno.args,
  options: {
    rows: { type: "string", multiple: true, default: ["10000", "100000", "1000000"] },
    json: { type: "boolean", default: false },
  },
});

const all: Measured[] = [];
for (const rows of values.rows) all.push(await measure(Number(rows)));
if (values.json) console.log(JSON.stringify(all));
else {
  console.table(all.map((one) =>
    Object.fromEntries(
      Object.entries(one).map(([name, value]) => [name, Number(value.toPrecision(4))]),
    )
  ));
}
