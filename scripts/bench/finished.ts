/**
 * Memory that a finished request leaves behind: a cell with few requests, one with many, and three
 * with many.
 *
 * ```sh
 * deno run -A scripts/bench/finished.ts            # three minutes
 * ```
 *
 * `kvmark cache-rate` at a concurrency of 64 against a simulator of a process of its
 * own, which answers at once. Memory is the largest resident set that the kernel saw; a request's
 * share is the slope between the first two runs. The third shows that it is given back with its cell.
 *
 * @module
 */

import { readCsvText } from "../../tests/support/csv_text.ts";
import { machineLines, processUse, readyLine } from "./processes.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const STREAMS = 64;

interface Measured {
  readonly requests: number;
  readonly peakBytes: number;
}

async function measure(url: string, seconds: number, rates: string[]): Promise<Measured> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-finished-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", MAIN, "cache-rate", "--api-endpoint", url, "--output-dir", `${dir}/out`],
      ...["--context-sizes", "256", "--working-set-size", "16k", "--cache-hit-rates", ...rates],
      ...["--mode", "fixed", "--fixed-concurrency-levels", `${STREAMS}`, "--num-retries", "0"],
      ...["--ramp-duration", `${seconds}`, "--test-duration", `${seconds}`, "--skip-graphs"],
      ...["--output-tokens", "2", "--chunk-size", "16"],
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  let ended = false;
  const status = child.status.finally(() => ended = true);
  let peakBytes = 0;
  while (!ended) {
    const use = await processUse(child.pid).catch(() => undefined);
    peakBytes = Math.max(peakBytes, use?.peakBytes || 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { code } = await status;
  if (code !== 0) throw new Error(`kvmark cache-rate ended with ${code}`);
  const file = [...Deno.readDirSync(`${dir}/out`)].find(({ name }) => name.startsWith("summary_"));
  const rows = readCsvText(Deno.readTextFileSync(`${dir}/out/${file?.name}`));
  await Deno.remove(dir, { recursive: true });
  const requests = rows.reduce((sum, row) => sum + Number(row["total_requests"]), 0);
  return { requests, peakBytes };
}

async function main(): Promise<void> {
  console.log((await machineLines()).join("\n"));
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "simulate", "--port", "0", "--prefill-tps", "10M", "--itl-ms", "1"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const { url } = await readyLine(server);
    const few = await measure(url, 5, ["50"]);
    const many = await measure(url, 40, ["50"]);
    const cells = await measure(url, 40, ["0", "50", "90"]);
    for (const { requests, peakBytes } of [few, many, cells]) {
      console.log(`${requests} requests: ${(peakBytes / 2 ** 20).toFixed(0)} MiB`);
    }
    const slope = (many.peakBytes - few.peakBytes) / (many.requests - few.requests);
    console.log(`a finished request: ${(slope / 1024).toFixed(2)} KiB`);
  } finally {
    server.kill("SIGTERM");
    await server.status;
  }
}

if (import.meta.main) await main();
