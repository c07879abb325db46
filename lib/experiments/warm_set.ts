/**
 * Whether the working set is warmed before a cell, and why.
 *
 * @module
 */

import type { RequestRecord } from "../record.ts";
import { type CellContext, type CellPlan, labelsOf, warmUp } from "./cell.ts";
import { waitUntil } from "./pace.ts";
import { sendPeriod } from "./sending.ts";

/** What the last warm-up left, and what came after it. */
export interface WarmSet {
  readonly key: string;
  /** Prompts that could not be warmed. */
  readonly failed: number;
  /** Restarts of the servers up to then. */
  readonly restarts: number;
  /** Text was sent since then that is in no working set, and may have driven it out. */
  readonly uniqueTextSince: boolean;
}

/** What is to be done before a cell. */
export type WarmDecision =
  | { readonly action: "keep" }
  /** Look whether the prompts are still there. */
  | { readonly action: "check" }
  | { readonly action: "warm"; readonly reason: string };

/**
 * Decides by what is known without asking the server.
 *
 * @param cutShort Each cell leaves no more of a prompt than what the next one shares with it.
 */
export function decideWarmUp(
  cell: {
    readonly warmKey?: string;
    readonly hitRatePercent: number;
    readonly checkWarmSet?: boolean;
  },
  set: WarmSet | undefined,
  restarts: number,
  cutShort = false,
): WarmDecision {
  if (cell.warmKey === undefined) return { action: "keep" };
  if (set?.key !== cell.warmKey) return { action: "warm", reason: "not warmed yet" };
  if (set.restarts !== restarts) return { action: "warm", reason: "the server was started again" };
  if (cutShort) return { action: "warm", reason: "the cells before left the beginnings only" };
  const isAtRisk = cell.checkWarmSet === true && set.uniqueTextSince && cell.hitRatePercent > 0;
  return { action: isAtRisk ? "check" : "keep" };
}

/** Prompts that are asked for: one that is gone in four is found in 9 of 10 checks. */
const SAMPLE = 8;

/** Asks for a sample of the working set. @returns Why the set is to be warmed again; `undefined` if it is still there. */
export async function whatIsMissing(
  context: CellContext,
  plan: CellPlan,
): Promise<string | undefined> {
  const count = Math.min(SAMPLE, plan.promptCount);
  const concurrency = Math.min(count, plan.initConcurrency);
  const labels = labelsOf(plan, "CHECK", concurrency, "warmup");
  let n = 0;
  const { records } = await sendPeriod(
    context,
    { cellId: plan.cellId, periodId: "CHECK", concurrency },
    () => {
      if (n >= count) return undefined;
      const promptIndex = Math.floor(n++ * plan.promptCount / count);
      return context.requests.warmUp(plan.shape, { ...labels, promptIndex });
    },
  );
  return missingText(records, count, plan.shape.plan.achievableTokens);
}

/** Judges the answers to the sample. @param neededTokens What a request of the cell is to find of a prompt. */
export function missingText(
  records: readonly Pick<RequestRecord, "usage">[],
  asked: number,
  neededTokens: number,
): string | undefined {
  const found = records.flatMap(({ usage }) => usage?.cachedTokens ?? []);
  if (found.length < asked) return "the server does not say whether the prompts are still there";
  const gone = found.filter((tokens) => tokens < neededTokens).length;
  return gone === 0 ? undefined : `${gone} of ${asked} prompts that were looked for are gone`;
}

/** Warms the working set where a cell needs it and it is not known to be there. */
export async function keepWarm(
  context: CellContext,
  cell: Parameters<typeof decideWarmUp>[0],
  plan: CellPlan,
  { set, cutShort, atWallMs }: {
    readonly set: WarmSet | undefined;
    readonly cutShort: boolean;
    readonly atWallMs: number | undefined;
  },
): Promise<WarmSet | undefined | "interrupted"> {
  const { listener, watch, host: { clock }, drain } = context;
  const decision = decideWarmUp(cell, set, watch.restarts, cutShort);
  // A timetable has no time for what only one shard finds out.
  if (decision.action === "keep" || (decision.action === "check" && plan.part)) return set;
  if (decision.action === "check") {
    const missing = await whatIsMissing(context, plan);
    if (drain.aborted) return "interrupted";
    if (missing === undefined) return set;
    listener.note(`  warmed again: ${missing}`);
  }
  await waitUntil(clock, atWallMs, drain);
  const { failed, interrupted } = await warmUp(context, plan);
  if (interrupted) return "interrupted";
  return { key: cell.warmKey!, failed, restarts: watch.restarts, uniqueTextSince: false };
}
