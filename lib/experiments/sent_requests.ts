/**
 * What a run has sent, as far as later verdicts need it: the state of a model cache, and the TTFT
 * of cold requests.
 *
 * @module
 */

import { isAnswered, ttftMs } from "../metrics/durations.ts";
import { type MeanInterval, meanInterval } from "../metrics/mean_interval.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import type { ServerFacts } from "../server/facts.ts";
import { CacheModel, type SentRequest } from "../server/lru.ts";

interface Played {
  readonly hitTokens: number;
  readonly promptTokens: number;
}

/** All tiers of a server together, in tokens; absent unless each of them states its size. */
export function capacityTokensOf(
  { tiers, offload }: Pick<ServerFacts, "tiers" | "offload">,
): number | undefined {
  if (tiers === undefined || offload !== undefined) return undefined;
  const sum = tiers.reduce((tokens, tier) => tokens + (tier.capacityTokens ?? NaN), 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/** All tiers of all servers of a run, in tokens: room for prompts that were sent once. Absent unless every one states its size. */
export function totalCapacityTokens(
  facts: readonly Pick<ServerFacts, "tiers" | "offload">[],
): number | undefined {
  const sum = facts.reduce((tokens, one) => tokens + (capacityTokensOf(one) ?? NaN), 0);
  return Number.isNaN(sum) ? undefined : sum;
}

/**
 * The largest working set that the servers of a run hold, in tokens; absent unless every one states
 * its size. A prompt that is pinned has a place at one of them; in turn it comes to all of them, so
 * that the smallest decides.
 */
export function workingSetCapacityTokens(
  facts: readonly Pick<ServerFacts, "tiers" | "offload">[],
  selection: "round-robin" | "pinned",
): number | undefined {
  if (selection === "pinned") return totalCapacityTokens(facts);
  const least = facts.reduce(
    (least, one) => Math.min(least, capacityTokensOf(one) ?? NaN),
    Infinity,
  );
  return Number.isNaN(least) ? undefined : least;
}

/** Follows the periods of a run. */
export class SentRequests {
  readonly #models: ReadonlyMap<string, CacheModel> | undefined;
  readonly #played = new WeakMap<PeriodOutcome, Played>();
  readonly #coldMs = new Map<string, MeanInterval>();

  /** @param facts Of each server; its cache is taken as empty, or full of what is older. */
  constructor(facts: readonly ServerFacts[]) {
    const models = facts.flatMap((one): [string, CacheModel][] => {
      const capacityTokens = capacityTokensOf(one);
      if (capacityTokens === undefined || capacityTokens <= 0) return [];
      const { blockTokens } = one;
      const block = blockTokens === undefined ? {} : { blockTokens };
      return [[one.baseUrl, new CacheModel({ capacityTokens, ...block })]];
    });
    if (models.length === facts.length) this.#models = new Map(models);
  }

  /** Takes in the requests of a period. Call it once for each, in their order. */
  add(outcome: PeriodOutcome): void {
    this.#play(outcome);
    const cold = coldTtft(outcome.records);
    const labels = outcome.records[0]?.labels;
    if (cold === undefined || labels === undefined) return;
    this.#coldMs.set(`${labels.contextSizeTokens}/${outcome.concurrency}`, cold);
  }

  /** The hit rate that an LRU cache of the stated size would have had in these periods. */
  theoreticalPercent(outcomes: readonly PeriodOutcome[]): number | undefined {
    let [hits, prompts] = [0, 0];
    for (const outcome of outcomes) {
      const played = this.#played.get(outcome);
      if (played === undefined) return undefined;
      hits += played.hitTokens;
      prompts += played.promptTokens;
    }
    return prompts === 0 ? undefined : 100 * hits / prompts;
  }

  /** TTFT of an earlier period of new text, of that context size and concurrency, in ms. */
  coldTtft(contextSizeTokens: number, concurrency: number): MeanInterval | undefined {
    return this.#coldMs.get(`${contextSizeTokens}/${concurrency}`);
  }

  #play(outcome: PeriodOutcome): void {
    if (this.#models === undefined) return;
    let [hitTokens, promptTokens]: [number | undefined, number] = [0, 0];
    const inOrder = [...outcome.records].sort((a, b) => a.sentAtMs - b.sentAtMs);
    for (const record of inOrder) {
      // An answer without text was computed all the same.
      if (record.failure !== undefined && record.failure.kind !== "empty") continue;
      const hit = this.#modelOf(record)?.play(sentRequest(record));
      hitTokens = hit === undefined || hitTokens === undefined ? undefined : hitTokens + hit;
      promptTokens += record.plan.promptTokens;
    }
    if (hitTokens !== undefined) this.#played.set(outcome, { hitTokens, promptTokens });
  }

  #modelOf({ url }: RequestRecord): CacheModel | undefined {
    for (const [baseUrl, model] of this.#models ?? []) {
      if (url.startsWith(`${baseUrl}/`)) return model;
    }
    return undefined;
  }
}

function sentRequest({ labels, plan, outputTokens }: RequestRecord): SentRequest {
  const { promptIndex, contextSizeTokens, purpose } = labels;
  return {
    ...plan,
    // A warm-up request is a whole prompt of the working set.
    sharedTokens: purpose === "warmup" ? plan.promptTokens : plan.sharedTokens,
    ...(promptIndex === undefined ? {} : { promptIndex: `${contextSizeTokens}:${promptIndex}` }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
  };
}

/**
 * Only where nothing was to be found: text that was never sent. What the server reports about it
 * is not asked, or a count that lies would silence the times.
 */
function coldTtft(records: readonly RequestRecord[]): MeanInterval | undefined {
  const answered = records.filter(isAnswered);
  const isCold = answered.every(({ labels, plan }) =>
    labels.purpose === "measure" && plan.achievableTokens === 0
  );
  return isCold ? meanInterval(answered.flatMap((record) => ttftMs(record) ?? [])) : undefined;
}
