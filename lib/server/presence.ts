/**
 * Whether a server is there, and waiting for one that went away.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { asObject, isAbsence, type Patience, send, type ServerAccess } from "./http.ts";

/** What {@linkcode Presence} needs. */
export interface PresenceOptions {
  readonly access: ServerAccess;
  readonly clock: Clock;
  /** `--server-wait`: how long an absence may last. */
  readonly waitMs: number;
  /** Gets a line when the server goes, now and then while it is away, and when it is back. */
  readonly say: (text: string) => void;
}

const POLL_MS = 500;
const RECHECK_MS = 100;
const POLL_TIMEOUT_MS = 5000;
/** Between two lines about one absence. */
const SAY_EVERY_MS = 30_000;
/** What a gateway says when nobody is behind it, and an engine while it loads its model. */
const AWAY_STATUS: ReadonlySet<number> = new Set([502, 503, 504]);

/** One server that has answered before. */
export class Presence implements Patience {
  /** How often it was found to be away and came back. */
  absences = 0;
  readonly #options: PresenceOptions;
  #hasAnswered = false;
  /** `/health` said that it is well; only then does its 503 mean anything. */
  #wasHealthy = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  answered(): void {
    this.#hasAnswered = true;
  }

  /** Why the server is away; `undefined` if it answers, or is merely slow. */
  async whyAway(signal?: AbortSignal): Promise<string | undefined> {
    const why = await this.#whyAwayNow(signal);
    if (why === undefined) return undefined;
    // One connection that is closed at the wrong moment is no absence.
    await this.#options.clock.sleep(RECHECK_MS, signal);
    return await this.#whyAwayNow(signal);
  }

  async #whyAwayNow(signal: AbortSignal | undefined): Promise<string | undefined> {
    const access = this.#access();
    try {
      const path = "/health";
      const { status } = await send(access, {
        path,
        timeoutMs: POLL_TIMEOUT_MS,
        ...(signal === undefined ? {} : { signal }),
      });
      this.#hasAnswered = true;
      if (AWAY_STATUS.has(status)) {
        return this.#wasHealthy ? `${path} answers ${status}` : undefined;
      }
      this.#wasHealthy ||= status === 200;
      return undefined;
    } catch (error) {
      return isAbsence(error) ? "it refuses connections" : undefined;
    }
  }

  /**
   * Waits until the server answers and lists its models.
   *
   * @returns False if the signal came first.
   * @throws {KvmarkError} `unreachable` when `waitMs` are over.
   */
  async untilBack(why: string, signal?: AbortSignal): Promise<boolean> {
    const { access, clock, waitMs, say } = this.#options;
    const sinceMs = clock.nowMs();
    const at = timeOfDay(clock.wallMs());
    const seconds = () => ((clock.nowMs() - sinceMs) / 1000).toFixed(1);
    say(
      `${access.baseUrl} went away at ${at} (${why}); waiting for it, at most ${waitMs / 1000} s`,
    );
    let saidAtMs = sinceMs;
    while (await this.#isAway(signal)) {
      if (signal?.aborted || access.signal?.aborted) return false;
      const nowMs = clock.nowMs();
      if (nowMs - sinceMs >= waitMs) throw stayedAway(access, at, waitMs);
      if (nowMs - saidAtMs >= SAY_EVERY_MS) {
        say(`${access.baseUrl} is still away after ${seconds()} s`);
        saidAtMs = nowMs;
      }
      await clock.sleep(Math.min(POLL_MS, waitMs), signal ?? access.signal);
    }
    this.absences++;
    say(`${access.baseUrl} answers again at ${timeOfDay(clock.wallMs())}, after ${seconds()} s`);
    return true;
  }

  async comesBack(error: unknown): Promise<boolean> {
    if (!this.#hasAnswered || !isAbsence(error)) return false;
    return await this.untilBack("it refuses connections");
  }

  /** A server that listens may have no model yet. */
  async #isAway(signal?: AbortSignal): Promise<boolean> {
    if (await this.whyAway(signal) !== undefined) return true;
    try {
      const path = "/v1/models";
      const { status, json } = await send(this.#access(), { path, timeoutMs: POLL_TIMEOUT_MS });
      if (AWAY_STATUS.has(status)) return true;
      const data = asObject(json)?.["data"];
      return status === 200 && Array.isArray(data) && data.length === 0;
    } catch {
      return true;
    }
  }

  #access(): ServerAccess {
    const { patience: _, ...access } = this.#options.access;
    return access;
  }
}

function stayedAway(access: ServerAccess, at: string, waitMs: number): KvmarkError {
  return new KvmarkError(
    "unreachable",
    `${access.baseUrl} went away at ${at} and is not back after ${waitMs / 1000} s`,
    {
      hint: "finished cells are kept: start the server and run the same command again; " +
        "--server-wait gives it more time",
    },
  );
}

/** `12:03:11`, in local time. */
export function timeOfDay(wallMs: number): string {
  const at = new Date(wallMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}
