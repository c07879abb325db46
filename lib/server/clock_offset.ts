/**
 * How far this machine's clock is from the server's, by the `Date` of its answers.
 *
 * A `Date` has whole seconds, so one answer tells little. Answers that are spread over more than a
 * second narrow it down to the time between two of them, whatever the phase of the server's clock.
 * A server that renews its `Date` only once a second is read as up to a second slow; but so it is
 * by everybody who asks it, so that the difference between two machines is not touched.
 *
 * @module
 */

import type { Clock } from "../host.ts";
import { send, type ServerAccess } from "./http.ts";

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

const ANSWERS = 24;
const EVERY_MS = 57;
const TIMEOUT_MS = 2000;

/**
 * Asks the server for its time, for about 1.4 s.
 *
 * @returns `undefined` if it does not tell it, or answers no small request.
 */
export async function measureClockOffset(
  access: ServerAccess,
  clock: Clock,
): Promise<ClockOffset | undefined> {
  const bounds: Bounds[] = [];
  try {
    for (let n = 0; n < ANSWERS; n++) {
      const beforeMs = clock.wallMs();
      const { headers } = await send(access, { path: "/health", timeoutMs: TIMEOUT_MS });
      const date = Date.parse(headers.get("date") ?? "");
      if (!Number.isFinite(date)) return undefined;
      bounds.push({ leastMs: date - clock.wallMs(), mostMs: date + 1000 - beforeMs });
      await clock.sleep(EVERY_MS);
    }
  } catch {
    return undefined;
  }
  return intersect(bounds);
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
