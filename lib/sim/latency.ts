/**
 * The latency model of the simulated server, as formulas. Nothing here reads a clock.
 *
 * With P prefill tokens and D decoding sequences in one engine step:
 *
 * ```text
 * step       = max(itl, P / prefill_tps) + itl_growth * max(0, D - 1)
 * tier read  = latency + tokens / read_tps      (one link a tier; reads queue on the link)
 * TTFT alone = slowest tier read + the steps that compute the uncached tokens
 * ```
 *
 * A step never takes less than `itl`: the weights are read once, whatever the batch. Prefill is
 * bound by compute, so that all requests together prefill at `prefill_tps`, and decoding
 * sequences ride along for `itl_growth` each.
 *
 * @module
 */

/** A tier that prefixes are read from. Memory that the engine computes in (HBM) costs nothing. */
export type LowerTierName = "dram" | "ssd";

/** How fast a lower tier is read. */
export interface TierSpeed {
  /** Tokens per second that its link carries, shared by all requests. */
  readonly readTokensPerSec: number;
  /** Time from the request until the first byte; latencies of several reads overlap. */
  readonly latencyMs: number;
}

/** Everything that decides how long something takes. */
export interface LatencyModel {
  /** Prefill speed in tokens per second, shared by all requests. */
  readonly prefillTokensPerSec: number;
  /** Duration of a decode step of one sequence, and the shortest step there is. */
  readonly itlMs: number;
  /** What every further decoding sequence adds to a step. */
  readonly itlGrowthMs: number;
  readonly dram: TierSpeed;
  readonly ssd: TierSpeed;
}

/**
 * Duration of one engine step.
 *
 * @param prefillTokens Prompt tokens computed in the step, over all requests.
 * @param decodeSequences Sequences that get one further token in the step.
 * @example
 * ```ts
 * import { stepMs } from "./latency.ts";
 * const speed = { readTokensPerSec: 1e5, latencyMs: 1 };
 * const model = { prefillTokensPerSec: 10_000, itlMs: 10, itlGrowthMs: 0.5, dram: speed, ssd: speed };
 * console.log(stepMs(model, 2000, 0)); // 200
 * console.log(stepMs(model, 0, 5)); // 12
 * ```
 */
export function stepMs(
  model: LatencyModel,
  prefillTokens: number,
  decodeSequences: number,
): number {
  const forwardMs = Math.max(model.itlMs, prefillTokens / model.prefillTokensPerSec * 1000);
  return forwardMs + model.itlGrowthMs * Math.max(0, decodeSequences - 1);
}

/** When a read is ready, and when its link can start the next one. */
export interface ScheduledRead {
  readonly readyAtMs: number;
  readonly linkFreeAtMs: number;
}

/**
 * Puts a read of `tokens` on a link that is busy until `linkFreeAtMs`.
 *
 * The link is busy for `tokens / read_tps`; the latency comes on top and does not hold the link.
 */
export function scheduleRead(
  speed: TierSpeed,
  tokens: number,
  nowMs: number,
  linkFreeAtMs: number,
): ScheduledRead {
  const freeAtMs = Math.max(nowMs, linkFreeAtMs) + tokens / speed.readTokensPerSec * 1000;
  return { readyAtMs: freeAtMs + speed.latencyMs, linkFreeAtMs: freeAtMs };
}

/** What a lone request finds in each tier, in tokens. */
export interface LoneRequest {
  readonly promptTokens: number;
  readonly hbmTokens: number;
  readonly dramTokens: number;
  readonly ssdTokens: number;
  /** Prompt tokens that the engine takes into one step (`--max-batched-tokens`). */
  readonly maxBatchedTokens: number;
}

/**
 * TTFT of a request that has the server to itself: what the truth of a sweep at concurrency 1 is.
 */
export function loneTtftMs(model: LatencyModel, request: LoneRequest): number {
  const reads = (["dram", "ssd"] as const).map((tier) => {
    const tokens = tier === "dram" ? request.dramTokens : request.ssdTokens;
    return tokens === 0 ? 0 : scheduleRead(model[tier], tokens, 0, 0).readyAtMs;
  });
  let leftTokens = request.promptTokens - request.hbmTokens - request.dramTokens -
    request.ssdTokens;
  let ttftMs = Math.max(...reads);
  while (leftTokens > 0) {
    const chunkTokens = Math.min(leftTokens, request.maxBatchedTokens);
    ttftMs += stepMs(model, chunkTokens, 0);
    leftTokens -= chunkTokens;
  }
  return ttftMs;
}

/** The same model with everything `speedup` times as fast. */
export function accelerate(model: LatencyModel, speedup: number): LatencyModel {
  const faster = (tier: TierSpeed): TierSpeed => ({
    readTokensPerSec: tier.readTokensPerSec * speedup,
    latencyMs: tier.latencyMs / speedup,
  });
  return {
    prefillTokensPerSec: model.prefillTokensPerSec * speedup,
    itlMs: model.itlMs / speedup,
    itlGrowthMs: model.itlGrowthMs / speedup,
    dram: faster(model.dram),
    ssd: faster(model.ssd),
  };
}
