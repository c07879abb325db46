/**
 * The tier map against a server whose tiers are known: `working-set` at 100 % and cyclic access on
 * the simulator, several times with different seeds. Checks that every knee is found within one
 * step of the sweep, capacities within 10 % and read speeds within 15 %; that without lower tiers
 * there is one knee, and with a cache that holds everything none.
 *
 *     deno run -A scripts/tier_map_proof.ts [seeds] [first seed] [three|one|none …]
 *
 * Prints tables in Markdown; the exit code is 1 if a check failed.
 *
 * @module
 */

import { type MapTier, readTierMap, type TierMap } from "../lib/results/tier_map_file.ts";
import { denoHost } from "../lib/host.ts";
import { workingSetSizes } from "../lib/experiments/working_set.ts";

const CONTEXT_TOKENS = 4000;
const SIZES = workingSetSizes({ minTokens: 40_000, maxTokens: 1_200_000, count: 37, scale: "log" });
const SECONDS_PER_SIZE = "0.7";
/** Seeds that run side by side: the noise of several on two cores hides the faster steps. */
const AT_ONCE = 1;
/** Tokens per second: far enough apart for the tiers to differ, fast enough for a short run. */
const SPEEDS = { dram: 500_000, ssd: 200_000, prefill: 120_000 };

/** A server: its tiers in tokens, fastest first. */
interface Case {
  readonly name: string;
  readonly tokens: readonly number[];
  /** Where the knees are: the tiers of the simulator add up. */
  readonly knees: readonly number[];
  readonly sizes: readonly number[];
}

const CASES: readonly Case[] = [
  {
    name: "three",
    tokens: [60_000, 200_000, 600_000],
    knees: [60_000, 260_000, 860_000],
    sizes: SIZES,
  },
  { name: "one", tokens: [60_000, 0, 0], knees: [60_000], sizes: SIZES.slice(0, 16) },
  { name: "none", tokens: [4_000_000, 0, 0], knees: [], sizes: SIZES.slice(0, 24) },
];

const host = denoHost(import.meta.url);
const flags = ["run", "--allow-net", "--allow-read", "--allow-write", "--allow-env", "--allow-sys"];
const main = new URL("../main.ts", import.meta.url).pathname;

async function startServer(tokens: readonly number[]) {
  const [hbm = 0, dram = 0, ssd = 0] = tokens.map(String);
  const server = new Deno.Command(Deno.execPath(), {
    args: [
      ...[...flags, main, "simulate", "--port", "0", "--itl-ms", "2"],
      ...["--hbm-tokens", String(hbm), "--dram-tokens", String(dram), "--ssd-tokens", String(ssd)],
      ...["--dram-tps", String(SPEEDS.dram), "--dram-latency-ms", "0.2"],
      ...["--ssd-tps", String(SPEEDS.ssd), "--ssd-latency-ms", "0.5"],
      ...["--prefill-tps", String(SPEEDS.prefill), "--max-batched-tokens", "8192"],
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of server.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return { server, url: (JSON.parse(text.split("\n")[0] ?? "") as { url: string }).url };
}

async function measure(one: Case, seed: number): Promise<TierMap> {
  const { server, url } = await startServer(one.tokens);
  const dir = await Deno.makeTempDir({ prefix: "kvmark-tier-map-" });
  try {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...[...flags, main, "working-set", "--api-endpoint", url, "--output-dir", dir],
        ...["--context-sizes", String(CONTEXT_TOKENS), "--cache-hit-rates", "100"],
        ...["--working-set-sizes", ...one.sizes.map(String)],
        ...["--access-order", "cyclic", "--mode", "fixed", "--fixed-concurrency", "1"],
        ...["--num-retries", "0", "--output-tokens", "1", "--chunk-size", "16"],
        ...["--ramp-duration", SECONDS_PER_SIZE, "--test-duration", SECONDS_PER_SIZE],
        ...["--skip-graphs", "--brief", "--seed", String(seed)],
      ],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (code !== 0) throw new Error(`exit code ${code}\n${new TextDecoder().decode(stderr)}`);
    const map = await readTierMap(host.files, dir);
    if (map === undefined) throw new Error("the run left no tier_map.json");
    return map;
  } finally {
    await Deno.remove(dir, { recursive: true });
    server.kill("SIGTERM");
    await server.status;
  }
}

/** One figure of the map beside the truth. `ok` if it is as good as it has to be. */
interface Checked {
  readonly text: string;
  readonly ok: boolean;
}

function percentOff(found: number | undefined, truth: number, limit: number): Checked {
  const off = 100 * ((found ?? NaN) / truth - 1);
  const sign = off < 0 ? "−" : "+";
  return {
    text: `${Math.round(found ?? NaN).toLocaleString("en-US")} (${sign}${
      Math.abs(off).toFixed(1)
    } %)`,
    ok: Math.abs(off) <= limit,
  };
}

/** The truth has to lie within the interval or one step of the sweep beside it. */
function checkKnee(map: TierMap, one: Case, index: number): Checked {
  const [truth, knee] = [one.knees[index] ?? NaN, map.knees[index]];
  if (knee === undefined) return { text: "not found", ok: false };
  const sizes = one.sizes.map((size) => Math.ceil(size / CONTEXT_TOKENS) * CONTEXT_TOKENS);
  const below = sizes.findLast((size) => size < knee.low) ?? knee.low;
  const above = sizes.find((size) => size > knee.high) ?? knee.high;
  const count = (tokens: number) => tokens.toLocaleString("en-US");
  return {
    text: `${count(knee.workingSetTokens)} (${count(knee.low)}–${count(knee.high)})`,
    ok: truth >= below && truth <= above,
  };
}

function checksOf(map: TierMap, one: Case): readonly Checked[] {
  const names = ["HBM", "DRAM", "SSD"].slice(0, one.knees.length);
  const tier = (name: string): MapTier | undefined => map.tiers.find((t) => t.name === name);
  const count = one.knees.length;
  return [
    { text: String(map.knees.length), ok: map.knees.length === count },
    ...one.knees.map((_, i) => checkKnee(map, one, i)),
    ...names.map((name, i) => percentOff(tier(name)?.capacity?.tokens, one.tokens[i] ?? NaN, 10)),
    ...(count < 3 ? [] : [
      percentOff(tier("DRAM")?.bandwidth?.tokensPerSec, SPEEDS.dram, 15),
      percentOff(tier("SSD")?.bandwidth?.tokensPerSec, SPEEDS.ssd, 15),
    ]),
  ];
}

function headerOf(one: Case): string[] {
  const names = ["HBM", "DRAM", "SSD"].slice(0, one.knees.length);
  return [
    "seed",
    "knees",
    ...names.map((name) => `end of ${name}`),
    ...names.map((name) => `${name}, tokens`),
    ...(names.length < 3 ? [] : ["DRAM, tokens/s", "SSD, tokens/s"]),
  ];
}

const [seeds = "5", first = "1", ...wanted] = Deno.args;
for (const one of CASES.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  console.log(
    `\n### ${one.name}: ${one.tokens.map((n) => n.toLocaleString("en-US")).join(", ")}\n`,
  );
  console.log(
    `| ${headerOf(one).join(" | ")} |\n| ${headerOf(one).map(() => "---").join(" | ")} |`,
  );
  const all = Array.from({ length: Number(seeds) }, (_, i) => Number(first) + i);
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const batch = all.slice(at, at + AT_ONCE);
    const maps = await Promise.all(batch.map((seed) => measure(one, seed)));
    maps.forEach((map, i) => report(map, one, batch[i] ?? NaN));
  }
}

function report(map: TierMap, one: Case, seed: number): void {
  const checks = checksOf(map, one);
  const cells = checks.map((check) => check.text + (check.ok ? "" : " ✗"));
  console.log(`| ${[String(seed), ...cells].join(" | ")} |`);
  if (checks.every((check) => check.ok)) return;
  Deno.exitCode = 1;
  console.error([map.headline, ...map.evidence].join("\n"));
}
