/**
 * Whole benchmarks against each other, on the golden server: what each reports as TTFT against what
 * the server did, and what it costs.
 *
 * ```sh
 * deno run -A scripts/bench/peers.ts               # 200 streams, 10,000 chunks/s
 * deno run -A scripts/bench/peers.ts 50 2000       # 50 streams, 2,000 chunks/s
 * deno run -A scripts/bench/peers.ts 200 10000 aiperf
 * ```
 *
 * `vllm bench serve` needs `scripts/vllm_cpu.sh setup`, the others `scripts/bench/peers.sh guidellm
 * aiperf`; who is not there is named and left out. The CPU time is of a window in the middle, of all
 * processes of the benchmark; the memory is the sum of their peaks. All requests count, those that
 * begin together at the start too.
 *
 * @module
 */

import { latencySpread } from "../../lib/metrics/spread.ts";
import { startGolden } from "./golden.ts";
import { benchPython, machineLines, pythonVersions, treeUse, watchOthers } from "./processes.ts";

const [STREAMS = 200, CHUNKS_PER_SEC = 10_000] = Deno.args.slice(0, 2).map(Number);
const only = Deno.args[2] ?? "";
const TOKENS = 150;
const TTFT_MS = 100;
const SECONDS = 17;

const folder = new URL("clients/", import.meta.url).pathname;
const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
const vllm = Deno.env.get("KVMARK_VLLM_DIR") ?? `${home}/kvmark/vllm`;

const python = await benchPython().catch(() => "python3");
const tokenizer = [`${vllm}/model`];

const PEERS = [
  ["kvmark", Deno.execPath(), ["run", "-A", `${folder}kvmark.ts`], []],
  ["`vllm bench serve`", `${vllm}/venv/bin/python`, [`${folder}vllm_serve.py`], tokenizer],
  ["`guidellm`", python, [`${folder}guidellm_run.py`], tokenizer],
  ["`aiperf`", python, [`${folder}aiperf_run.py`], tokenizer],
  ["`openai` in a loop", python, [`${folder}openai_reader.py`], []],
] as const;

async function measure([name, program, before, after]: (typeof PEERS)[number]): Promise<void> {
  await using golden = await startGolden({
    ttftMs: TTFT_MS,
    spread: 1,
    itlMs: 1000 * STREAMS / CHUNKS_PER_SEC - 1.5 * TTFT_MS / TOKENS,
  });
  const child = new Deno.Command(program, {
    args: [...before, golden.url, ...[STREAMS, TOKENS, SECONDS].map(String), ...after],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let ended = false;
  const output = child.output().finally(() => ended = true);
  while ((await golden.stats()).running < STREAMS * 0.9) {
    if (ended) throw new Error(`ended with ${(await output).code} before it had sent its requests`);
    await pause(100);
  }
  await pause(3000);
  const [use, stats] = [await treeUse(child.pid), await golden.stats()];
  const watch = await watchOthers(["self", golden.pid]);
  await pause(6000);
  const [useLater, statsLater] = [await treeUse(child.pid), await golden.stats()];
  const elsewhere = await watch.end();
  const { code, stdout } = await output;
  if (code !== 0) throw new Error(`${name} ended with ${code}`);
  // vLLM's log comes first.
  const said = JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "");
  const reported: number[] = Array.isArray(said)
    ? said.map(({ ttftMs }: { ttftMs: number }) => ttftMs)
    : said.ttftMs;
  const done = (await golden.stop()).filter((request) => request.done);
  const told = latencySpread(reported);
  const truth = latencySpread(done.map((one) => (one.sentMs[0] ?? NaN) - one.receivedMs));
  if (reported.length === 0) throw new Error("it reported no request");
  const chunks = statsLater.chunks - stats.chunks;
  const cpuMs = useLater.cpuMs - use.cpuMs;
  const seconds = (statsLater.atMs - stats.atMs) / 1000;
  const others = elsewhere - cpuMs / 1000 / seconds;
  const cells = [
    name,
    `${reported.length}`,
    (chunks / seconds).toFixed(0),
    (cpuMs * 1000 / chunks).toFixed(1),
    (useLater.peakBytes / 2 ** 20).toFixed(0),
    `${told.medianMs?.toFixed(1)} / ${truth.medianMs?.toFixed(1)}`,
    `${told.p99Ms?.toFixed(1)} / ${truth.p99Ms?.toFixed(1)}`,
    others.toFixed(2),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function main(): Promise<void> {
  console.log([...await machineLines(), ...await pythonVersions()].join("\n"));
  console.log(
    `\n${STREAMS} streams, ${CHUNKS_PER_SEC} chunks/s asked for\n` +
      "\n| benchmark | requests | chunks/s | CPU us/chunk | peak MiB | TTFT p50, said / true (ms) | " +
      "p99 | other processes (cores) |\n|---|---|---|---|---|---|---|---|",
  );
  for (const peer of PEERS.filter(([name]) => name.includes(only))) {
    await measure(peer).catch((error) =>
      console.log(`| ${peer[0]} | not here: ${error.message} |`)
    );
  }
}

if (import.meta.main) await main();
