/**
 * How far this machine's clock is from the server's, as bounds that hold.
 *
 * Two things of an answer tell the server's time in whole seconds. `created` in the list of models
 * is made anew for each answer where it advances. `Date` often is not: servers renew it once a
 * second by a timer that comes late when they are busy (uvicorn: 1.26 s seen), so it may be older
 * than the answer by {@linkcode STALE_MS}, but never newer. Answers that are spread over more than a
 * second narrow the bounds down.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import { asCount, asObject, send, type ServerAccess, type ServerReply } from "./http.ts";

/** The server's clock less this machine's, as bounds. */
export interface ClockOffset {
  /** The middle of the bounds. */
  readonly offsetMs: number;
  /** Half the width of the bounds. */
  readonly plusMinusMs: number;
  readonly answers: number;
}

/** What one answer says: the clocks are at least and at most so far apart. */
interface Bounds {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** A second that the server named, and when it was asked and answered by this machine's clock. */
interface Told {
  readonly secondMs: number;
  readonly askedAtMs: number;
  readonly answeredAtMs: number;
}

const ANSWERS = 24;
const EVERY_MS = 57;
const TIMEOUT_MS = 2000;
/** A `Date` may be so much older than its answer, besides the second that it is cut to. */
export const STALE_MS = 1500;

/**
 * Asks the server for its time, for about 1.5 s.
 *
 * @returns `undefined` if it does not tell it, does not answer, or tells the same time all along.
 */
export async function measureClockOffset(
  access: ServerAccess,
  clock: Clock,
): Promise<ClockOffset | undefined> {
  const dates: Told[] = [];
  const made: Told[] = [];
  try {
    for (let n = 0; n < ANSWERS; n++) {
      const askedAtMs = clock.wallMs();
      const reply = await send(access, { path: "/v1/models", timeoutMs: TIMEOUT_MS });
      const told = { askedAtMs, answeredAtMs: clock.wallMs() };
      const secondMs = Date.parse(reply.headers.get("date") ?? "");
      if (Number.isFinite(secondMs)) dates.push({ ...told, secondMs });
      const createdMs = createdMsOf(reply);
      if (createdMs !== undefined) made.push({ ...told, secondMs: createdMs });
      await clock.sleep(EVERY_MS);
    }
  } catch {
    return undefined;
  }
  return offsetOf(dates, made);
}

function createdMsOf({ json }: ServerReply): number | undefined {
  const data = asObject(json)?.["data"];
  const created = Array.isArray(data) ? asCount(asObject(data[0])?.["created"]) : undefined;
  return created === undefined ? undefined : Math.floor(created) * 1000;
}

/** The bounds that both allow; those of the `Date` alone where they contradict each other. */
export function offsetOf(dates: readonly Told[], made: readonly Told[]): ClockOffset | undefined {
  const byDate = advances(dates) ? dates.map((told) => boundsOf(told, STALE_MS)) : [];
  const byModels = advances(made) ? made.map((told) => boundsOf(told, 0)) : [];
  return intersect([...byDate, ...byModels]) ?? intersect(byDate);
}

/** A time that stands still is that of a cache, or of the start of the server. */
function advances(all: readonly Told[]): boolean {
  return new Set(all.map(({ secondMs }) => secondMs)).size > 1;
}

function boundsOf({ secondMs, askedAtMs, answeredAtMs }: Told, staleMs: number): Bounds {
  return { leastMs: secondMs - answeredAtMs, mostMs: secondMs + 1000 + staleMs - askedAtMs };
}

/** What all answers allow together. Where they contradict (a clock was set), nothing is known. */
export function intersect(bounds: readonly Bounds[]): ClockOffset | undefined {
  const least = Math.max(...bounds.map((one) => one.leastMs));
  const most = Math.min(...bounds.map((one) => one.mostMs));
  if (!(most >= least) || !Number.isFinite(most - least)) return undefined;
  return {
    offsetMs: (least + most) / 2,
    plusMinusMs: (most - least) / 2,
    answers: bounds.length,
  };
}

/** The offset in words: the range that the server's clock lies in. */
export function clockText(
  { offsetMs, plusMinusMs }: ClockOffset,
  formatMs: (ms: number) => string,
): string {
  const [least, most] = [offsetMs - plusMinusMs, offsetMs + plusMinusMs];
  if (least > 0) return `the server's is ${formatMs(least)} to ${formatMs(most)} ahead`;
  if (most < 0) return `the server's is ${formatMs(-most)} to ${formatMs(-least)} behind`;
  return `no difference is seen (at most ${formatMs(-least)} behind, ${formatMs(most)} ahead)`;
}
