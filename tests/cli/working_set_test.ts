/**
 * `kvmark working-set` on the simulator: its files, its columns, and that it sent what it says.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { parseTierMap } from "../../lib/results/tier_map_file.ts";
import type { TruthEntry } from "../../lib/sim/truth_log.ts";
import { kvmark } from "../support/command.ts";
import { onSimulator, readOutput, type TextRow } from "../support/sweep.ts";

const BLOCK = 16;
const CONTEXT = 256;
const OUTPUT = 5;

/** Two periods of a tenth of a second at each size: far too short for a round without coverage. */
const SHORT = [
  ...["--context-sizes", `${CONTEXT}`, "--chunk-size", "16", "--output-tokens", `${OUTPUT}`],
  ...["--mode", "fixed", "--fixed-concurrency", "3", "--num-retries", "1"],
  ...["--ramp-duration", "0.1", "--test-duration", "0.1", "--workers", "2"],
  "--ensure-working-set-coverage",
];

Deno.test("kvmark working-set sends every prompt of every size in each period, and maps the tiers", async () => {
  const { result, truth } = await onSimulator(
    [
      "--speedup",
      "4",
      "--hbm-tokens",
      "4k",
      "--max-model-len",
      "2k",
      "--dram-tokens",
      "0",
      "--ssd-tokens",
      "0",
    ],
    async (url, dir) => {
      const out = `${dir}/out`;
      const args = ["working-set", "--api-endpoint", url, "--output-dir", out, ...SHORT];
      const first = await kvmark([...args, "--working-set-sizes", "2048", "8192", "--json"]);
      await assertDamagedMap(out, first.stdout);
      const again = await kvmark([
        ...args,
        "--working-set-sizes",
        "2048",
        "8192",
        "3000",
        "--skip-graphs",
      ]);
      const anew = parseTierMap(await Deno.readTextFile(`${out}/tier_map.json`));
      return { first, again, anew, ...readOutput([out]) };
    },
  );
  const { first, again, summary, details, phases, files } = result;
  assert.equal(first.code, 0, first.stderr);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /2 finished cells kept/);
  assertCoverage(details, truth);
  assert.deepEqual(summary.map((row) => row["working_set_size"]), ["2048", "8192", "3000"]);
  for (const row of summary) {
    const prompts = Math.ceil(Number(row["working_set_size"]) / CONTEXT);
    assert.equal(row["working_set_prompts"], `${prompts}`);
    const kept = Math.floor((CONTEXT + OUTPUT - 1) / BLOCK) * BLOCK;
    assert.equal(row["effective_working_set_size"], `${prompts * kept}`);
    assert.equal(row["failed_warmup_requests"], "0");
    assert.equal(row["cache_hit_rate"], "100");
  }
  assert.deepEqual(
    phases.filter((row) => row["phase_type"] === "WARMUP").map((row) =>
      row["num_requests_completed"]
    ),
    ["8", "32", "12"],
  );
  // 2,048 tokens fit into the cache of 4,000; 8,192 do not, and in cyclic order none of them is kept.
  assert.deepEqual(
    summary.slice(0, 2).map((row) => Number(row["observed_hit_rate"]) > 50),
    [true, false],
  );
  // The second run found the map damaged, kept the two sizes, and wrote it anew.
  assert.equal(result.anew.basis.cells, 3);
  const { tier_map: map, experiment } = JSON.parse(first.stdout);
  assert.equal(experiment, "working-set");
  assert.equal(map.basis.cells, 2);
  for (
    const name of ["tier_map.json", "index.html", "performance_vs_working_set_256_cache100.html"]
  ) {
    assert.ok(files.some((path) => path.endsWith(`/${name}`)), `${name} is missing`);
  }
});

/** Without its map the folder is drawn from the rows, and the damaged file stays as it is. */
async function assertDamagedMap(out: string, json: string): Promise<void> {
  const { headline } = JSON.parse(json).tier_map;
  await Deno.writeTextFile(`${out}/tier_map.json`, "{");
  const { code, stderr } = await kvmark(["regenerate", out]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^kvmark: not read: tier_map\.json: /m);
  assert.match(headline, / ends at |^No knee up to /);
  const page = await Deno.readTextFile(`${out}/index.html`);
  assert.match(page, /<h1 id="headline">(?:[A-Za-z ]+ holds [\d.]+k? tokens|No knee up to )/);
  assert.equal(await Deno.readTextFile(`${out}/tier_map.json`), "{");
}

/** By the truth log: in each period of each size every prompt of the pool was asked for. */
function assertCoverage(details: readonly TextRow[], truth: readonly TruthEntry[]): void {
  const hashes = new Map(truth.map((entry) => [entry.requestId, entry.promptHash]));
  const periods = Map.groupBy(details, (row) => `${row["working_set_size"]} ${row["phase_id"]}`);
  assert.equal(periods.size, 6);
  for (const [period, rows] of periods) {
    const prompts = Math.ceil(Number(rows[0]?.["working_set_size"]) / CONTEXT);
    const sent = new Set(rows.map((row) => hashes.get(row["request_id"] ?? "")));
    assert.ok(!sent.has(undefined), `${period}: a request is not in the truth log`);
    assert.equal(sent.size, prompts, `${period}: not every prompt was sent`);
  }
}

Deno.test("kvmark working-set writes every row of a period that is too long for one write", async () => {
  const prompts = 1100;
  const { result } = await onSimulator(["--speedup", "20"], async (url, dir) => {
    const out = `${dir}/out`;
    const { code, stderr } = await kvmark([
      ...["working-set", "--api-endpoint", url, "--output-dir", out, "--context-sizes", "64"],
      ...["--working-set-sizes", `${64 * prompts}`, "--chunk-size", "16", "--output-tokens", "1"],
      ...["--mode", "fixed", "--fixed-concurrency", "16", "--init-concurrency", "16"],
      ...["--ramp-duration", "0.1", "--test-duration", "0.1", "--num-retries", "0"],
      ...["--ensure-working-set-coverage", "--skip-graphs"],
    ]);
    assert.equal(code, 0, stderr);
    return readOutput([out]);
  });
  const { details, phases } = result;
  // On a machine that stops the client for a while the period is measured again; its rows stay too.
  const launched = phases.filter((row) => row["phase_type"] === "FIXED")
    .map((row) => Number(row["num_requests_launched"]));
  assert.ok(launched.length >= 1 && launched.every((count) => count >= prompts), `${launched}`);
  const all = launched.reduce((sum, count) => sum + count, 0);
  assert.equal(details.length, all);
  assert.equal(new Set(details.map((row) => row["request_id"])).size, all);
});

Deno.test("kvmark working-set names every problem of its options at once", async () => {
  const { code, stdout, stderr } = await kvmark([
    ...["working-set", "--api-endpoint", "localhost:1", "--context-sizes", "8"],
    ...["--min-working-set-size", "4GiB", "--max-working-set-size", "-1", "--mode", "fixed"],
    ...[
      "--working-set-scale",
      "cubic",
      "--reinit-strategy",
      "per_cache_rate",
      "--access-order",
      "zipf",
    ],
    ...["--random-working-set-selection", "--assessment-period", "30", "--cache-hit-rates", "101"],
  ]);
  assert.equal(code, EXIT_CODES.usage.code);
  assert.equal(stdout, "");
  for (
    const problem of [
      /--context-sizes .*at least 16/,
      /--max-working-set-size "-1"/,
      /--working-set-increments is required/,
      /--working-set-scale .*linear, log/,
      /--reinit-strategy .*once, per_working_set, per_test/,
      /--cache-hit-rates .*at most 100/,
      /--mode fixed needs --fixed-concurrency/,
      /contradicts --access-order zipf/,
      /--assessment-period is --ramp-duration here/,
    ]
  ) assert.match(stderr, problem);
});

Deno.test("kvmark working-set --dry-run says what the Python suite's command line means", async () => {
  const { code, stdout, stderr } = await kvmark([
    ...["working-set", "--api-endpoint", "localhost:1", "--context-sizes", "30000"],
    ...["--min-working-set-size", "1GiB", "--max-working-set-size", "5000000"],
    ...["--working-set-increments", "4", "--kv-bytes-per-token", "10000", "--dry-run"],
    ...["--init-strategy", "max", "--no-color", "--verbose"],
  ]);
  assert.equal(code, 0, stderr);
  // int(min + (max - min) * i / 3) of 107374 and 5000000.
  assert.match(stdout, /^cells: 4 \(/);
  assert.match(stdout, /30,000: 4 prompts[^]*: 58 prompts[^]*: 113 prompts[^]*: 167 prompts/);
});
