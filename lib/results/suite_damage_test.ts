import assert from "node:assert/strict";
import fc from "fast-check";
import { readRun } from "./read.ts";
import { memoryDisk } from "./test_disk.ts";

type Table = string[][];
type Contents = Record<string, string>;

const PERIODS = "sustained_periods_ctx1000_ws8000_cache50_20250101_000002.csv";
const DETAILS = "detailed_results_1000_20250101_000002.csv";
const PROGRESS = JSON.stringify({
  parameters: { working_set_sizes: [4000, 8000], max_ttft: 1.5, ttft_metric: "avg" },
});
const SCRIPT = "#!/bin/bash\n# comment\npython working_set_tester.py \\\n" +
  "  --api-endpoint http://h:1 \\\n  --context-sizes 1000 \\\n  --max-ttft 1.5 \\\n" +
  "  --min-working-set-size 4000 \\\n  --max-working-set-size 8000 \\\n" +
  "  --cache-hit-rates 50 $@\n";
const DETAIL_HEADER = "request_id,phase_id,working_set_size,cache_hit_rate,context_size," +
  "cached_tokens,unique_tokens,output_tokens,ttft,ttlt,generation_time,total_time,launch_time," +
  "finish_time,concurrency_level,itl";
const PERIOD_HEADER = "period_number,context_size,cache_hit_rate,working_set_size,start_time," +
  "end_time,duration,concurrency_level,num_requests_launched,num_requests_completed," +
  "total_input_tokens,total_output_tokens,input_tokens_per_sec,output_tokens_per_sec,avg_ttft," +
  "median_ttft,p95_ttft,p99_ttft,measured_ttft,decision,next_concurrency";

/** Six periods at concurrency 1, 2 and 3 with two working sets; every row is right. */
function goodFolder(): Contents {
  const [details, periods] = [[DETAIL_HEADER], [PERIOD_HEADER]];
  for (let number = 1; number <= 6; number++) {
    const level = (number - 1) % 3 + 1;
    const start = 1_700_000_000 + 40 * number;
    const ttft = 0.5 * level;
    const count = 20 * level;
    for (let i = 0; i < count; i++) {
      const launch = start + Math.floor(i / level) * ttft;
      const ends = launch + ttft;
      details.push(
        `P${number}_c${level}_r${i},SUSTAINED_P${number},8000,50,1000,500,500,1,${ttft},${ttft},` +
          `0,${ttft},${launch},${ends},${level},0`,
      );
    }
    const span = 20 * ttft;
    const set = number <= 3 ? 4000 : 8000;
    periods.push(
      `${number},1000,50,${set},${start},${start + span},${span},${level},${count},${count},` +
        `${count * 1000},${count},${count * 1000 / span},${count / span},${ttft},${ttft},${ttft},` +
        `${ttft},${ttft},RAMP_UP,${level + 1}`,
    );
  }
  return {
    "progress.json": PROGRESS,
    "run_command_20250101_000001.sh": SCRIPT,
    [PERIODS]: periods.join("\n") + "\n",
    [DETAILS]: details.join("\n") + "\n",
  };
}

async function read(contents: Contents) {
  const disk = memoryDisk();
  await disk.files.makeDir("out");
  for (const [name, text] of Object.entries(contents)) {
    await disk.files.writeText(`out/${name}`, text);
  }
  return await readRun(disk.files, "out");
}

/** The figures that every page and comparison starts from. */
function figuresOf(run: Awaited<ReturnType<typeof read>>) {
  const rows = run.details.map((row) => [
    row.working_set_size,
    row.concurrency_level,
    row.ttft,
    row.launch_time,
    row.finish_time,
  ]);
  return JSON.stringify([run.summary, rows]);
}

function edit(text: string, change: (table: Table) => Table): string {
  const table = text.trimEnd().split("\n").map((line) => line.split(","));
  return change(table).map((row) => row.join(",")).join("\n") + "\n";
}

function without(text: string, column: string): string {
  return edit(text, ([header = [], ...rows]) => {
    const at = header.indexOf(column);
    assert.ok(at >= 0, column);
    return [header, ...rows].map((row) => row.toSpliced(at, 1));
  });
}

function part(text: string, share: number): string {
  return text.slice(0, Math.floor(text.length * share));
}

const KINDS: readonly (readonly [string, RegExp, (good: Contents) => Contents])[] = [
  [
    "NaN in a period",
    /1 of 6 rows of the sustained periods have no total_input_tokens/,
    (good) => ({
      ...good,
      [PERIODS]: edit(good[PERIODS] ?? "", (t) => t.with(2, (t[2] ?? []).with(10, "nan"))),
    }),
  ],
  ["NaN in a request", /1 of 240 request rows have no ttft/, (good) => ({
    ...good,
    [DETAILS]: edit(good[DETAILS] ?? "", (t) => t.with(9, (t[9] ?? []).with(8, "nan"))),
  })],
  ["no request file", /request rows are missing/, ({ [DETAILS]: _, ...rest }) => rest],
  ["no ttft column", /No request row has a number of ttft/, (good) => ({
    ...good,
    [DETAILS]: without(good[DETAILS] ?? "", "ttft"),
  })],
  ["details cut at 60 %", /\d+ of 240 requests have no row/, (good) => ({
    ...good,
    [DETAILS]: part(good[DETAILS] ?? "", 0.6),
  })],
  ["a period deleted", /20 request rows belong to 1 periods that are missing/, (good) => ({
    ...good,
    [PERIODS]: edit(good[PERIODS] ?? "", (t) => t.toSpliced(4, 1)),
  })],
  ["all periods deleted", /240 request rows, but the file of their periods is missing/, (
    { [PERIODS]: _, ...rest },
  ) => rest],
  ["duplicated rows", /5 request rows are there twice/, (good) => ({
    ...good,
    [DETAILS]: edit(good[DETAILS] ?? "", (t) => [...t, ...t.slice(3, 8)]),
  })],
];

Deno.test("readRun() finds nothing wrong with a good folder of the Python suite", async () => {
  const run = await read(goodFolder());
  assert.deepEqual([run.damage, run.problems], [undefined, []]);
  assert.deepEqual(run.summary.map((row) => row.peak_concurrency), [1, 1]);
});

for (const [name, message, damage] of KINDS) {
  Deno.test(`readRun() tells damage of a folder of the Python suite: ${name}`, async () => {
    const run = await read(damage(goodFolder()));
    assert.match((run.damage ?? []).join("\n"), message);
  });
}

Deno.test("readRun() counts a request once that is there twice", async () => {
  const good = await read(goodFolder());
  const twice = KINDS.find(([name]) => name === "duplicated rows")?.[2];
  assert.equal((await read(twice?.(goodFolder()) ?? {})).details.length, good.details.length);
});

Deno.test("readRun() takes the options from the run script if progress.json is empty", async () => {
  const run = await read({ ...goodFolder(), "progress.json": "" });
  assert.equal(run.kind, "working-set");
  assert.deepEqual(run.config.parameters?.["context_sizes"], [1000]);
  assert.ok(run.summary.length > 0 && run.summary.every((row) => row.ttft_limit === 1.5));
  assert.match(run.problems.join(), /progress\.json/);
  assert.match((run.config.notes ?? []).join(), /taken from the run script/);
});

/** Any damage to the two tables: cells, rows, columns, cuts and whole files. */
const DAMAGE = fc.record({
  file: fc.constantFrom(PERIODS, DETAILS),
  how: fc.constantFrom("cell", "drop", "twice", "cut", "column", "file"),
  row: fc.nat(300),
  column: fc.nat(20),
  cell: fc.constantFrom("", "nan", "x", "inf"),
});

Deno.test("readRun(): random damage never changes a figure silently", async () => {
  const good = goodFolder();
  const figures = figuresOf(await read(good));
  let changedFigures = 0;
  await fc.assert(
    fc.asyncProperty(DAMAGE, async ({ file, how, row, column, cell }) => {
      const text = good[file] ?? "";
      const lines = text.trimEnd().split("\n").length;
      const at = 1 + row % (lines - 1);
      const damaged: Record<string, (text: string) => string | undefined> = {
        cell: (whole) =>
          edit(whole, (t) => t.with(at, (t[at] ?? []).with(column % (t[at]?.length ?? 1), cell))),
        drop: (whole) => edit(whole, (t) => t.toSpliced(at, 1)),
        twice: (whole) => edit(whole, (t) => t.toSpliced(at, 0, t[at] ?? [])),
        cut: (whole) => part(whole, (row % 100) / 100),
        column: (whole) => edit(whole, (t) => t.map((r) => r.toSpliced(column % r.length, 1))),
        file: () => undefined,
      };
      const changed = damaged[how]?.(text);
      const { [file]: _, ...others } = good;
      const run = await read(changed === undefined ? others : { ...others, [file]: changed })
        .catch(() => undefined);
      if (run === undefined || figuresOf(run) === figures) return;
      changedFigures++;
      const told = [...(run.damage ?? []), ...run.problems];
      assert.ok(told.length > 0, `${how} of ${file}, line ${at}, column ${column}, "${cell}"`);
    }),
    { numRuns: 200 },
  );
  assert.ok(changedFigures > 20, `${changedFigures}`);
});
