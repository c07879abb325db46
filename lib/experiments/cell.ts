/**
 * One cell of an experiment, from its warm-up to its summary row.
 *
 * @module
 */

import type { Host } from "../host.ts";
import { Breaker } from "../load/breaker.ts";
import type { Decision, PlannedPeriod, Policy } from "../load/controller.ts";
import { plainRecord } from "../load/record_store.ts";
import { type Judgement, type PolicyRun, type RunPeriod, runPolicy } from "../load/runner.ts";
import { type CellSummary, summariseCell, summarisePeriod } from "../metrics/summary.ts";
import { type AccessOrder, accessOrder, type PromptShape } from "../prompt/working_set.ts";
import { randomStream, seedFor } from "../random.ts";
import type { InferenceRequest, PeriodOutcome, RequestLabels, RequestRecord } from "../record.ts";
import type { RunDir } from "../results/run_dir.ts";
import { alternation, type Turn } from "./alternation.ts";
import type { ErrorHandling } from "./error_handling.ts";
import type { RunListener } from "./listener.ts";
import { emptyOutcome, ownConcurrency, type ShardPart, waitForTurn, waitUntil } from "./pace.ts";
import type { RequestMaker } from "./requests.ts";
import { residencyAfter } from "./residency.ts";
import { type CellLabels, detailRow, phaseRow } from "./rows.ts";
import { sendPeriod } from "./sending.ts";
import type { SentRequests } from "./sent_requests.ts";
import type { ServerWatch } from "./server_watch.ts";
import type { Session } from "./session.ts";
import { wholeSlice } from "./shard.ts";
import { foreignIn } from "./verdict.ts";
import type { TimedPeriod } from "./timetable.ts";

/** A row is larger than its record: those of a long period together would take all memory. */
const ROWS_AT_ONCE = 1000;

/** What all cells of a run share. */
export interface CellContext {
  readonly host: Host;
  readonly session: Session;
  readonly runDir: RunDir;
  readonly requests: RequestMaker;
  /** The servers' own metrics, around each period. */
  readonly watch: ServerWatch;
  /** What the run has sent so far. */
  readonly sent: SentRequests;
  readonly listener: RunListener;
  readonly judgement: Judgement;
  readonly errors: ErrorHandling;
  /** First signal: stop launching. */
  readonly drain: AbortSignal;
  /** Second signal: give up what is in flight. */
  readonly abort: AbortSignal;
}

/** One cell. */
export interface CellPlan extends CellLabels {
  readonly cellId: string;
  readonly shape: PromptShape;
  readonly promptCount: number;
  readonly accessOrder: AccessOrder;
  /** Decides the choices of the access order. */
  readonly orderSeed: string;
  readonly outputTokens: number;
  readonly policy: Policy;
  /** Warm the working set again before each period. */
  readonly warmEachPeriod: boolean;
  readonly initConcurrency: number;
  /** Requests that each period sends at least. */
  readonly minRequests?: number;
  /** Every second request that shares a beginning is told not to load it. */
  readonly alternateRecompute?: boolean;
  /** What of the cell this process does; all of it if absent. */
  readonly part?: ShardPart;
}

/** What a cell came to. */
export interface CellResult extends PolicyRun {
  readonly summary?: CellSummary;
  /** The periods that the summary pools. */
  readonly pooled: readonly RunPeriod[];
  /** Prompts that the warm-ups between the periods failed to warm. */
  readonly failedWarmUps: number;
}

/** Runs a cell: periods by its policy, rows as they come. */
export async function runCell(context: CellContext, plan: CellPlan): Promise<CellResult> {
  const { host, judgement, listener } = context;
  const stream = randomStream(seedFor("order", plan.orderSeed, plan.cellId));
  const prompts = plan.part?.measured ?? wholeSlice(plan.promptCount);
  const choose = accessOrder(plan.accessOrder, prompts.count, stream);
  const order = promptOrder(() => prompts.at(choose()));
  const recompute = alternation(plan.alternateRecompute === true, prompts.count);
  // Only the end tells which periods were at the peak, so their rows wait for it.
  const decisions = new Map<RunPeriod, Decision>();
  let failedWarmUps = 0;
  let turns = 0;
  let warmAt = context.watch.restarts;
  const run = await runPolicy({
    policy: plan.policy,
    judgement,
    clock: host.clock,
    async prepare() {
      await context.watch.ready();
      if (!plan.warmEachPeriod && context.watch.restarts === warmAt) return;
      await waitUntil(host.clock, plan.part?.times.periods[turns]?.warmUpAtWallMs, context.drain);
      failedWarmUps += (await warmUp(context, plan)).failed;
      warmAt = context.watch.restarts;
    },
    async send(planned) {
      const slot = plan.part?.times.periods[turns++];
      return await measure(context, plan, planned, { order, recompute, slot });
    },
    onStart: (planned, reason) => listener.periodStarted?.(planned, reason),
    async onFinish(period, next) {
      decisions.set(period, next);
      await writeDetails(context, plan, period.outcome.records);
      listener.periodFinished?.(period, next);
    },
    onUnusable: (period, why) => keepUnusable(context, plan, period, why),
    // A shard has its time for a period once.
    ...(plan.part === undefined ? {} : { mostTries: 1 }),
  });
  const pooled = periodsAtPeak(run);
  for (const [period, next] of decisions) {
    await writePhase(context, plan, period, next, pooled.includes(period));
  }
  const outcomes = pooled.map((period) => period.outcome);
  return {
    ...run,
    pooled,
    failedWarmUps,
    ...(outcomes.length === 0 ? {} : { summary: summariseCell(outcomes, judgement) }),
  };
}

/** What is chosen request by request. */
interface Choices {
  readonly order: PromptOrder;
  readonly recompute: () => Turn;
  readonly slot: TimedPeriod | undefined;
}

/** Which prompt is next. */
interface PromptOrder {
  /** Prompts that come before the order goes on. */
  readonly putBackCount: number;
  next(): number;
  /** A prompt that was chosen, and not sent because its period ended. */
  putBack(index: number): void;
}

/** Requests are built ahead: those that a period did not send come first in the next one. */
function promptOrder(choose: () => number): PromptOrder {
  const unsent: number[] = [];
  return {
    get putBackCount() {
      return unsent.length;
    },
    next: () => unsent.shift() ?? choose(),
    putBack: (index) => void unsent.push(index),
  };
}

/**
 * The repeats at the peak; without any, the periods of the search at that level. These are what the
 * level was judged by (`levelsOf`).
 */
export function periodsAtPeak(run: PolicyRun): RunPeriod[] {
  const level = run.peak.concurrency;
  const at = run.periods.filter(({ planned, outcome }) =>
    planned.concurrency === level && !outcome.interrupted
  );
  const repeats = at.filter((period) => period.planned.kind === "RETRY");
  return repeats.length > 0 ? repeats : at;
}

async function measure(
  context: CellContext,
  plan: CellPlan,
  planned: PlannedPeriod,
  { order, recompute, slot }: Choices,
): Promise<PeriodOutcome> {
  const { requests, listener, errors, host: { clock }, drain } = context;
  const { periodId } = planned;
  const concurrency = ownConcurrency(plan.part, planned.concurrency);
  const where = { cellId: plan.cellId, periodId, concurrency };
  const turn = slot === undefined ? planned : await waitForTurn(clock, slot, drain);
  if (turn === undefined) {
    if (!drain.aborted) listener.warning(`${plan.cellId} ${periodId}: came too late for it`);
    return emptyOutcome(where, clock.nowMs(), drain.aborted);
  }
  // A server that is gone answers thousands of times a second.
  const breaker = new Breaker({ ...errors, concurrency });
  const next = (): InferenceRequest | undefined => {
    if (breaker.isOpen) return undefined;
    const shares = plan.shape.sharedContentTokens > 0;
    const labels = labelsOf(plan, periodId, concurrency, "measure");
    return requests.measure(
      plan.shape,
      shares ? { ...labels, promptIndex: order.next(), ...recompute() } : labels,
      plan.outputTokens,
    );
  };
  const spec = {
    ...where,
    durationMs: turn.durationMs,
    ...("startAtMs" in turn ? { startAtMs: turn.startAtMs } : {}),
    // Prompts that were put back are ahead of the round that the period has to send.
    ...(plan.minRequests === undefined ? {} : {
      minRequests: Math.min(plan.minRequests, plan.part?.measured.count ?? Infinity) +
        order.putBackCount,
    }),
  };
  const outcome = await sendPeriod(context, spec, next, {
    onRecord: (record) => breaker.record(record.failure),
    onUnsent({ labels }) {
      if (labels.promptIndex !== undefined) order.putBack(labels.promptIndex);
    },
  });
  if (breaker.reason !== undefined) {
    listener.warning(`${plan.cellId} ${periodId} ended early: ${breaker.reason}`);
  }
  return outcome;
}

async function writeDetails(
  { runDir, host }: CellContext,
  plan: CellLabels,
  records: readonly RequestRecord[],
): Promise<void> {
  const offset = host.clock.wallMs() - host.clock.nowMs();
  for (let from = 0; from < records.length; from += ROWS_AT_ONCE) {
    const some = records.slice(from, from + ROWS_AT_ONCE);
    const rows = some.map((record) => detailRow(record, offset));
    await runDir.appendDetails(plan.contextSizeTokens, rows);
  }
}

/** Its rows stay for whoever wants to see what happened; nothing is computed from them. */
async function keepUnusable(
  context: CellContext,
  plan: CellPlan,
  period: RunPeriod,
  why: string,
): Promise<void> {
  const { periodId } = period.planned;
  context.listener.warning(`${plan.cellId} ${periodId} does not count: ${why}`);
  await writeDetails(context, plan, period.outcome.records);
  await writePhase(context, plan, period);
}

async function writePhase(
  context: CellContext,
  plan: CellPlan,
  period: RunPeriod,
  next?: Decision,
  atPeak = false,
): Promise<void> {
  const { runDir, host } = context;
  const { measuredTtftMs } = period.observation;
  const foreignPercent = foreignIn(context, plan, period.outcome);
  await runDir.appendPhase(
    phaseRow(period.planned.kind, plan, period.outcome, period.summary, {
      wallOffsetMs: host.clock.wallMs() - host.clock.nowMs(),
      ...(measuredTtftMs === undefined ? {} : { measuredTtftMs }),
      ...(next === undefined ? {} : { decision: decisionOf(next) }),
      atPeak,
      ...(foreignPercent === undefined ? {} : { foreignPercent }),
    }),
  );
}

function decisionOf(next: Decision) {
  const reason = next.action === "stop" ? next.peak.reason : next.step.reason;
  return { action: next.action, reason };
}

/** What a warm-up needs of a cell. */
type WarmUpPlan = Pick<
  CellPlan,
  | "cellId"
  | "shape"
  | "promptCount"
  | "initConcurrency"
  | "contextSizeTokens"
  | "workingSetTokens"
  | "hitRatePercent"
  | "part"
>;

/** A server that is started again in each warm-up is not waited for any longer. */
const MOST_WARM_UPS = 3;

/**
 * Sends every prompt of the working set once, with one token of output; again, if the server was
 * started again meanwhile.
 *
 * @returns How many of how many failed.
 */
export async function warmUp(
  context: CellContext,
  plan: WarmUpPlan,
): Promise<{ failed: number; interrupted: boolean }> {
  for (let attempt = 1;; attempt++) {
    await context.watch.ready();
    const { unusable, ...result } = await warmUpOnce(context, plan);
    if (unusable === undefined || result.interrupted || attempt === MOST_WARM_UPS) return result;
    context.listener.warning(`${plan.cellId} is warmed again: ${unusable}`);
  }
}

async function warmUpOnce(
  context: CellContext,
  plan: WarmUpPlan,
): Promise<{ failed: number; interrupted: boolean; unusable: string | undefined }> {
  const { requests, listener, runDir, host } = context;
  const prompts = plan.part?.warmed ?? wholeSlice(plan.promptCount);
  listener.warmUpStarted?.(prompts.count);
  const own = Math.max(1, ownConcurrency(plan.part, plan.initConcurrency));
  const concurrency = Math.min(own, prompts.count);
  const labels = labelsOf(plan, "WARMUP", concurrency, "warmup");
  let index = 0;
  const sent = await sendPeriod(
    context,
    { cellId: plan.cellId, periodId: "WARMUP", concurrency },
    () =>
      index < prompts.count
        ? requests.warmUp(plan.shape, { ...labels, promptIndex: prompts.at(index++) })
        : undefined,
  );
  const outcome = { ...sent, records: sent.records.map(prefillIsEnough) };
  const summary = summarisePeriod(outcome, context.judgement);
  const wallOffsetMs = host.clock.wallMs() - host.clock.nowMs();
  const resident = residencyAfter(context, plan.promptCount * plan.contextSizeTokens);
  const { tokens: residentTokens } = resident;
  const extras = { wallOffsetMs, ...(residentTokens === undefined ? {} : { residentTokens }) };
  await runDir.appendPhase(phaseRow("WARMUP", plan, outcome, summary, extras));
  listener.warmUpFinished?.(
    prompts.count,
    summary.failed,
    outcome.drainedAtMs - outcome.startAtMs,
  );
  if (resident.note !== undefined) listener.note(`  warm-up: ${resident.note}`);
  if (summary.failed > 0) {
    const failures = outcome.records.filter((record) => record.failure !== undefined);
    await writeDetails(context, plan, failures);
    const first = failures[0]?.failure;
    listener.warning(
      `warm-up: ${summary.failed} of ${prompts.count} prompts failed (${first?.message ?? "?"})`,
    );
  }
  const { interrupted, unusable } = outcome;
  return { failed: summary.failed, interrupted, unusable };
}

/**
 * A warm-up asks for one token, which may have no text of its own (half a character); the prompt
 * is in the cache all the same.
 */
function prefillIsEnough(record: RequestRecord): RequestRecord {
  const { failure, usage } = record;
  if (failure?.kind !== "empty" || (usage?.completionTokens ?? 0) === 0) return record;
  const { failure: _, ...rest } = plainRecord(record);
  return rest;
}

/** Labels of a request of a cell. */
export function labelsOf(
  plan: CellLabels & { readonly cellId: string },
  periodId: string,
  concurrency: number,
  purpose: RequestLabels["purpose"],
): RequestLabels {
  return {
    cellId: plan.cellId,
    periodId,
    purpose,
    contextSizeTokens: plan.contextSizeTokens,
    hitRatePercent: plan.hitRatePercent,
    concurrency,
    ...(plan.workingSetTokens === undefined ? {} : { workingSetTokens: plan.workingSetTokens }),
  };
}
