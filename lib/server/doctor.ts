/**
 * What a server can prove about its cache, what will be missing, and what would switch it on.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import type { ApiKind } from "../record.ts";
import { type BlockExperiment, findBlockTokens } from "./block_size.ts";
import { type ClockOffset, measureClockOffset } from "./clock_offset.ts";
import { CAPABILITIES, type CapabilityName, type ServerFacts } from "./facts.ts";
import { send, type ServerAccess } from "./http.ts";
import { infer } from "./infer.ts";
import { usageRequest } from "./inference_probe.ts";
import { type MeasuredOverhead, measureOverhead } from "./overhead.ts";
import { probeText } from "./probe_text.ts";

/** Round trips of a small request on an open connection. */
export interface RoundTrip {
  readonly medianMs: number;
  readonly minMs: number;
  readonly samples: number;
}

/** One prompt, cold, then again, then once more: medians over several prompts. */
export interface CacheTrial {
  readonly works: "yes" | "no" | "unknown";
  readonly evidence: string;
  readonly prompts: number;
  readonly promptTokens?: number;
  readonly coldTtftMs?: number;
  readonly cachedTtftMs?: number;
  readonly cachedAgainTtftMs?: number;
  /** As reported for the last prompt: cold, cached, cached again. */
  readonly reportedCachedTokens: readonly (number | undefined)[];
}

/** A capability as the report prints it. */
export interface DoctorCheck {
  readonly name: CapabilityName;
  readonly meaning: string;
  readonly state: "yes" | "no" | "unknown";
  readonly evidence: string;
  readonly enable?: string;
}

/** What this host can drive, measured against the simulator. */
export interface ClientCapacity {
  readonly streams: number;
  readonly tokensPerSec: number;
  readonly evidence: string;
}

/** All that `doctor` found. */
export interface DoctorReport {
  readonly facts: ServerFacts;
  readonly roundTrip: RoundTrip;
  readonly clockOffset?: ClockOffset;
  readonly overhead: MeasuredOverhead;
  readonly caching: CacheTrial;
  readonly block: BlockExperiment;
  readonly checks: readonly DoctorCheck[];
  /** What will be missing in results, with what switches it on; whole sentences. */
  readonly missing: readonly string[];
  readonly client?: ClientCapacity;
}

/** Options of {@linkcode diagnose}. */
export interface DoctorOptions {
  readonly clock: Clock;
  /** Never use one twice. */
  readonly nonce: string;
  /** Words of the prompts of the cache trial; default 2000, or what half the context allows. */
  readonly words?: number;
}

/**
 * Examines a server that has been probed. Takes some twenty requests of up to 2000 tokens.
 *
 * @throws {KvmarkError} `unreachable` if the server stops answering.
 */
export async function diagnose(
  access: ServerAccess,
  facts: ServerFacts,
  options: DoctorOptions,
): Promise<DoctorReport> {
  const { nonce, clock } = options;
  const { api } = facts;
  const roundTrip = await measureRoundTrip(access);
  const clockOffset = await measureClockOffset(access, clock);
  const overhead = await measureOverhead(access, facts, api, `${nonce}-overhead`);
  const room = Math.floor((facts.maxContextTokens ?? Infinity) / 2);
  const words = Math.min(options.words ?? 2000, room);
  const caching = await tryCache(access, facts, { api, nonce, words });
  const block = await findBlockTokens(access, facts, { api, overhead, nonce: `${nonce}-block` });
  const names = Object.keys(CAPABILITIES) as CapabilityName[];
  return {
    facts,
    roundTrip,
    overhead,
    caching,
    block,
    checks: names.map((name) => ({
      name,
      meaning: CAPABILITIES[name],
      ...facts.capabilities[name],
    })),
    missing: missingFrom(facts, caching, block),
    ...(clockOffset === undefined ? {} : { clockOffset }),
  };
}

const ROUND_TRIPS = 7;

async function measureRoundTrip(access: ServerAccess): Promise<RoundTrip> {
  const elapsed: number[] = [];
  for (let i = 0; i <= ROUND_TRIPS; i++) {
    const { elapsedMs } = await send(access, { path: "/v1/models" });
    // The first one may open the connection.
    if (i > 0) elapsed.push(elapsedMs);
  }
  elapsed.sort((a, b) => a - b);
  return {
    medianMs: median(elapsed) ?? NaN,
    minMs: elapsed[0] ?? NaN,
    samples: elapsed.length,
  };
}

const TRIAL_PROMPTS = 5;

interface Trial {
  readonly ttftMs: readonly (number | undefined)[];
  readonly cachedTokens: readonly (number | undefined)[];
  readonly promptTokens?: number;
  readonly refused?: number;
}

async function tryCache(
  access: ServerAccess,
  facts: ServerFacts,
  { api, nonce, words }: { readonly api: ApiKind; readonly nonce: string; readonly words: number },
): Promise<CacheTrial> {
  const streamUsage = facts.capabilities.streamUsage.state === "yes";
  const trials: Trial[] = [];
  for (let i = 0; i < TRIAL_PROMPTS; i++) {
    const text = probeText(nonce, `trial-${i}`, words);
    const request = { ...usageRequest(facts, api, text, streamUsage), stream: true };
    const answers = [];
    for (let repeat = 0; repeat < 3; repeat++) answers.push(await infer(access, request));
    const promptTokens = answers[0]?.usage?.promptTokens;
    const refused = answers.find(({ ok }) => !ok)?.status;
    trials.push({
      ttftMs: answers.map(({ ttftMs }) => ttftMs),
      cachedTokens: answers.map(({ usage }) => usage?.cachedTokens),
      ...(promptTokens === undefined ? {} : { promptTokens }),
      ...(refused === undefined ? {} : { refused }),
    });
  }
  return judgeTrials(facts, trials, words);
}

function judgeTrials(facts: ServerFacts, trials: readonly Trial[], words: number): CacheTrial {
  const at = (repeat: number) => median(trials.flatMap(({ ttftMs }) => ttftMs[repeat] ?? []));
  const [cold, cached, again] = [at(0), at(1), at(2)];
  const last = trials.at(-1);
  const promptTokens = last?.promptTokens;
  const refused = trials.find((trial) => trial.refused !== undefined)?.refused;
  const verdict = refused === undefined
    ? cachingVerdict(facts, trials)
    : { works: "unknown", evidence: `a prompt of ${words} words was answered ${refused}` } as const;
  return {
    ...verdict,
    prompts: trials.length,
    reportedCachedTokens: last?.cachedTokens ?? [],
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(cold === undefined ? {} : { coldTtftMs: cold }),
    ...(cached === undefined ? {} : { cachedTtftMs: cached }),
    ...(again === undefined ? {} : { cachedAgainTtftMs: again }),
  };
}

/** A cold prompt that takes less than this tells nothing by its time. */
const TELLING_MS = 50;

/** Fewer pairs than this tell nothing, however alike they are. */
const LEAST_PAIRS = 5;
/** Student's t for a 95 % interval of so many pairs; of more it is smaller. */
const STUDENT_95 = 2.776;

/**
 * What the server states and counts, and its times beside it: neither decides against the other.
 * Times are heard by the 95 % interval of the ratio of repeated to cold prompts, pair by pair.
 */
export function cachingVerdict(
  facts: Pick<ServerFacts, "capabilities">,
  trials: readonly Pick<Trial, "ttftMs">[],
): Pick<CacheTrial, "works" | "evidence"> {
  const { state, evidence } = facts.capabilities.prefixCaching;
  const times = timesOf(trials);
  if (times === undefined) return { works: state, evidence };
  const { low, high, text } = times;
  const says = high < 0.6 ? "yes" : low > 0.9 ? "no" : "unknown";
  if (state === "unknown") {
    return says === "unknown"
      ? { works: state, evidence: `${evidence}, and the times are not clear (${text})` }
      : { works: says, evidence: text };
  }
  if (says === "unknown" || says === state) return { works: state, evidence };
  const contradiction = `${evidence}; but ${text}: they contradict each other`;
  return { works: state === "no" ? "unknown" : state, evidence: contradiction };
}

function timesOf(
  trials: readonly Pick<Trial, "ttftMs">[],
): { low: number; high: number; text: string } | undefined {
  const pairs = trials.flatMap(({ ttftMs: [cold, cached] }) =>
    cold === undefined || cached === undefined ? [] : [{ cold, cached }]
  );
  if (pairs.length < Math.max(LEAST_PAIRS, trials.length)) return undefined;
  if (pairs.some(({ cold }) => cold < TELLING_MS)) return undefined;
  const logs = pairs.map(({ cold, cached }) => Math.log(cached / cold));
  const count = logs.length;
  const centre = logs.reduce((sum, one) => sum + one, 0) / count;
  const squares = logs.reduce((sum, one) => sum + (one - centre) ** 2, 0);
  const half = STUDENT_95 * Math.sqrt(squares / (count - 1) / count);
  const [low, high] = [Math.exp(centre - half), Math.exp(centre + half)];
  const percent = (ratio: number) => (100 * ratio).toFixed(0);
  return {
    low,
    high,
    text: `repeated prompts take ${percent(Math.exp(centre))} % of the time of cold ones ` +
      `(95 %: ${percent(low)} to ${percent(high)}, ${logs.length} prompts)`,
  };
}

function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

/** What is lost in results when a capability is missing. */
const LOST: Partial<Record<CapabilityName, string>> = {
  stream: "TTFT, because answers are not streamed",
  streamUsage: "token counts of the server; prompts and outputs are counted by the client",
  cachedTokens: "verified hit rates per request",
  cacheCounters: "hit rates by counters, hits by tier, queue and KV usage",
  tokenize: "words from the server's own tokenizer (another source is used)",
  ignoreEos: "outputs of equal length: an answer may end early",
  reset: "cold cache by a proved reset (unique prompts are cold anyway)",
  recompute: "comparison of loading and recomputing on one server",
};

function missingFrom(facts: ServerFacts, caching: CacheTrial, block: BlockExperiment): string[] {
  const missing: string[] = [];
  for (const [name, lost] of Object.entries(LOST)) {
    const { state, enable } = facts.capabilities[name as CapabilityName];
    if (state === "yes") continue;
    const how = enable === undefined ? "" : `: ${enable}`;
    missing.push(`${state === "no" ? "No" : "Perhaps no"} ${lost}${how}.`);
  }
  if (facts.cachedTokensDisproved) {
    missing.push("The reported cached tokens are not true: they are not of what is reused.");
  }
  if (facts.capabilities.prefixCaching.state === "no" && caching.works === "unknown") {
    missing.push("Hit rates that can be believed: the server's counts and its times disagree.");
  }
  if (caching.works === "no") {
    const { enable } = facts.capabilities.prefixCaching;
    missing.push(`No prefix caching${enable === undefined ? "" : `: ${enable}`}.`);
  }
  if (facts.blockTokens === undefined && block.blockTokens === undefined) {
    missing.push("No exact achievable hit rate: the block size is not known.");
  }
  if (facts.maxContextTokens === undefined) {
    missing.push("No check of --context-sizes: the server does not state its context limit.");
  }
  return missing;
}
