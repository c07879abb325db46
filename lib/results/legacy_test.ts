import assert from "node:assert/strict";
import { denoHost } from "../host.ts";
import { readRun } from "./read.ts";
import { type Disk, memoryDisk } from "./test_disk.ts";

/** A folder with these files. */
async function folder(contents: Record<string, string>): Promise<Disk> {
  const disk = memoryDisk();
  await disk.files.makeDir("out");
  for (const [name, text] of Object.entries(contents)) {
    await disk.files.writeText(`out/${name}`, text);
  }
  return disk;
}

async function read(contents: Record<string, string>) {
  return await readRun((await folder(contents)).files, "out");
}

const PROGRESS = JSON.stringify({
  test_id: "1",
  parameters: { api_endpoint: "http://h:1", working_set_size: 1000, max_ttft: 2 },
  completed_tests: ["100_0"],
});
const SUMMARY_HEADER = "context_size,cache_hit_rate,input_tokens_per_sec,avg_ttft,p95_itl," +
  "avg_output_tokens,peak_concurrency\n";
const DETAIL_HEADER = "request_id,phase_id,cache_hit_rate,context_size,output_tokens,ttft,itl\n";

Deno.test("readRun() reads the seed's layout and merges a run that was resumed", async () => {
  const run = await read({
    "progress.json": PROGRESS,
    "summary_20250101_000001.csv": SUMMARY_HEADER + "100,0,1,0.5,0.02,9,2\n",
    "summary_20250101_000002.csv": SUMMARY_HEADER + "200,0,3,0,0,9,2\n100,0,1,0.5,0.02,9,2\n",
    // The first process wrote context 100; the one that resumed it wrote 200 and repeats nothing.
    "detailed_results_100_20250101_000001.csv": DETAIL_HEADER +
      "RAMP_c2_r0,RAMP_c2,0,100,8,0.5,0\n",
    "detailed_results_200_20250101_000002.csv": DETAIL_HEADER +
      "RAMP_c2_r0,RAMP_c2,0,200,8,0.0,0.02\n",
    "phase_metadata_20250101_000001.csv":
      "phase_type,phase_id,cache_hit_rate,context_size,concurrency_level,duration\n" +
      "RAMP,RAMP_c2,0,100,2,60.5\nRETRY,FIXED_c2_run0,0,100,2,60.5\n",
  });
  assert.deepEqual([run.kind, run.writtenBy, run.problems], ["cache-rate", "python", []]);
  assert.deepEqual(run.config.endpoints, ["http://h:1"]);
  assert.equal(run.config.parameters?.max_ttft, 2);
  assert.deepEqual(run.summary, [
    {
      context_size: 100,
      cache_hit_rate: 0,
      input_tokens_per_sec: 1,
      avg_ttft: 0.5,
      p95_tpot: 0.02,
      avg_output_tokens: 9,
      peak_concurrency: 2,
    },
    // A latency of 0 means that nothing was measured.
    {
      context_size: 200,
      cache_hit_rate: 0,
      input_tokens_per_sec: 3,
      avg_output_tokens: 9,
      peak_concurrency: 2,
    },
  ]);
  assert.deepEqual(run.details.map((row) => [row.context_size, row.ttft, row.tpot, row.itl]), [
    [100, 0.5, undefined, undefined],
    [200, undefined, 0.02, undefined],
  ]);
  assert.deepEqual(run.phases.map((row) => row.phase_type), ["RAMP", "FIXED"]);
});

Deno.test("readRun() takes the rows of a cell from its newest file, each once", async () => {
  const rows = (label: string, context: number) => `${label},RAMP_c2,0,${context},8,0.5,0.01\n`;
  const run = await read({
    "progress.json": PROGRESS,
    // A file of the later context repeats the rows of the earlier one.
    "detailed_results_100_20250101_000001.csv": DETAIL_HEADER + rows("old", 100),
    "detailed_results_200_20250101_000002.csv": DETAIL_HEADER + rows("a", 100) + rows("b", 200),
  });
  assert.deepEqual(run.details.map((row) => row.request_id), ["a", "b"]);
});

Deno.test("readRun() falls back to an older summary if the newest has no rows", async () => {
  const run = await read({
    "summary_20250101_000001.csv": SUMMARY_HEADER + "100,0,1,0.5,0.02,9,2\n",
    "summary_20250101_000002.csv": SUMMARY_HEADER + "100,0,1,0.5",
  });
  assert.equal(run.summary.length, 1);
  assert.deepEqual(run.problems, [
    "summary_20250101_000002.csv: the last line was cut off and is left out",
    "summary_20250101_000001.csv: read because the newer files have no rows",
  ]);
});

const PERIOD_HEADER = "period_number,context_size,cache_hit_rate,working_set_size,duration," +
  "concurrency_level,num_requests_completed,total_input_tokens,total_output_tokens," +
  "input_tokens_per_sec,avg_ttft,p95_ttft,avg_itl,avg_output_tokens_per_request,measured_ttft\n";

Deno.test("readRun() makes a row of each working set from the sustained periods", async () => {
  const run = await read({
    "progress.json": JSON.stringify({ parameters: { working_set_sizes: [500], max_ttft: 2 } }),
    "sustained_periods_ctx100_ws900_cache96_20250101_000002.csv": PERIOD_HEADER +
      // 500 tokens: level 3 twice within the limit, level 5 beyond it.
      "1,100,96,500,10,3,20,2000,20,200,1,1.5,0,2000,1\n" +
      "2,100,96,500,30,3,10,1000,10,33.3,1.6,1.9,0,2000,1.6\n" +
      "3,100,96,500,10,5,50,5000,50,500,3,4,0,2000,3\n" +
      // 900 tokens: nothing within the limit.
      "4,100,96,900,10,3,20,2000,20,200,4,5,0,2000,4\n" +
      "5,100,96,900,10,1,8,800,8,80,3,3.5,0,2000,3\n",
    "detailed_results_100_20250101_000002.csv":
      "request_id,phase_id,working_set_size,cache_hit_rate,context_size,output_tokens,ttft,itl\n" +
      "P1_c3_r0,SUSTAINED_P1,900,96,100,1,0.9,0.0\nP5_c1_r0,SUSTAINED_P5,900,96,100,1,3,0.0\n",
  });
  assert.equal(run.kind, "working-set");
  const [small, large] = run.summary;
  assert.equal(run.summary.length, 2);
  assert.deepEqual(
    [small?.working_set_size, small?.peak_concurrency, small?.periods_at_peak],
    [500, 3, 2],
  );
  assert.equal(small?.input_tokens_per_sec, 3000 / 40);
  assert.equal(small?.avg_ttft, (1 * 20 + 1.6 * 10) / 30);
  assert.ok(!("p95_ttft" in (small ?? {})), "percentiles of two periods cannot be pooled");
  assert.deepEqual([small?.total_requests, small?.test_duration], [30, 40]);
  assert.deepEqual(
    [large?.peak_concurrency, large?.avg_ttft, large?.p95_ttft, large?.ttft_limit],
    [1, 3, 3.5, 2],
  );
  assert.match(large?.peak_reason ?? "", /no sustained period met the TTFT limit/);
  // One token a request: there is no decode rate, whatever the file says.
  assert.ok(run.summary.every((row) => row.avg_output_tokens === undefined));
  assert.ok(run.sustained.every((row) => row.avg_output_tokens_per_request === undefined));
  assert.ok(run.sustained.every((row) => row.avg_itl === undefined));
  assert.deepEqual(run.details.map((row) => row.working_set_size), [500, 900]);
});

Deno.test("readRun() reads the newest of several single-prompt files", async () => {
  const header = "context_size,iteration,prompt_type,prompt_tokens,completion_tokens,ttft\n";
  const run = await read({
    "metadata.json": JSON.stringify({
      test_type: "single_prompt",
      detected_model: "m",
      api_endpoint: "http://h",
      seed: 3,
    }),
    "single_prompt_results_20250101_000001.csv": header + "100,0,unique,114,8,9\n",
    "single_prompt_results_20250102_000000.csv": header +
      "100,0,unique,114,8,2\n100,0,cached_r1,114,8,0.5\n100,0,cached_r2,114,8,0\n",
  });
  assert.equal(run.kind, "single-prompt");
  assert.deepEqual(run.singlePrompt.map((row) => [row.prompt_type, row.ttft]), [
    ["unique", 2],
    ["cached", 0.5],
    ["cached_r2", undefined],
  ]);
  assert.equal(run.config.model, "m");
  assert.deepEqual(run.config.parameters, { api_endpoint: "http://h", seed: 3 });
  assert.match(run.config.notes?.join("\n") ?? "", /Of 2 result files this is .*20250102/);
});

Deno.test("readRun() keeps the command of the newest script on one line", async () => {
  const run = await read({
    "progress.json": PROGRESS,
    "summary_20250101_000001.csv": SUMMARY_HEADER + "100,0,1,0.5,0.02,9,2\n",
    "run_command_20250101_000001.sh": "#!/bin/bash\n# comment\n\npython x.py \\\n  --seed 1 $@\n",
  });
  assert.equal(run.config.command, "python x.py --seed 1");
});

// Folders that the Python suite wrote on GPU servers; they are not part of this repository.
const fixtures = Deno.env.get("KVMARK_FIXTURES");
const files = denoHost(import.meta.url).files;

/** The cells of a CSV file, by a split that knows quotes and nothing else. */
async function cells(path: string): Promise<Record<string, string>[]> {
  const lines = (await Deno.readTextFile(path)).trim().split("\n");
  const split = (line: string) =>
    line.match(/"[^"]*"|[^,]*(?=,|$)/g)?.filter((_, i, all) =>
      all[i] !== "" || all[i - 1] === ""
    ) ?? [];
  const header = (lines[0] ?? "").split(",");
  return lines.slice(1).map((line) => {
    const values = line.includes('"') ? split(line) : line.split(",");
    return Object.fromEntries(header.map((name, i) => [name, values[i] ?? ""]));
  });
}

Deno.test({
  name: "readRun() reads every row of a fixed-mode folder of the Python suite",
  ignore: fixtures === undefined,
  async fn() {
    const dir = `${fixtures}/python-cache-rate-fixed`;
    const run = await readRun(files, dir);
    assert.deepEqual([run.kind, run.writtenBy, run.problems], ["cache-rate", "python", []]);
    assert.equal(run.config.model, "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8");
    const [row] = run.summary;
    assert.deepEqual(
      [run.summary.length, row?.p95_ttft, row?.avg_tpot, row?.avg_itl, row?.peak_concurrency],
      [1, 0.6460177153348923, 0.012544481894549203, undefined, 10],
    );
    assert.deepEqual(run.phases.map((one) => one.phase_type), Array(8).fill("FIXED"));
    const raw = await cells(`${dir}/detailed_results_8000_20251219_214221.csv`);
    assert.equal(run.details.length, 200);
    assert.deepEqual(
      run.details.map((one) => [one.request_id, one.ttft, one.tpot, one.finish_time]),
      raw.map((
        one,
      ) => [one.request_id, Number(one.ttft), Number(one.itl), Number(one.finish_time)]),
    );
    const launched = run.phases.reduce((sum, one) => sum + (one.num_requests_completed ?? 0), 0);
    assert.equal(launched, run.details.length);
  },
});

Deno.test({
  name: "readRun() reads the sustained working-set folders of the Python suite",
  ignore: fixtures === undefined,
  async fn() {
    const table = [["python-working-set-dram", 3860], [
      "python-working-set-gds-dram",
      7538,
    ]] as const;
    for (const [name, requests] of table) {
      const run = await readRun(files, `${fixtures}/${name}`);
      assert.deepEqual([run.kind, run.problems], ["working-set", []]);
      assert.equal(run.details.length, requests);
      const sets = new Set(run.sustained.map((row) => row.working_set_size));
      assert.ok(sets.size > 15);
      assert.deepEqual(
        run.summary.map((row) => row.working_set_size),
        [...sets].sort((a, b) => (a ?? 0) - (b ?? 0)),
      );
      // Each request is labelled with the set of its period, never with the largest of the test.
      assert.ok(run.details.every((row) => sets.has(row.working_set_size)));
      const perPeriod = run.details.filter((row) => row.phase_id === "SUSTAINED_P1");
      assert.ok(perPeriod.every((row) => row.working_set_size === 640000));
      for (const row of run.summary) {
        const periods = run.sustained.filter((one) =>
          one.working_set_size === row.working_set_size &&
          one.concurrency_level === row.peak_concurrency
        );
        const rates = periods.map((one) => one.input_tokens_per_sec ?? NaN);
        const rate = row.input_tokens_per_sec ?? NaN;
        assert.ok(rate >= Math.min(...rates) - 1e-6 && rate <= Math.max(...rates) + 1e-6);
      }
    }
  },
});

Deno.test({
  name: "readRun() reads the newest of seven single-prompt runs of the Python suite",
  ignore: fixtures === undefined,
  async fn() {
    const run = await readRun(files, `${fixtures}/python-single-prompt`);
    assert.deepEqual([run.kind, run.problems], ["single-prompt", []]);
    const name = "single_prompt_results_20251219_203411.csv";
    const raw = await cells(`${fixtures}/python-single-prompt/${name}`);
    assert.ok(raw.length > 40);
    assert.deepEqual(
      run.singlePrompt.map((row) => [row.context_size, row.ttft]),
      raw.map((row) => [Number(row.context_size), Number(row.ttft)]),
    );
    assert.deepEqual(
      [...new Set(run.singlePrompt.map((row) => row.prompt_type))],
      ["unique", "cached", "cached_r2", "cached_r3"],
    );
  },
});

Deno.test("readRun() reads a long run of the Python suite to its last row", async () => {
  const count = 20_100;
  const lines = Array.from(
    { length: count },
    (_, n) => `RAMP_c2_r${n},RAMP_c2,0,100,8,${n + 1},0.02\n`,
  );
  const { details } = await read({
    "progress.json": PROGRESS,
    "summary_20250101_000001.csv": SUMMARY_HEADER + "100,0,1,0.5,0.02,9,2\n",
    "detailed_results_100_20250101_000001.csv": DETAIL_HEADER + lines.join(""),
  });
  assert.equal(details.length, count);
  assert.deepEqual({ ...details.at(-1), ttft: details.at(-1)?.ttft }, {
    request_id: `RAMP_c2_r${count - 1}`,
    ...{ phase_id: "RAMP_c2", cache_hit_rate: 0, context_size: 100, output_tokens: 8 },
    ...{ ttft: count, tpot: 0.02, output_tokens_source: "usage" },
  });
});
