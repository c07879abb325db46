/**
 * `index`, `regenerate` and `combine` as commands: on every stored folder, on a run of our own, and
 * with names that are made to do harm.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { readCsvText } from "../support/csv_text.ts";
import { onSimulator, shortRun } from "../support/sweep.ts";

const HOSTILE = `=cmd()|<img src=x onerror=alert(1)>"'\`$(id)\`🙂` + "A".repeat(460);
const fixtures = Deno.env.get("KVMARK_FIXTURES");

/** Name and digest of every file of a folder. */
async function filesOf(dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const entry of Deno.readDir(dir)) {
    if (!entry.isFile) continue;
    const bytes = await Deno.readFile(`${dir}/${entry.name}`);
    files.set(entry.name, createHash("sha256").update(bytes).digest("hex"));
  }
  return files;
}

function withoutHtml(files: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...files].filter(([name]) => !name.endsWith(".html")).sort());
}

async function copyTo(dir: string, name: string): Promise<string> {
  const to = `${dir}/${name}`;
  await Deno.mkdir(to);
  for await (const entry of Deno.readDir(`${fixtures}/${name}`)) {
    await Deno.copyFile(`${fixtures}/${name}/${entry.name}`, `${to}/${entry.name}`);
  }
  return to;
}

function assertWithin(actual: number, expected: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= Math.abs(expected) * 1e-9, `${what}: ${actual}`);
}

Deno.test({
  name: "regenerate and index draw every folder of the Python suite, and change only HTML",
  ignore: fixtures === undefined,
  fn: () =>
    withTempDir(async (dir) => {
      for (const { name, isDirectory } of Deno.readDirSync(fixtures ?? "")) {
        if (!isDirectory) continue;
        const folder = await copyTo(dir, name);
        const before = await filesOf(folder);
        const drawn = await kvmark(["regenerate", folder, "--json"]);
        assert.equal(drawn.code, 0, drawn.stderr);
        const { files, problems } = JSON.parse(drawn.stdout);
        assert.deepEqual(problems, []);
        const pages = await filesOf(folder);
        assert.ok(files.length > 3, name);
        assert.deepEqual(withoutHtml(pages), new Map([...before].sort()));
        if (WORKING_SETS.includes(name)) await assertWorkingSetClaims(folder);
        await Deno.remove(`${folder}/index.html`);
      }
      const indexed = await kvmark(["index", `${dir}/python-single-prompt`, "3.1"]);
      assert.equal(indexed.code, 0, indexed.stderr);
      await assertClaims(dir);
      const page = await Deno.readTextFile(`${dir}/python-single-prompt/index.html`);
      assert.match(page, /Report by kvmark \(version 3\.1\)/);
    }),
});

Deno.test({
  name: "index says first what a damaged folder lacks, and --strict refuses it",
  ignore: fixtures === undefined,
  fn: () =>
    withTempDir(async (dir) => {
      const folder = await copyTo(dir, "python-working-set-dram");
      const whole = await kvmark(["index", folder, "--json", "--strict"]);
      assert.equal(whole.code, 0, whole.stderr);
      const good = JSON.parse(whole.stdout);
      assert.deepEqual([good.damage, good.figures.length], [[], 21]);
      const { name } = [...Deno.readDirSync(folder)]
        .find((entry) => entry.name.startsWith("detailed_results_")) ?? { name: "" };
      const text = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}`, text.slice(0, text.length * 0.6));
      const { code, stdout, stderr } = await kvmark(["index", folder, "--json"]);
      assert.equal(code, 0, stderr);
      const { headline, damage } = JSON.parse(stdout);
      assert.match(headline, /^Incomplete: 1,\d{3} of 3,860 requests have no row/);
      assert.ok(damage.length > 0);
      const page = await Deno.readTextFile(`${folder}/index.html`);
      assert.match(page, /<h1 id="headline">Incomplete: 1,\d{3} of 3,860 requests/);
      assert.match((await kvmark(["index", folder])).stdout, /^Incomplete: /m);
      const refused = await kvmark(["index", folder, "--strict"]);
      assert.equal(refused.code, EXIT_CODES.damaged.code, refused.stderr);
      assert.match(refused.stderr, /3,860 requests have no row/);
    }),
});

/** The rows behind the graph of a page, by column. */
async function graphRows(page: string): Promise<Record<string, number | string>[]> {
  const html = await Deno.readTextFile(page);
  const json = /<script type="application\/json">([^]*?)<\/script>/.exec(html)?.[1] ?? "";
  const { header, rows } = JSON.parse(json).csv as {
    header: string[];
    rows: (number | string)[][];
  };
  return rows.map((row) => Object.fromEntries(row.map((value, i) => [header[i], value])));
}

/** What the pages say is what the CSV files say, read here without the program. */
async function assertClaims(dir: string): Promise<void> {
  const fixed = `${dir}/python-cache-rate-fixed`;
  const [row] = readCsvText(await Deno.readTextFile(`${fixed}/summary_20251219_214222.csv`));
  const [drawn] = await graphRows(`${fixed}/performance_vs_cache_rate_8000.html`);
  assertWithin(Number(drawn?.["Input, tokens/s"]), Number(row?.["input_tokens_per_sec"]), "input");
  assertWithin(Number(drawn?.["TTFT P95 (s)"]), Number(row?.["p95_ttft"]), "P95");
  assert.equal(drawn?.["Concurrency"], Number(row?.["peak_concurrency"]));
  const single = `${dir}/python-single-prompt`;
  const newest = readCsvText(
    await Deno.readTextFile(`${single}/single_prompt_results_20251219_203411.csv`),
  );
  for (const point of await graphRows(`${single}/single_prompt_performance.html`)) {
    const mean = (isCold: boolean) => {
      const ttfts = newest.filter((one) =>
        Number(one["context_size"]) === point["Context"] &&
        (one["prompt_type"] === "unique") === isCold
      ).map((one) => Number(one["ttft"]));
      return ttfts.reduce((sum, ttft) => sum + ttft, 0) / ttfts.length;
    };
    assertWithin(Number(point["TTFT cold (s)"]), mean(true), "cold");
    assertWithin(Number(point["TTFT cached (s)"]), mean(false), "cached");
    assertWithin(Number(point["Speedup"]), mean(true) / mean(false), "speedup");
  }
}

const WORKING_SETS = ["python-working-set-dram", "python-working-set-gds-dram"];

/** The rows of the one file of a folder whose name begins so. */
function csvRows(folder: string, prefix: string): Record<string, string>[] {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith(prefix) && name.endsWith(".csv"));
  assert.equal(names.length, 1, `${prefix} in ${folder}`);
  return readCsvText(Deno.readTextFileSync(`${folder}/${names[0]}`));
}

/**
 * The best concurrency of each working set and its input throughput: of the periods that met the
 * limit of 2 s; where none did, of the period with the lowest TTFT.
 */
function peakBySet(
  rows: readonly Record<string, string>[],
): Map<string, { readonly input: number; readonly concurrency: number; readonly ttft: number }> {
  const sets = Map.groupBy(rows, (row) => row["working_set_size"] ?? "");
  return new Map([...sets].map(([set, periods]) => {
    const ttft = (row: (typeof rows)[number]) => Number(row["measured_ttft"]);
    const least = Math.min(...periods.map(ttft));
    const within = periods.filter((row) => ttft(row) <= Math.max(2, least));
    const levels = [...Map.groupBy(within, (row) => row["concurrency_level"])].map(
      ([concurrency, group]) => {
        const sum = (of: (row: (typeof rows)[number]) => number) =>
          group.reduce((total, row) => total + of(row), 0);
        const count = (row: (typeof rows)[number]) => Number(row["num_requests_completed"]);
        return {
          concurrency: Number(concurrency),
          input: sum((row) => Number(row["total_input_tokens"])) /
            sum((row) => Number(row["duration"])),
          ttft: sum((row) => Number(row["avg_ttft"]) * count(row)) / sum(count),
        };
      },
    );
    return [set, levels.reduce((a, b) => b.input > a.input ? b : a)] as const;
  }));
}

/** The dashboard of a working-set folder, its graphs and its tier map, against the CSV files. */
async function assertWorkingSetClaims(folder: string): Promise<void> {
  const periods = csvRows(folder, "sustained_periods_");
  const peaks = peakBySet(periods);
  const points = await graphRows(`${folder}/performance_vs_working_set_64000_cache96.html`);
  assert.equal(peaks.size, 21);
  assert.deepEqual(points.map((point) => `${point["Working set"]}`), [...peaks.keys()]);
  for (const point of points) {
    const set = `${point["Working set"]}`;
    const peak = peaks.get(set);
    assertWithin(Number(point["Input, tokens/s"]), peak?.input ?? NaN, `input at ${set}`);
    assertWithin(Number(point["TTFT avg (s)"]), peak?.ttft ?? NaN, `TTFT at ${set}`);
    assert.equal(point["Concurrency"], peak?.concurrency, set);
  }
  const stamp = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .find((name) => name.startsWith("sustained_performance_"));
  const overTime = await graphRows(`${folder}/${stamp}`);
  assert.equal(overTime.length, periods.length);
  periods.forEach((row, i) => {
    assert.equal(overTime[i]?.["Input, tokens/s"], Number(row["input_tokens_per_sec"]));
    assert.equal(overTime[i]?.["TTFT P95 (s)"], Number(row["p95_ttft"]));
    assert.equal(overTime[i]?.["Decision"], row["decision"]);
  });
  await assertHeadline(folder, [...peaks.values()]);
  await assertTierMapClaims(folder, periods);
}

/** What the dashboard says in words: from the smallest to the largest set, in three digits. */
async function assertHeadline(
  folder: string,
  peaks: readonly { readonly input: number }[],
): Promise<void> {
  const html = await Deno.readTextFile(`${folder}/index.html`);
  const headline = /<h1 id="headline">([^<]*)/.exec(html)?.[1] ?? "";
  // A folder with a knee says what the cache holds: an independent fit found 1.58M to 1.64M.
  const holds = /^The cache holds ([\d.]+)M tokens/.exec(headline)?.[1];
  if (holds !== undefined) {
    assert.ok(Math.abs(Number(holds) / 1.61 - 1) < 0.1, headline);
    return;
  }
  const [from, to] = [...headline.matchAll(/([\d.]+)k/g)].map((match) => Number(match[1]) * 1000);
  const [first, last] = [peaks[0]?.input ?? NaN, peaks.at(-1)?.input ?? NaN];
  assert.ok(Math.abs((from ?? NaN) / first - 1) < 0.005, `${headline}: ${first}`);
  assert.ok(Math.abs((to ?? NaN) / last - 1) < 0.005, `${headline}: ${last}`);
}

/** The sizes of the tier map: requests and median TTFT at one concurrency, from the request rows. */
async function assertTierMapClaims(
  folder: string,
  periods: readonly Record<string, string>[],
): Promise<void> {
  const sets = new Map(periods.map((row) => [`SUSTAINED_P${row["period_number"]}`, row]));
  const requests = csvRows(folder, "detailed_results_").filter((row) => Number(row["ttft"]) > 0);
  const sizes = await graphRows(`${folder}/tier_map_ctx64000_cache96.html`);
  const html = await Deno.readTextFile(`${folder}/tier_map_ctx64000_cache96.html`);
  const level = /all at concurrency (\d+)/.exec(html)?.[1];
  assert.ok(level !== undefined && sizes.length >= 13, `${level}, ${sizes.length} sizes`);
  for (const size of sizes) {
    const ttfts: number[] = requests.filter((row) =>
      row["concurrency_level"] === level &&
      Math.ceil(Number(sets.get(row["phase_id"] ?? "")?.["working_set_size"]) / 64_000) ===
        size["Prompts"]
    ).map((row) => Number(row["ttft"]) * 1000).sort((a, b) => a - b);
    assert.equal(size["Requests"], ttfts.length, `${size["Prompts"]} prompts`);
    const [low, high] = [Math.floor((ttfts.length - 1) / 2), Math.ceil((ttfts.length - 1) / 2)];
    const middle = ((ttfts[low] ?? NaN) + (ttfts[high] ?? NaN)) / 2;
    assertWithin(Number(size["TTFT median (ms)"]), middle, `TTFT of ${size["Prompts"]} prompts`);
  }
}

Deno.test({
  name: "combine compares the A/B pair, and its figures are those of the CSV files",
  ignore: fixtures === undefined,
  fn: () =>
    withTempDir(async (dir) => {
      const names = WORKING_SETS;
      const { code, stdout, stderr } = await kvmark([
        ...["combine", "--output-dirs", ...names.map((name) => `${fixtures}/${name}`)],
        ...["--labels", "DRAM", "GDS + DRAM", "--output", `${dir}/ab`, "--json"],
      ]);
      assert.equal(code, 0, stderr);
      const { headline } = JSON.parse(stdout);
      assert.match(headline, /^GDS \+ DRAM against DRAM: .*breaks even near 1\.\d+M/);
      const expected = names.map((name) => {
        const peaks = peakBySet(csvRows(`${fixtures}/${name}`, "sustained_periods_"));
        return new Map([...peaks].map(([set, { input }]) => [set, input]));
      });
      const table = readCsvText(await Deno.readTextFile(`${dir}/ab/comparison.csv`));
      const input = table.filter((row) => row["metric"] === "input_tokens_per_sec");
      assert.equal(input.length, 21);
      const page = await Deno.readTextFile(`${dir}/ab/input_throughput_ctx64000.html`);
      for (const row of input) {
        const set = row["working_set_size"] ?? "";
        const [base, other] = expected.map((one) => one.get(set) ?? NaN);
        assertWithin(Number(row["baseline_value"]), base ?? NaN, `DRAM at ${set}`);
        assertWithin(Number(row["value"]), other ?? NaN, `GDS + DRAM at ${set}`);
        assertWithin(Number(row["ratio"]), (other ?? NaN) / (base ?? NaN), `ratio at ${set}`);
        assert.ok(page.includes(String(Number((other ?? NaN).toPrecision(6)))), `graph at ${set}`);
      }
      assert.ok((await filesOf(`${dir}/ab`)).has("ttft_comparison_ctx64000.html"));
    }),
});

async function measure(url: string, dir: string, more: readonly string[] = []): Promise<void> {
  const args = shortRun(["--cache-hit-rates", "0", "100", ...more])
    .filter((word) => word !== "--skip-graphs");
  const run = await kvmark(["cache-rate", "--api-endpoint", url, "--output-dir", dir, ...args]);
  assert.equal(run.code, 0, run.stderr);
}

Deno.test("regenerate draws the pages of cache-rate again, byte for byte; combine and its limits", async () => {
  await onSimulator([], async (url, dir) => {
    const [a, b] = [`${dir}/a`, `${dir}/b`];
    await measure(url, a);
    await measure(url, b, ["--output-tokens", "9"]);
    const before = await filesOf(a);
    for (const name of before.keys()) if (name.endsWith(".html")) await Deno.remove(`${a}/${name}`);
    await Deno.remove(`${a}/assets`, { recursive: true });
    const drawn = await kvmark(["regenerate", a]);
    assert.equal(drawn.code, 0, drawn.stderr);
    assert.deepEqual(await filesOf(a), before);
    await assertCombine(dir, a, b);
    await assertDamageIsTold(b);
  });
});

/** A run that was cut off, with one file destroyed, is drawn as far as it goes. */
async function assertDamageIsTold(dir: string): Promise<void> {
  for (const { name } of [...Deno.readDirSync(dir)]) {
    const path = `${dir}/${name}`;
    if (name.startsWith("phase_metadata_")) await Deno.writeTextFile(path, "\0\0\0");
    if (name.startsWith("detailed_results_")) {
      await Deno.writeTextFile(path, (await Deno.readTextFile(path)).slice(0, -40));
    }
  }
  await Deno.writeTextFile(`${dir}/run.json`, "{");
  const { code, stderr } = await kvmark(["regenerate", dir]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^kvmark: not read: run\.json: /m);
  assert.match(stderr, /^kvmark: not read: phase_metadata_/m);
  assert.match(stderr, /^kvmark: not read: detailed_results_512_.*last line was cut off/m);
}

async function assertCombine(dir: string, a: string, b: string): Promise<void> {
  const args = [
    "combine",
    "--output-dirs",
    a,
    b,
    "--labels",
    "A",
    HOSTILE,
    "--output",
    `${dir}/ab`,
  ];
  const refused = await kvmark(args);
  assert.equal(refused.code, EXIT_CODES.usage.code);
  assert.match(refused.stderr, /other output length: 9 tokens, where A has 8 tokens/);
  assert.match(refused.stderr, /--force/);
  const forced = await kvmark([
    ...[...args, "--force", "--baseline", HOSTILE],
    ...["--markdown", `${dir}/c.md`, "--junit", `${dir}/c.xml`],
    ...["--fail-if", "avg_ttft@100 > 0.000001", "--fail-if", "p95_ttft > 1000x"],
  ]);
  assert.equal(forced.code, EXIT_CODES.threshold.code, forced.stderr);
  assert.match(forced.stderr, /avg_ttft@100 > 0\.000001 at A, 512 tokens at 100 %/);
  const page = await Deno.readTextFile(`${dir}/ab/index.html`);
  assert.doesNotMatch(page, /<img/);
  assert.ok(page.includes("compared by force"));
  const rows = readCsvText(await Deno.readTextFile(`${dir}/ab/comparison.csv`));
  assert.equal(rows[0]?.["baseline"], `'${HOSTILE}`);
  const summary = readCsvText(await Deno.readTextFile(`${dir}/ab/summary_comparison.csv`));
  assert.deepEqual(summary.map((row) => row["Configuration"]), ["A", `'${HOSTILE}`]);
  assert.equal(summary[0]?.["Context Size"], "512");
  const markdown = await Deno.readTextFile(`${dir}/c.md`);
  assert.match(markdown, /^- ❌ avg\\_ttft&#64;100/m);
  assert.doesNotMatch(markdown, /<img/);
  assert.match(await Deno.readTextFile(`${dir}/c.xml`), /tests="3" failures="1" errors="0"/);
  const again = await kvmark(["regenerate", `${dir}/ab`, "--single-file"]);
  assert.equal(again.code, 0, again.stderr);
}

Deno.test("combine tells every problem at once, and index one that is no results folder", async () => {
  await withTempDir(async (dir) => {
    const { code, stderr } = await kvmark([
      ...["combine", "--output-dirs", dir, dir, "--labels", "x", "x"],
      ...["--fail-if", "ttft > 1", "--junit", "j.xml"],
    ]);
    assert.equal(code, EXIT_CODES.usage.code);
    assert.match(stderr, /names a folder twice/);
    assert.match(stderr, /all folders have one label/);
    assert.match(stderr, /ttft is not known/);
    const empty = await kvmark(["index", dir]);
    assert.equal(empty.code, EXIT_CODES.io.code);
    assert.match(empty.stderr, /holds no results/);
  });
});
