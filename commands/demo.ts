/**
 * `kvmark demo`: the simulator, a short sweep and the dashboard, on this machine alone.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import type { Host } from "../lib/host.ts";
import { startSimulatorThread } from "../lib/sim/worker.ts";
import { command as cacheRate } from "./cache_rate.ts";

const EXAMPLES = `
Examples:
  kvmark demo
  kvmark demo --output-dir /tmp/kvmark_demo
`;

/** A sweep of two context sizes that takes well under a minute. */
const SWEEP = [
  ...["--context-sizes", "2000", "8000", "--working-set-size", "48000"],
  ...["--cache-hit-rates", "0", "50", "90", "100", "--chunk-size", "16"],
  ...["--output-tokens", "32", "--max-ttft", "1", "--test-duration", "3.5", "--ramp-duration", "1"],
  ...["--start-concurrency", "2", "--max-concurrency", "16", "--num-retries", "1"],
  "--force-restart",
];

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark demo")
    .description(
      "Start the simulator, run a short cache-rate sweep against it, print the table and write " +
        "the dashboard: under a minute, no GPU, no network.",
    )
    .option("--output-dir <dir>", "results folder", "./kvmark_demo")
    .addHelpText("after", EXAMPLES);
  return one.action(async ({ outputDir }) => {
    await using simulator = await startSimulatorThread(host.workerModule, {
      profile: "demo",
      port: 0,
    });
    host.stderr.write(`simulator: ${simulator.url} (profile demo)\n`);
    const args = ["--api-endpoint", simulator.url, "--output-dir", outputDir, ...SWEEP];
    const sweepHost = { ...host, args: ["cache-rate", ...args] };
    await cacheRate(sweepHost).parseAsync(args, { from: "user" });
  }) as unknown as Command;
}
