/**
 * Settings of the simulated server: defaults, named profiles, and the check that lists every
 * problem at once.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { formatFault, parseFault } from "./faults.ts";
import { accelerate, type LatencyModel } from "./latency.ts";
import type { SpeedSettings } from "./speed.ts";

/** Everything that the simulated server can be told. It is plain data, so that it can be sent to a thread. */
export interface SimulatorSettings extends SpeedSettings {
  readonly profile: string;
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly model: string;
  /** Prompt and output of one request, in tokens. */
  readonly maxModelTokens: number;
  readonly blockTokens: number;
  /** Size of each tier; 0 = no such tier. */
  readonly hbmTokens: number;
  readonly dramTokens: number;
  readonly ssdTokens: number;
  readonly dramReadTokensPerSec: number;
  readonly ssdReadTokensPerSec: number;
  readonly dramLatencyMs: number;
  readonly ssdLatencyMs: number;
  readonly prefillTokensPerSec: number;
  readonly itlMs: number;
  readonly itlGrowthMs: number;
  readonly maxBatch: number;
  readonly maxBatchedTokens: number;
  /** Begin tokens before a text prompt of `/v1/completions`: 0 or 1. */
  readonly beginTokens: number;
  readonly chatTokensBefore: number;
  readonly chatTokensAfter: number;
  /** Output ends here by itself unless `ignore_eos` or `min_tokens` forbid it; 0 = never. */
  readonly eosAfterTokens: number;
  /** Time to the first token under the fault `constant-latency`. */
  readonly constantTtftMs: number;
  /** Everything runs this many times as fast as the other settings say. */
  readonly speedup: number;
  /** `name` or `name:rate`. */
  readonly faults: readonly string[];
  readonly truthLog?: string;
  /** Put the hash of each block of each prompt into the truth log. */
  readonly truthBlocks: boolean;
  readonly apiKey?: string;
  /** Certificate chain and key as PEM text; both or none. */
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly maxBodyBytes: number;
  readonly maxConnections: number;
}

/** What a caller has to give: nothing. */
export type SimulatorOptions = Partial<SimulatorSettings>;

/** Names of the profiles, and how each is loaded. */
export const PROFILES = {
  "demo": () => import("../../assets/profiles/demo.json", { with: { type: "json" } }),
  "cpu-small": () => import("../../assets/profiles/cpu-small.json", { with: { type: "json" } }),
  "a100-llama-8b": () =>
    import("../../assets/profiles/a100-llama-8b.json", { with: { type: "json" } }),
  "h100-llama-70b": () =>
    import("../../assets/profiles/h100-llama-70b.json", { with: { type: "json" } }),
} as const;

const COMMON = {
  host: "127.0.0.1",
  port: 8000,
  blockTokens: 16,
  beginTokens: 1,
  chatTokensBefore: 4,
  chatTokensAfter: 3,
  eosAfterTokens: 256,
  constantTtftMs: 200,
  speedup: 1,
  warmingPercent: 0,
  warmingSeconds: 60,
  slowingPercent: 0,
  slowingSeconds: 60,
  swingPercent: 0,
  swingSeconds: 60,
  wanderPercent: 0,
  wanderSeed: 0,
  faults: [],
  truthBlocks: false,
  maxBodyBytes: 64 * 2 ** 20,
  maxConnections: 4096,
} as const;

/** Numbers: option, whether whole, lowest value, and highest. */
const NUMBERS = {
  port: ["--port", true, 0, 65535],
  maxModelTokens: ["--max-model-len", true, 1, 2 ** 31],
  blockTokens: ["--block-size", true, 1, 4096],
  hbmTokens: ["--hbm-tokens", true, 0, 1e10],
  dramTokens: ["--dram-tokens", true, 0, 1e10],
  ssdTokens: ["--ssd-tokens", true, 0, 1e10],
  dramReadTokensPerSec: ["--dram-tps", false, 1, 1e12],
  ssdReadTokensPerSec: ["--ssd-tps", false, 1, 1e12],
  dramLatencyMs: ["--dram-latency-ms", false, 0, 1e6],
  ssdLatencyMs: ["--ssd-latency-ms", false, 0, 1e6],
  prefillTokensPerSec: ["--prefill-tps", false, 1, 1e12],
  itlMs: ["--itl-ms", false, 0.01, 1e6],
  itlGrowthMs: ["--itl-growth-ms", false, 0, 1e6],
  maxBatch: ["--max-batch", true, 1, 1e6],
  maxBatchedTokens: ["--max-batched-tokens", true, 1, 1e9],
  beginTokens: ["--begin-tokens", true, 0, 1],
  chatTokensBefore: ["--chat-template-tokens", true, 0, 4096],
  chatTokensAfter: ["--chat-template-tokens", true, 0, 4096],
  eosAfterTokens: ["--eos-after", true, 0, 1e9],
  constantTtftMs: ["--constant-ttft-ms", false, 0, 1e6],
  speedup: ["--speedup", false, 0.001, 1e6],
  warmingPercent: ["--warming-percent", false, 0, 95],
  warmingSeconds: ["--warming-seconds", false, 0.001, 1e6],
  slowingPercent: ["--slowing-percent", false, 0, 95],
  slowingSeconds: ["--slowing-seconds", false, 0.001, 1e6],
  swingPercent: ["--swing-percent", false, 0, 95],
  swingSeconds: ["--swing-seconds", false, 0.001, 1e6],
  wanderPercent: ["--wander-percent", false, 0, 95],
  wanderSeed: ["--wander-seed", true, 0, 2 ** 31],
  maxBodyBytes: ["--max-body", true, 1, 2 ** 31],
  maxConnections: ["--max-connections", true, 1, 1e6],
} as const satisfies Partial<
  Record<keyof SimulatorSettings, readonly [string, boolean, number, number]>
>;

/**
 * Fills in what the caller left open from the profile, and checks the whole.
 *
 * Without a context limit of its own a request may be as long as the profile says or as HBM is.
 *
 * @throws {KvmarkError} `usage`, with every problem.
 */
export async function resolveSettings(options: SimulatorOptions): Promise<SimulatorSettings> {
  const given = withoutUndefined(options);
  const name = given.profile ?? "demo";
  if (!Object.hasOwn(PROFILES, name)) {
    throw new KvmarkError("usage", `There is no simulator profile "${name}"`, {
      hint: `choose from ${Object.keys(PROFILES).join(", ")}`,
    });
  }
  const profile = (await PROFILES[name as keyof typeof PROFILES]()).default;
  const settings: SimulatorSettings = {
    ...COMMON,
    ...profile.settings,
    ...startSeed(given),
    ...given,
    profile: name,
  };
  const pool = poolTokens(settings);
  const maxModelTokens = given.maxModelTokens ??
    Math.min(settings.maxModelTokens, pool > 0 ? pool : Infinity);
  const resolved = { ...settings, maxModelTokens };
  const problems = problemsOf(resolved);
  if (problems.length > 0) {
    throw new KvmarkError("usage", "The simulator cannot run with these settings", { problems });
  }
  return { ...resolved, faults: resolved.faults.map((text) => formatFault(parseFault(text))) };
}

/** A start that is to differ from others, and is not told how, draws it. */
function startSeed({ wanderPercent = 0 }: SimulatorOptions): SimulatorOptions {
  if (!(wanderPercent > 0)) return {};
  return { wanderSeed: crypto.getRandomValues(new Uint32Array(1))[0]! % 2 ** 31 };
}

/** The HBM pool in whole blocks. */
function poolTokens({ hbmTokens, blockTokens }: SimulatorSettings): number {
  // A block size that cannot be is a problem of its own; it must not cause another one here.
  const block = blockTokens >= 1 ? blockTokens : 1;
  return Math.floor(hbmTokens / block) * block;
}

function problemsOf(settings: SimulatorSettings): string[] {
  const problems: string[] = [];
  for (const [key, [option, whole, lowest, highest]] of Object.entries(NUMBERS)) {
    const value = settings[key as keyof typeof NUMBERS];
    if (!(value >= lowest && value <= highest) || (whole && !Number.isInteger(value))) {
      const kind = whole ? "a whole number" : "a number";
      problems.push(`${option} is ${value}: it must be ${kind} from ${lowest} to ${highest}`);
    }
  }
  for (const text of settings.faults) {
    try {
      parseFault(text);
    } catch (error) {
      problems.push(`--fault: ${(error as Error).message}`);
    }
  }
  const pool = poolTokens(settings);
  if (settings.hbmTokens > 0 && pool === 0) {
    problems.push(`--hbm-tokens ${settings.hbmTokens} is less than one block`);
  } else if (pool > 0 && settings.maxModelTokens > pool) {
    problems.push(
      `--max-model-len ${settings.maxModelTokens} does not fit into the ${pool} tokens of HBM`,
    );
  }
  for (const tier of ["dram", "ssd"] as const) {
    const tokens = settings[`${tier}Tokens`];
    if (tokens > 0 && tokens < settings.blockTokens) {
      problems.push(`--${tier}-tokens ${tokens} is less than one block`);
    }
  }
  if (settings.model === "") problems.push("--model is empty");
  if (settings.apiKey === "") problems.push("the API key is empty");
  if ((settings.tlsCert === undefined) !== (settings.tlsKey === undefined)) {
    problems.push("--tls-cert and --tls-key belong together");
  }
  return problems;
}

function withoutUndefined(options: SimulatorOptions): SimulatorOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** The latency model that the server really runs with: the settings, `speedup` times as fast. */
export function latencyModel(settings: SimulatorSettings): LatencyModel {
  return accelerate({
    prefillTokensPerSec: settings.prefillTokensPerSec,
    itlMs: settings.itlMs,
    itlGrowthMs: settings.itlGrowthMs,
    dram: {
      readTokensPerSec: settings.dramReadTokensPerSec,
      latencyMs: settings.dramLatencyMs,
    },
    ssd: { readTokensPerSec: settings.ssdReadTokensPerSec, latencyMs: settings.ssdLatencyMs },
  }, settings.speedup);
}

/** The settings as they may be printed: no key, no certificate. */
export function publicSettings(settings: SimulatorSettings): Record<string, unknown> {
  const { apiKey, tlsCert, tlsKey: _key, ...rest } = settings;
  return { ...rest, needsApiKey: apiKey !== undefined, tls: tlsCert !== undefined };
}
