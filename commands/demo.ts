/**
 * `kvmark demo`: the simulator, two short sweeps and their dashboards, on this machine alone.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import { KvmarkError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import { type MapKnee, parseTierMap, TIER_MAP_NAME } from "../lib/results/tier_map_file.ts";
import type { SimulatorOptions } from "../lib/sim/settings.ts";
import { startSimulatorThread } from "../lib/sim/worker.ts";
import { formatCount } from "../lib/units.ts";
import { command as cacheRate } from "./cache_rate.ts";
import { command as workingSet } from "./working_set.ts";

const EXAMPLES = `
Examples:
  kvmark demo
  kvmark demo --output-dir /tmp/kvmark_demo
`;

interface DemoPart {
  /** Name of the command and of the subfolder. */
  readonly name: string;
  readonly command: (host: Host) => Command;
  readonly simulate: SimulatorOptions;
  readonly options: readonly string[];
}

/** Tiers that a sweep of a few seconds passes through: three prompts each, and room for output. */
const TIERS = { hbmTokens: 24_512, dramTokens: 24_000, ssdTokens: 24_000 } as const;

/** So slow that their times to the first token are apart on a busy machine too. */
const SPEEDS = { dramReadTokensPerSec: 250_000, ssdReadTokensPerSec: 100_000 } as const;

const PARTS: readonly DemoPart[] = [
  {
    name: "cache-rate",
    command: cacheRate,
    simulate: {},
    options: [
      ...["--context-sizes", "2000", "8000", "--working-set-size", "48000"],
      ...["--cache-hit-rates", "0", "50", "90", "100", "--max-ttft", "1"],
      ...["--output-tokens", "32", "--test-duration", "2.4", "--ramp-duration", "0.8"],
      ...["--start-concurrency", "2", "--max-concurrency", "16", "--num-retries", "1"],
    ],
  },
  {
    name: "working-set",
    command: workingSet,
    simulate: { ...TIERS, ...SPEEDS, maxModelTokens: 8192 },
    options: [
      ...["--context-sizes", "8000", "--min-working-set-size", "8000"],
      ...["--max-working-set-size", "96000", "--working-set-increments", "12"],
      ...["--mode", "fixed", "--fixed-concurrency", "1", "--ensure-working-set-coverage"],
      ...["--output-tokens", "2", "--test-duration", "0.4", "--ramp-duration", "0.4"],
      // In order, so that the first round finds what every later one finds.
      ...["--num-retries", "0", "--init-concurrency", "1"],
    ],
  },
];

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark demo")
    .description(
      "Start the simulator, run a short cache-rate and a short working-set sweep against it, print " +
        "the tables and write the dashboards: about a minute, no GPU, no network. Checks the tier map " +
        "against the simulator: exit 3 if an end of a tier was not found.",
    )
    .option("--output-dir <dir>", "results folder", "./kvmark_demo")
    .addHelpText("after", EXAMPLES);
  return one.action(async ({ outputDir }) => {
    const { hbmTokens, dramTokens, ssdTokens } = TIERS;
    for (const part of PARTS) await run(host, part, `${outputDir}/${part.name}`);
    const ends = [hbmTokens, hbmTokens + dramTokens, hbmTokens + dramTokens + ssdTokens];
    const map = parseTierMap(
      await host.files.readText(`${outputDir}/working-set/${TIER_MAP_NAME}`),
    );
    const missed = endsMissed(ends, map.knees);
    const found = `${ends.length - missed.length} of ${ends.length} ends found`;
    host.stdout.write(
      `\nThe simulator's tiers end at working sets of ${ends.map(formatCount).join(", ")} ` +
        `tokens: ${found}.\n` +
        PARTS.map(({ name }) => `${name}: ${outputDir}/${name}/index.html\n`).join(""),
    );
    requireEnds(missed, map.knees, found);
  }) as unknown as Command;
}

/**
 * The ends of the simulator's tiers that no knee of the map holds. A knee counts for one end, and
 * one that holds none makes the map wrong: then no end counts as found.
 */
export function endsMissed(
  ends: readonly number[],
  knees: readonly Pick<MapKnee, "low" | "high">[],
): readonly number[] {
  const holds = ({ low, high }: Pick<MapKnee, "low" | "high">, end: number) =>
    low <= end && end <= high;
  if (knees.some((knee) => !ends.some((end) => holds(knee, end)))) return ends;
  const left = [...knees];
  return ends.filter((end) => {
    const at = left.findIndex((knee) => holds(knee, end));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** @throws {KvmarkError} `failed`, if the map is not that of the simulator. */
function requireEnds(missed: readonly number[], knees: readonly MapKnee[], found: string): void {
  if (missed.length === 0) return;
  throw new KvmarkError("failed", `The tier map of the demo is not right: ${found}`, {
    problems: [
      `not found: ${missed.map(formatCount).join(", ")} tokens`,
      ...knees.map(({ low, high }) =>
        `the map has a knee between ${formatCount(low)} and ${formatCount(high)} tokens`
      ),
    ],
    hint: "other load on this machine hides the ends of the tiers: run it again when it is quiet",
  });
}

async function run(host: Host, part: DemoPart, dir: string): Promise<void> {
  await using simulator = await startSimulatorThread(host.workerModule, {
    profile: "demo",
    port: 0,
    ...part.simulate,
  });
  host.stderr.write(`simulator: ${simulator.url} (profile demo)\n`);
  const common = ["--chunk-size", "16", "--force-restart", "--output-dir", dir];
  const args = ["--api-endpoint", simulator.url, ...part.options, ...common];
  const partHost = { ...host, args: [part.name, ...args] };
  await part.command(partHost).parseAsync(args, { from: "user" });
}
