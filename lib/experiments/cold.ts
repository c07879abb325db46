/**
 * A run that starts cold, and says how that is known.
 *
 * The text of a run is always new: its seed holds a nonce, from the first token of the first
 * prompt on. That is the salt. A reset also empties the cache of what others left there.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { ColdStart } from "../results/schema.ts";
import type { ServerFacts } from "../server/facts.ts";
import type { ServerAccess } from "../server/http.ts";
import { proveCold, proveUnseen } from "../server/reset.ts";
import type { RunListener } from "./listener.ts";
import type { Session } from "./session.ts";

/** `--cold`. */
export const COLD_MODES = ["salt", "reset", "require"] as const;
/**
 * `salt`: the run's text is new, and nothing is dropped. `reset`: every tier is dropped as well.
 * `require`: as `reset`, and the run is refused if neither is proved.
 */
export type ColdMode = typeof COLD_MODES[number];

/** What a cold start needs of a session. */
type ColdSession = Pick<Session, "facts" | "access" | "api" | "overhead">;

/**
 * Makes the caches cold, as far as the mode asks for it, and proves it with canaries. Call it once,
 * before the first request of the run.
 *
 * @param nonce Never used before.
 * @throws {KvmarkError} `unverified` in the mode `require` if nothing is proved; `unreachable` if a
 *   server stops answering.
 */
export async function startCold(
  session: ColdSession,
  mode: ColdMode,
  nonce: string,
  listener: Pick<RunListener, "note" | "warning">,
): Promise<ColdStart> {
  const evidence: string[] = [];
  if (mode !== "salt") {
    const reset = await resetAll(session, nonce);
    evidence.push(...reset.evidence);
    if (reset.proved) {
      listener.note("cold: the caches were dropped, and a canary shows it");
      return { asked: mode, by: "reset", proved: true, evidence };
    }
    if (mode === "reset") {
      const last = reset.evidence.at(-1) ?? "there is no server";
      listener.warning(`cold: no proved reset, so only the run's own text is cold (${last})`);
    }
  }
  const unseen = await proveAllUnseen(session, nonce);
  evidence.push(...unseen.evidence);
  if (mode === "require" && !unseen.proved) throw notCold(session, evidence);
  if (mode === "require") {
    listener.note("cold: no proved reset; all text of the run is new, which is proved");
  }
  return { asked: mode, by: "salt", proved: unseen.proved, evidence };
}

/** A run with `--reuse-cache` wants to find what an earlier one left. */
export const REUSED_START: ColdStart = {
  asked: "reuse",
  by: "none",
  proved: false,
  evidence: ["--reuse-cache: the working set may be warm from an earlier run."],
};

/** What was done, as one line of `run.json` and of the report. */
export function coldNote({ by, proved, evidence }: ColdStart): string {
  const how = { reset: "by a reset of the caches", salt: "by text that is new", none: "no" }[by];
  return `Cold start: ${how}, ${proved ? "proved" : "not proved"}. ${evidence.join(" ")}`.trim();
}

interface Proof {
  readonly proved: boolean;
  readonly evidence: readonly string[];
}

function resetAll(session: ColdSession, nonce: string): Promise<Proof> {
  const { api } = session;
  return onEach(session, (access, facts, index) => {
    return proveCold(access, facts, { api, nonce: `${nonce}-reset-${index}` });
  });
}

function proveAllUnseen(session: ColdSession, nonce: string): Promise<Proof> {
  const { api, overhead: { beforeTokens } } = session;
  return onEach(session, async (access, facts, index) => {
    const options = { api, beforeTokens, nonce: `${nonce}-salt-${index}` };
    const { proved, evidence } = await proveUnseen(access, facts, options);
    return { proved, evidence: [evidence] };
  });
}

/** Proved only if it is on each server; the evidence names them where there are several. */
async function onEach(
  session: ColdSession,
  prove: (access: ServerAccess, facts: ServerFacts, index: number) => Promise<Proof>,
): Promise<Proof> {
  const evidence: string[] = [];
  let proved = session.access.length > 0;
  for (const [index, access] of session.access.entries()) {
    const facts = session.facts[index]!;
    const one = await prove(access, facts, index);
    proved &&= one.proved;
    const where = session.access.length > 1 ? `${facts.baseUrl}: ` : "";
    evidence.push(...one.evidence.map((sentence) => `${where}${sentence}`));
  }
  return { proved, evidence };
}

function notCold({ facts }: ColdSession, evidence: readonly string[]): KvmarkError {
  const ways = facts.flatMap(({ capabilities: { cachedTokens, reset } }) =>
    [cachedTokens.enable, reset.enable].filter((way) => way !== undefined)
  );
  return new KvmarkError("unverified", "A cold cache cannot be proved, as --cold require asks", {
    problems: evidence,
    hint: [...new Set(ways), "--cold salt measures without that proof"].join("; "),
  });
}
