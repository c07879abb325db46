/**
 * `kvmark simulate`: a server whose truth is known.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import { KvmarkError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import { FAULTS } from "../lib/sim/faults.ts";
import { type Simulator, startSimulator } from "../lib/sim/server.ts";
import {
  PROFILES,
  publicSettings,
  resolveSettings,
  type SimulatorOptions,
} from "../lib/sim/settings.ts";
import { parseBytes, parseTokens } from "../lib/units.ts";

const FAULT_LIST = Object.entries(FAULTS)
  .map(([name, what]) => `  ${name.padEnd(22)}${what}`)
  .join("\n");

const HELP = `
Faults (of inference requests; a share of them with NAME:RATE, for instance http-500:0.1):
${FAULT_LIST}

Once ready, stdout has one JSON line: {"url": "http://127.0.0.1:8000", …the settings}.

Examples:
  kvmark simulate --profile h100-llama-70b
  kvmark simulate --port 0 --hbm-tokens 60k --dram-tokens 200k --ssd-tokens 0
  kvmark simulate --fault http-500:0.05 --fault sse-comments --truth-log truth.jsonl
  kvmark simulate --fault constant-latency --constant-ttft-ms 200
`;

/** Options and what each sets; the values are read as numbers or as counts (60k, 2M). */
const NUMBER_OPTIONS = {
  port: ["port", number],
  maxModelLen: ["maxModelTokens", parseTokens],
  blockSize: ["blockTokens", parseTokens],
  hbmTokens: ["hbmTokens", parseTokens],
  dramTokens: ["dramTokens", parseTokens],
  ssdTokens: ["ssdTokens", parseTokens],
  dramTps: ["dramReadTokensPerSec", parseTokens],
  ssdTps: ["ssdReadTokensPerSec", parseTokens],
  dramLatencyMs: ["dramLatencyMs", number],
  ssdLatencyMs: ["ssdLatencyMs", number],
  prefillTps: ["prefillTokensPerSec", parseTokens],
  itlMs: ["itlMs", number],
  itlGrowthMs: ["itlGrowthMs", number],
  maxBatch: ["maxBatch", number],
  maxBatchedTokens: ["maxBatchedTokens", parseTokens],
  beginTokens: ["beginTokens", number],
  eosAfter: ["eosAfterTokens", number],
  constantTtftMs: ["constantTtftMs", number],
  speedup: ["speedup", number],
  warmingPercent: ["warmingPercent", number],
  warmingSeconds: ["warmingSeconds", number],
  slowingPercent: ["slowingPercent", number],
  slowingSeconds: ["slowingSeconds", number],
  swingPercent: ["swingPercent", number],
  swingSeconds: ["swingSeconds", number],
  wanderPercent: ["wanderPercent", number],
  wanderSeed: ["wanderSeed", number],
  maxBody: ["maxBodyBytes", parseBytes],
  maxConnections: ["maxConnections", number],
} as const satisfies Readonly<
  Record<string, readonly [keyof SimulatorOptions, (text: string) => number]>
>;

interface Flags extends Partial<Record<keyof typeof NUMBER_OPTIONS, string | undefined>> {
  readonly profile?: string | undefined;
  readonly host?: string | undefined;
  readonly model?: string | undefined;
  readonly chatTemplateTokens?: string | undefined;
  readonly fault?: readonly string[] | undefined;
  readonly truthLog?: string | undefined;
  readonly truthBlocks?: boolean | undefined;
  readonly apiKeyEnv?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}

/** The command. */
export function command(host: Host): Command {
  const simulate = speedOptions(modelOptions(serverOptions(new Command("simulate"))))
    .summary("an OpenAI-compatible server with a tiered KV cache whose truth is known")
    .description(
      "Runs an OpenAI-compatible server with a tiered KV cache, a latency model and faults. " +
        "What it did to each request is known exactly (--truth-log).",
    )
    .addHelpText("after", HELP);
  return simulate.action((flags) => run(host, flags as Flags)) as unknown as Command;
}

function serverOptions(simulate: Command): Command {
  return simulate
    .option("--profile <name>", `starting point: ${Object.keys(PROFILES).join(", ")}`, "demo")
    .option("--host <address>", "address to listen on (default: 127.0.0.1)")
    .option("--port <number>", "port; 0 = any free one (default: 8000)")
    .option("--api-key-env <name>", "ask for the API key in this environment variable")
    .option("--tls-cert <file>", "serve HTTPS with this certificate (PEM)")
    .option("--tls-key <file>", "key of the certificate (PEM)")
    .option("--max-body <size>", "largest request body (default: 64MiB)")
    .option("--max-connections <n>", "open connections (default: 4096)")
    .option("--fault <name>", "do this wrong; may be repeated", collect, [])
    .option("--truth-log <file>", "write what was done to each request, as JSON lines")
    .option("--truth-blocks", "put the hash of each block of each prompt into the truth log")
    .option("--json", "accepted for symmetry: the ready line is always JSON") as unknown as Command;
}

function modelOptions(simulate: Command): Command {
  return simulate
    .option("--model <name>", "name of the model")
    .option("--max-model-len <tokens>", "prompt and output of one request")
    .option("--block-size <tokens>", "tokens in a KV block (default: 16)")
    .option("--hbm-tokens <tokens>", "size of the HBM pool; 0 = no limit, and nothing is kept")
    .option("--dram-tokens <tokens>", "size of the DRAM tier; 0 = none")
    .option("--ssd-tokens <tokens>", "size of the SSD tier; 0 = none")
    .option("--dram-tps <rate>", "tokens/s that are read from DRAM")
    .option("--ssd-tps <rate>", "tokens/s that are read from SSD")
    .option("--dram-latency-ms <ms>", "latency of a read from DRAM")
    .option("--ssd-latency-ms <ms>", "latency of a read from SSD")
    .option("--prefill-tps <rate>", "prompt tokens/s that are computed, shared by all requests")
    .option("--itl-ms <ms>", "decode step of one sequence, and the shortest step")
    .option("--itl-growth-ms <ms>", "what each further decoding sequence adds to a step")
    .option("--max-batch <n>", "sequences that run at the same time")
    .option("--max-batched-tokens <tokens>", "tokens that are computed in one step")
    .option("--begin-tokens <n>", "begin tokens before a text prompt: 0 or 1 (default: 1)")
    .option("--chat-template-tokens <before,after>", "tokens around a chat (default: 4,3)")
    .option("--eos-after <tokens>", "output ends here by itself; 0 = never (default: 256)")
    .option("--constant-ttft-ms <ms>", "TTFT of the fault constant-latency (default: 200)")
    .option("--speedup <factor>", "run everything this many times as fast") as unknown as Command;
}

function speedOptions(simulate: Command): Command {
  return simulate
    .option("--warming-percent <percent>", "slower by this at the first request")
    .option("--warming-seconds <s>", "at full speed so long after it (default: 60)")
    .option("--slowing-percent <percent>", "slower by this in the end, as if it got hot")
    .option("--slowing-seconds <s>", "so long after the first request (default: 60)")
    .option("--swing-percent <percent>", "faster and slower by this, in turn")
    .option("--swing-seconds <s>", "length of one turn (default: 60)")
    .option("--wander-percent <percent>", "each start is faster or slower by up to this")
    .option("--wander-seed <n>", "makes a start like another one") as unknown as Command;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function number(text: string): number {
  const value = /^-?[0-9]*\.?[0-9]+(?:e-?[0-9]+)?$/i.test(text.trim()) ? Number(text) : NaN;
  if (!Number.isFinite(value)) throw new RangeError(`Cannot read "${text}" as a number`);
  return value;
}

async function run(host: Host, flags: Flags): Promise<void> {
  // Signals are caught before the ready line invites them.
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<void>();
  const removeHandler = host.onInterrupt(() => interrupt());
  try {
    const simulator = await start(host, flags);
    try {
      announce(host, simulator);
      await interrupted;
    } finally {
      await simulator.close();
    }
    host.stderr.write("Stopped.\n");
  } finally {
    removeHandler();
  }
}

/** @throws {KvmarkError} `usage` with the problems of all options at once. */
async function start(host: Host, flags: Flags): Promise<Simulator> {
  const problems: string[] = [];
  const options = await readOptions(host, flags, problems);
  let starting: KvmarkError | undefined;
  if (problems.length === 0) return await startSimulator(options);
  try {
    // Only to hear what else is wrong; the port is never opened.
    await resolveSettings(options);
  } catch (error) {
    if (!(error instanceof KvmarkError)) throw error;
    starting = error;
  }
  const more = starting === undefined
    ? []
    : starting.problems.length > 0
    ? starting.problems
    : [starting.message];
  throw new KvmarkError("usage", "The simulator cannot run with these settings", {
    problems: [...problems, ...more],
    hint: "kvmark simulate --help lists the options",
  });
}

async function readOptions(
  host: Host,
  flags: Flags,
  problems: string[],
): Promise<SimulatorOptions> {
  const options: Record<string, unknown> = {
    profile: flags.profile,
    host: flags.host,
    model: flags.model,
    faults: flags.fault,
    truthLog: flags.truthLog,
    truthBlocks: flags.truthBlocks,
    tlsCert: await readPem(host, "--tls-cert", flags.tlsCert, problems),
    tlsKey: await readPem(host, "--tls-key", flags.tlsKey, problems),
  };
  for (const [flag, [setting, parse]] of Object.entries(NUMBER_OPTIONS)) {
    const text = flags[flag as keyof typeof NUMBER_OPTIONS];
    if (text === undefined) continue;
    try {
      options[setting] = parse(text);
    } catch (error) {
      const option = flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      problems.push(`--${option}: ${(error as Error).message}`);
    }
  }
  const template = flags.chatTemplateTokens;
  if (template !== undefined) {
    const match = /^([0-9]+),([0-9]+)$/.exec(template);
    if (match === null) {
      problems.push(`--chat-template-tokens: Cannot read "${template}": write before,after: 4,3`);
    } else {
      options.chatTokensBefore = Number(match[1]);
      options.chatTokensAfter = Number(match[2]);
    }
  }
  if (flags.apiKeyEnv !== undefined) {
    options.apiKey = host.env(flags.apiKeyEnv);
    if (options.apiKey === undefined || options.apiKey === "") {
      problems.push(`--api-key-env: the environment has no ${flags.apiKeyEnv}`);
      options.apiKey = undefined;
    }
  }
  return options as SimulatorOptions;
}

async function readPem(
  host: Host,
  option: string,
  path: string | undefined,
  problems: string[],
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await host.files.readText(path);
  } catch (error) {
    problems.push(`${option}: cannot read ${path}: ${(error as Error).message}`);
    return undefined;
  }
}

function announce(host: Host, { url, settings }: Simulator): void {
  host.stdout.write(JSON.stringify({ url, ...publicSettings(settings) }) + "\n");
  const faults = settings.faults.length === 0 ? "" : `, faults: ${settings.faults.join(", ")}`;
  host.stderr.write(
    `Simulating ${settings.model} (profile ${settings.profile}) on ${url}${faults}. ` +
      "Ctrl-C stops it.\n",
  );
  if (!/^(127\.|localhost$|::1$)/.test(settings.host)) {
    host.stderr.write(`Warning: ${settings.host} can be reached from other machines.\n`);
  }
}
