/**
 * Many streams at once, one token a second each: errors, lag and memory of kvmark's client.
 *
 * ```sh
 * deno run -A scripts/bench/streams.ts                 # 1,000, 4,000 and 10,000
 * deno run -A scripts/bench/streams.ts --levels 500
 * ```
 *
 * Each level runs in a process of its own (`clients/held.ts`), so that its memory is its own. The
 * streams begin together; each answer has as many tokens as it takes to hold it for the whole level.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { startGolden } from "./golden.ts";
import { machineLines, watchOthers } from "./processes.ts";

const HELD = new URL("clients/held.ts", import.meta.url).pathname;

async function main(): Promise<void> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "levels": { type: "string", default: "1000,4000,10000" },
      "seconds": { type: "string", default: "20" },
    },
  });
  console.log((await machineLines()).join("\n"));
  console.log(
    "\n| streams | held at once | failed | chunks lost | loop lag p99 (ms) | max | " +
      "peak MiB | KiB a stream | CPU cores | others |\n|---|---|---|---|---|---|---|---|---|---|",
  );
  for (const level of values.levels.split(",")) {
    await using golden = await startGolden({ ttftMs: 1000, spread: 1, itlMs: 1000 });
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", HELD, golden.url, level, values.seconds],
      stdout: "piped",
    }).spawn();
    const output = child.output();
    const watch = await watchOthers(["self", golden.pid, child.pid]);
    await new Promise((resolve) => setTimeout(resolve, Number(values.seconds) * 700));
    const [{ running }, others] = [await golden.stats(), await watch.end()];
    const { code, stdout } = await output;
    if (code !== 0) throw new Error(`${level} streams: the client ended with ${code}`);
    const found = JSON.parse(new TextDecoder().decode(stdout));
    const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
    console.log(
      `| ${level} | ${running} | ${found.failed} | ${found.lost} | ${
        found.lagP99Ms.toFixed(1)
      } | ` +
        `${found.lagMaxMs.toFixed(1)} | ${mebibytes(found.peakBytes)} | ` +
        `${((found.peakBytes - found.idleBytes) / Number(level) / 1024).toFixed(0)} | ` +
        `${found.cores.toFixed(2)} | ${others.toFixed(2)} |`,
    );
  }
}

if (import.meta.main) await main();
