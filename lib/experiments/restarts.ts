/**
 * A server that went away or was started again during a run: what shows it, and what it spoils.
 *
 * The witnesses are the requests (nobody listens), `/health`, the start time of the process, and
 * counters that fall. A cache that was warm before is cold after it.
 *
 * @module
 */

import type { Failure, PeriodOutcome } from "../record.ts";
import { type Presence, timeOfDay } from "../server/presence.ts";
import type { Restart } from "../server/scrape.ts";

/** What a gateway answers for a server that is away. */
const GATEWAY_STATUS: ReadonlySet<number> = new Set([502, 503, 504]);

/** What the metrics say about a stretch of time. */
export interface MetricsWitness {
  readonly restart?: Restart;
  /** True if every server tells when it was started, and none was started meanwhile. */
  readonly isSame: boolean;
}

/** How {@linkcode Restarts.whenBack} ended. */
export interface Absence {
  readonly why: string;
  readonly untilWallMs: number;
}

/** Follows whether the servers of a run are there, and are still those that were warmed. */
export class Restarts {
  /** Restarts and absences so far. */
  count = 0;
  readonly #presences: readonly Presence[];
  readonly #wallMs: () => number;
  readonly #drain: AbortSignal | undefined;
  #away: { readonly presence: Presence; readonly why: string } | undefined;
  #checking: Promise<void> | undefined;

  constructor(presences: readonly Presence[], wallMs: () => number, drain?: AbortSignal) {
    this.#presences = presences;
    this.#wallMs = wallMs;
    this.#drain = drain;
  }

  /** A server is away: what is sent to it now measures nothing. */
  get isAway(): boolean {
    return this.#away !== undefined;
  }

  /** Takes the failure of a request. One that may come from an absence makes it look. */
  failed({ kind, status }: Failure): void {
    const isSuspicious = kind === "connect" || kind === "disconnect" ||
      (kind === "http_status" && GATEWAY_STATUS.has(status ?? 0));
    if (isSuspicious && !this.isAway) {
      this.#checking ??= this.#look().finally(() => this.#checking = undefined);
    }
  }

  /**
   * Looks whether all servers are there, and waits for those that are not.
   *
   * @returns The absence that was waited for, if there was one; `interrupted` if a signal came.
   * @throws {KvmarkError} `unreachable` if one stays away.
   */
  async whenBack(): Promise<Absence | "interrupted" | undefined> {
    await this.#checking;
    let absence: Absence | undefined;
    for (;;) {
      if (this.#away === undefined) await this.#look();
      if (this.#away === undefined) return absence;
      const { presence, why } = this.#away;
      this.#away = undefined;
      if (!await presence.untilBack(why, this.#drain)) return "interrupted";
      absence = { why, untilWallMs: this.#wallMs() };
    }
  }

  async #look(): Promise<void> {
    for (const presence of this.#presences) {
      const why = await presence.whyAway(this.#drain);
      if (why !== undefined) this.#away ??= { presence, why };
    }
  }
}

/** Why a period is spoilt by what happened to the server in it; `undefined` if it is not. Pure. */
export function spoiltBy(
  { records }: Pick<PeriodOutcome, "records">,
  { restart, isSame }: MetricsWitness,
  absence: Absence | undefined,
): string | undefined {
  const back = absence && ` (${absence.why} until ${timeOfDay(absence.untilWallMs)})`;
  if (restart !== undefined) return `${restartText(restart)}${back ?? ""}`;
  if (absence !== undefined) {
    return isSame
      ? `the server was away${back}, though its process is the same`
      : `the server was away${back}: it restarted`;
  }
  // Nobody listened, and a moment later somebody did.
  const refused =
    records.filter(({ failure }) => failure?.kind === "connect" && /refused/i.test(failure.message))
      .length;
  if (refused === 0 || isSame) return undefined;
  return `the server restarted: ${refused} connections were refused, and now it answers`;
}

/** `the server restarted at 12:03:11 (its start time changed)` */
export function restartText({ wallAtMs, evidence }: Restart): string {
  return `the server restarted at ${timeOfDay(wallAtMs)} (${evidence})`;
}
