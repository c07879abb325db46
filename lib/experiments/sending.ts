/**
 * Sends the requests of one period: connections first, then the period, then what the server is
 * known to leave out of its answers. What is sent here is watched and remembered.
 *
 * @module
 */

import { watchClocks } from "../load/clock_jump.ts";
import type { PeriodControl, PeriodSpec } from "../load/pool.ts";
import type { InferenceRequest, PeriodOutcome, RequestRecord } from "../record.ts";
import type { ServerFacts } from "../server/facts.ts";
import type { CellContext } from "./cell.ts";

/** What {@linkcode sendPeriod} needs of the run. */
export type SendingContext = Pick<
  CellContext,
  "host" | "session" | "watch" | "sent" | "errors" | "listener" | "drain" | "abort"
>;

/**
 * Runs one period on the pool of the run, with its signals and its retries, between two scrapes of
 * the servers' metrics.
 */
export async function sendPeriod(
  context: SendingContext,
  spec: Omit<PeriodSpec, "retries">,
  next: () => InferenceRequest | undefined,
  control: Pick<PeriodControl, "onRecord" | "onUnsent"> = {},
): Promise<PeriodOutcome> {
  const jumpSince = watchClocks(context.host.clock);
  const outcome = await context.watch.around(() => {
    // To a server that is away nothing more is sent: the period is measured again.
    const nextIfThere = () => context.watch.isAway ? undefined : next();
    return runOnPool(context, spec, nextIfThere, control);
  });
  const jump = jumpSince();
  if (jump !== undefined) context.listener.warning(`${spec.cellId} ${spec.periodId}: ${jump}`);
  context.sent.add(outcome);
  return outcome;
}

async function runOnPool(
  { session, errors, listener, watch, drain, abort }: SendingContext,
  spec: Omit<PeriodSpec, "retries">,
  next: () => InferenceRequest | undefined,
  control: Pick<PeriodControl, "onRecord" | "onUnsent">,
): Promise<PeriodOutcome> {
  const absentIsZero = session.facts.every((facts) => facts.cachedTokensAbsentMeansZero);
  return await session.pool.runPeriod(
    {
      ...spec,
      retries: errors.requestRetries,
      // What is opened ahead would be closed again before its use.
      connectUrls: session.keepsConnections ? session.facts.map(connectUrl) : [],
    },
    next,
    {
      drain,
      abort,
      ...control,
      ...(absentIsZero ? { amend: absentMeansZero } : {}),
      onRecord(record) {
        if (record.failure !== undefined) watch.failed(record.failure);
        control.onRecord?.(record);
        if (record.contentEncoding !== undefined) listener.warning(compressed(record));
        // A listener keeps one of the same text, so this is said once.
        if ((record.failure?.retryAfterMs ?? 0) > LONG_PAUSE_MS) listener.warning(LONG_PAUSE);
        listener.record?.(record);
      },
    },
  );
}

/** A route that costs the server nothing, and that the probe saw answered where there is one. */
export function connectUrl({ baseUrl, models }: Pick<ServerFacts, "baseUrl" | "models">): string {
  return `${baseUrl}${models.length > 0 ? "/v1/models" : "/health"}`;
}

function compressed({ contentEncoding }: RequestRecord): string {
  return `answers come compressed (${contentEncoding}) although it was asked not to: compression ` +
    "holds text back, so no TTFT is to be had; switch it off at the server or its proxy";
}

/** A pause for which a server asks that is worth a word. */
const LONG_PAUSE_MS = 30_000;
const LONG_PAUSE = "the server asks for pauses of more than 30 s (Retry-After): requests wait no " +
  "longer than a minute, and no longer than their period lasts";

/** For a server that was seen to leave the cached-token count out where it is 0. */
function absentMeansZero(record: RequestRecord): RequestRecord {
  const { usage } = record;
  return usage?.promptTokens === undefined || usage.cachedTokens !== undefined
    ? record
    : { ...record, usage: { ...usage, cachedTokens: 0 } };
}
