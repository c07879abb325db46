/**
 * The verdict on the hit rate of a cell, from what its requests and its server say.
 *
 * @module
 */

import { isAnswered, ttftMs } from "../metrics/durations.ts";
import { meanInterval } from "../metrics/mean_interval.ts";
import type { CellSummary } from "../metrics/summary.ts";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import { breachText } from "../token_counts.ts";
import {
  foreignPercentOf,
  type HitEvidence,
  type HitVerdict,
  judgeHitRate,
} from "../server/verdict.ts";
import { type Alternated, alternatedOf } from "./alternation.ts";
import type { CellContext, CellPlan } from "./cell.ts";
import { workingSetCapacityTokens } from "./sent_requests.ts";

/** Settings of the run that a verdict depends on. */
export interface VerdictSettings {
  readonly chunkTokens: number;
  readonly workingSetTokens: number;
  /** Prompts whose warm-up failed. */
  readonly failedWarmUps: number;
}

/** What a verdict needs of the run. */
export type VerdictContext = Pick<CellContext, "session" | "watch" | "sent">;

/** The periods that are judged, and what they came to. */
export interface Measured {
  readonly outcomes: readonly PeriodOutcome[];
  readonly summary?: CellSummary;
}

/** A verdict, with the rates that it weighed beside that of the requests. */
export interface CellVerdict extends HitVerdict {
  readonly theoreticalPercent?: number;
  readonly counterPercent?: number;
  /** Of a cell that alternates loaded and recomputed requests. */
  readonly alternated?: Alternated;
}

/**
 * Judges a cell. Without a summary nothing can be checked. What a shard sends is not all that the
 * server gets: neither its counters nor a model of its cache say anything about the shard.
 */
export function judgeCell(
  context: VerdictContext,
  plan: Pick<CellPlan, "contextSizeTokens" | "hitRatePercent" | "shape" | "part">,
  { outcomes, summary }: Measured,
  settings: VerdictSettings,
): CellVerdict {
  const { session, sent } = context;
  const { plan: prompt } = plan.shape;
  const alternated = alternatedOf(outcomes);
  // Counters and model are of all requests, and half of these were told otherwise.
  const alone = plan.part === undefined && alternated === undefined;
  const theoreticalPercent = alone ? sent.theoreticalPercent(outcomes) : undefined;
  const counters = alone ? counterEvidence(context, outcomes) : {};
  const rates = alternated?.loaded ?? {
    achievablePercent: summary?.achievableHitRatePercent,
    reportedPercent: summary?.observedHitRatePercent,
  };
  const verdict = judgeHitRate({
    ...factsEvidence(session),
    ...counters,
    ...timeEvidence(context, plan, outcomes),
    ...(summary === undefined ? {} : breachEvidence(summary)),
    ...settings,
    nominalPercent: plan.hitRatePercent,
    achievablePercent: rates.achievablePercent ??
      100 * prompt.achievableTokens / prompt.promptTokens,
    ...(theoreticalPercent === undefined ? {} : { theoreticalPercent }),
    ...(rates.reportedPercent === undefined ? {} : { reportedPercent: rates.reportedPercent }),
    requests: summary?.succeeded ?? 0,
    promptTokens: prompt.promptTokens,
    overheadBeforeTokens: session.overhead.beforeTokens,
    ...cachedGrain(outcomes, session.facts[0]?.blockTokens),
  });
  const note = alternated?.note;
  return {
    ...verdict,
    notes: note === undefined || note.isWarning ? verdict.notes : [...verdict.notes, note.text],
    ...(alternated === undefined ? {} : { alternated }),
    ...(theoreticalPercent === undefined ? {} : { theoreticalPercent }),
    ...(counters.counterPercent === undefined ? {} : { counterPercent: counters.counterPercent }),
  };
}

/**
 * Judges one request that was sent in a batch of its like, by its usage; the counters of the batch
 * are the second witness.
 */
export function judgeRequest(
  context: VerdictContext,
  record: RequestRecord,
  batch: PeriodOutcome,
): HitVerdict {
  const { session } = context;
  const promptTokens = record.usage?.promptTokens ?? record.plan.promptTokens;
  const cached = record.usage?.cachedTokens;
  return judgeHitRate({
    ...factsEvidence(session),
    ...counterEvidence(context, [batch]),
    nominalPercent: record.labels.hitRatePercent,
    achievablePercent: 100 * record.plan.achievableTokens / promptTokens,
    ...(cached === undefined ? {} : { reportedPercent: 100 * cached / promptTokens }),
    requests: 1,
    promptTokens,
    chunkTokens: 1,
    overheadBeforeTokens: session.overhead.beforeTokens,
  });
}

function factsEvidence({ facts: all, config }: VerdictContext["session"]) {
  const facts = all[0]!;
  const { prefixCaching, cachedTokens } = facts.capabilities;
  const capacityTokens = workingSetCapacityTokens(all, config.endpointSelection);
  return {
    engine: facts.engine,
    ...(facts.engineVersion === undefined ? {} : { engineVersion: facts.engineVersion }),
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    ...(capacityTokens === undefined ? {} : { capacityTokens }),
    prefixCaching: prefixCaching.state,
    cachedTokens: cachedTokens.state,
    ...(cachedTokens.enable === undefined ? {} : { enableCachedTokens: cachedTokens.enable }),
    cachedTokensDisproved: facts.cachedTokensDisproved,
  };
}

/** Of one period; as {@linkcode foreignPercentOf}, and nothing for a shard. */
export function foreignIn(
  context: VerdictContext,
  plan: Pick<CellPlan, "part" | "shape">,
  outcome: PeriodOutcome,
): number | undefined {
  if (plan.part !== undefined) return undefined;
  const { promptTokens } = plan.shape.plan;
  return foreignPercentOf({ ...counterEvidence(context, [outcome]), promptTokens });
}

type CounterEvidence = Pick<
  HitEvidence,
  | "counterPercent"
  | "counterQueryTokens"
  | "counterPromptTokens"
  | "sentPromptTokens"
  | "answeredPromptTokens"
>;

function counterEvidence(
  { watch }: VerdictContext,
  outcomes: readonly PeriodOutcome[],
): CounterEvidence {
  const counted = watch.counted(outcomes);
  if (counted === undefined) return {};
  const { queryTokens, hitTokens, promptTokens } = counted;
  const records = outcomes.flatMap((outcome) => outcome.records);
  const retries = outcomes.reduce((sum, { client }) => sum + client.retries, 0);
  const once = records[0]?.plan.promptTokens ?? 0;
  return {
    counterPercent: 100 * hitTokens / queryTokens,
    counterQueryTokens: queryTokens,
    ...(promptTokens === undefined ? {} : { counterPromptTokens: promptTokens }),
    sentPromptTokens: promptTokensOf(records) + retries * once,
    answeredPromptTokens: promptTokensOf(records.filter(isAnswered)),
  };
}

function promptTokensOf(records: readonly RequestRecord[]): number {
  return records.reduce(
    (sum, { usage, plan }) => sum + (usage?.promptTokens ?? plan.promptTokens),
    0,
  );
}

/** Only at one concurrency do times compare. */
function timeEvidence(
  { sent }: VerdictContext,
  plan: Pick<CellPlan, "contextSizeTokens" | "shape">,
  outcomes: readonly PeriodOutcome[],
): Pick<HitEvidence, "ttft"> {
  const concurrency = outcomes[0]?.concurrency;
  // The cold cell itself has nothing to be compared with.
  if (concurrency === undefined || plan.shape.plan.achievableTokens === 0) return {};
  const cold = sent.coldTtft(plan.contextSizeTokens, concurrency);
  const answered = outcomes.flatMap(({ records }) => records).filter(isAnswered);
  const free = answered.filter(({ labels }) => labels.recompute !== true);
  const own = meanInterval(free.flatMap((record) => ttftMs(record) ?? []));
  if (cold === undefined || own === undefined || !(cold.low > 0)) return {};
  return {
    ttft: {
      ratio: own.mean / cold.mean,
      low: own.low / cold.high,
      high: own.high / cold.low,
      coldMs: cold.mean,
    },
  };
}

function breachEvidence({ countBreaches }: CellSummary): Pick<HitEvidence, "countBreaches"> {
  const { byCount, examples, requests } = countBreaches;
  if (requests === 0) return {};
  return {
    countBreaches: {
      prompt: byCount.prompt ?? 0,
      cached: Math.max(byCount.cached ?? 0, byCount.tier ?? 0),
      output: byCount.output ?? 0,
      text: breachText(examples) ?? "",
    },
  };
}

/** Values of one kind tell no step: 2048 and 0 are multiples of 2048 on any server. */
const FEWEST_VALUES = 3;

/** The step in which the requests were served from the cache; against a known block only of many. */
export function cachedGrain(
  outcomes: readonly Pick<PeriodOutcome, "records">[],
  blockTokens: number | undefined,
): Pick<HitEvidence, "cachedTokensGcd"> {
  const values = new Set(
    outcomes.flatMap(({ records }) => records.map(({ usage }) => usage?.cachedTokens ?? 0)),
  );
  values.delete(0);
  if (blockTokens !== undefined && values.size < FEWEST_VALUES) return {};
  let divisor = 0;
  for (const value of values) {
    let [a, b] = [divisor, value];
    while (b !== 0) [a, b] = [b, a % b];
    divisor = a;
  }
  return divisor === 0 ? {} : { cachedTokensGcd: divisor };
}
