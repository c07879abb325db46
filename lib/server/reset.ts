/**
 * A cold cache, proved: drop every tier that has a route, read what the server says about it, and
 * ask with a prompt that was cached before.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import { ENGINE_TITLES, type ServerFacts } from "./facts.ts";
import { asObject, excerpt, type ServerAccess, type ServerReply, trySend } from "./http.ts";
import { infer } from "./infer.ts";
import { usageRequest } from "./inference_probe.ts";
import { probeText } from "./probe_text.ts";
import { SGLANG_RESET_PATH, SGLANG_STORAGE_PATHS, VLLM_RESET_PATH } from "./route_probe.ts";

/** One tier, and what its reset came to. */
export interface TierReset {
  /** `HBM`, `offload tiers`, `slot 0`, `LMCache L1`, … */
  readonly tier: string;
  /** `unknown`: accepted, but the answer does not say that anything was dropped. */
  readonly outcome: "dropped" | "failed" | "unknown";
  /** What was asked, and what came back: one line. */
  readonly evidence: string;
}

/** All resets of one server. */
export interface CacheReset {
  /** False if a reset failed, or there was none to ask for. */
  readonly accepted: boolean;
  readonly tiers: readonly TierReset[];
}

/** What a reset needs of the facts. */
type ResetFacts = Pick<ServerFacts, "engine" | "capabilities" | "lmcacheChunkTokens">;

const RESET_TIMEOUT_MS = 30_000;
/** Blocks of a request that has just ended are let go a moment later. */
const ATTEMPTS = 3;
const PAUSE_MS = 250;

/**
 * Drops every tier that has a route. A 200 whose body says `success: false` is a failure. Requests
 * of other clients are not thrown out; while they run, a reset may fail.
 */
export async function resetCaches(access: ServerAccess, facts: ResetFacts): Promise<CacheReset> {
  const tiers = await resetEngine(access, facts);
  if (facts.lmcacheChunkTokens !== undefined) tiers.push(await resetLmcache(access));
  const accepted = tiers.length > 0 && tiers.every(({ outcome }) => outcome !== "failed");
  return { accepted, tiers };
}

async function resetEngine(access: ServerAccess, facts: ResetFacts): Promise<TierReset[]> {
  const { engine, capabilities } = facts;
  if (engine === "llamacpp") return await resetSlots(access);
  if (capabilities.reset.state === "no") {
    const evidence = `${ENGINE_TITLES[engine]}: ${capabilities.reset.evidence}`;
    return [{ tier: "HBM", outcome: "failed", evidence }];
  }
  if (engine === "sglang") {
    const flushed = await attempt(() => post(access, `${SGLANG_RESET_PATH}?timeout=10`, "HBM"));
    return capabilities.resetExternal.state === "yes"
      ? [flushed, await resetStorage(access)]
      : [flushed];
  }
  const path = `${VLLM_RESET_PATH}?reset_external=true`;
  return [await attempt(() => post(access, path, "HBM and offload tiers"))];
}

async function attempt(reset: () => Promise<TierReset>): Promise<TierReset> {
  let last = await reset();
  for (let i = 1; i < ATTEMPTS && last.outcome === "failed"; i++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    last = await reset();
  }
  return last;
}

async function post(access: ServerAccess, path: string, tier: string): Promise<TierReset> {
  const request = { path, method: "POST", timeoutMs: RESET_TIMEOUT_MS } as const;
  return judgeReset(access, await trySend(access, request), `POST ${path}`, tier);
}

function judgeReset(
  access: ServerAccess,
  reply: ServerReply | undefined,
  asked: string,
  tier: string,
): TierReset {
  if (reply === undefined) return { tier, outcome: "failed", evidence: `${asked}: no answer` };
  const evidence = `${asked}: ${reply.status}${excerpt(access, reply)}`;
  if (reply.status < 200 || reply.status >= 300) return { tier, outcome: "failed", evidence };
  const body = asObject(reply.json);
  const success = body?.["success"] ?? body?.["status"];
  if (success === false || success === "error") return { tier, outcome: "failed", evidence };
  const said = success === true || success === "ok" || success === "success" ||
    /flushed|cleared|erased/i.test(reply.text);
  return { tier, outcome: said ? "dropped" : "unknown", evidence };
}

async function resetStorage(access: ServerAccess): Promise<TierReset> {
  const [newer, older] = SGLANG_STORAGE_PATHS;
  const first = await post(access, newer, "storage");
  return / 404/.test(first.evidence) ? await post(access, older, "storage") : first;
}

async function resetLmcache(access: ServerAccess): Promise<TierReset> {
  const tier = "LMCache L1 (its L2 has no route)";
  const path = access.metricsUrl === undefined
    ? "/clear-cache"
    : new URL("/clear-cache", access.metricsUrl).href;
  return await post(access, path, tier);
}

async function resetSlots(access: ServerAccess): Promise<TierReset[]> {
  const reply = await trySend(access, { path: "/slots" });
  const slots = reply?.status === 200 && Array.isArray(reply.json) ? reply.json : undefined;
  if (slots === undefined) {
    const evidence = `GET /slots: ${reply?.status ?? "no answer"}`;
    return [{ tier: "slots", outcome: "failed", evidence }];
  }
  const tiers: TierReset[] = [];
  for (const [index, slot] of slots.entries()) {
    const id = asObject(slot)?.["id"] ?? index;
    const path = `/slots/${id}?action=erase`;
    const erased = await trySend(access, { path, method: "POST", timeoutMs: RESET_TIMEOUT_MS });
    const judged = judgeReset(access, erased, `POST ${path}`, `slot ${id}`);
    const counted = asObject(erased?.json)?.["n_erased"] !== undefined;
    tiers.push(counted && erased?.status === 200 ? { ...judged, outcome: "dropped" } : judged);
  }
  return tiers;
}

/** Whether the cache is cold, and how that is known. */
export interface ColdProof {
  /** True only if a prompt that was cached before the reset reports no cached tokens after it. */
  readonly proved: boolean;
  readonly reset: CacheReset;
  /** Whole sentences for `run.json` and the report. */
  readonly evidence: readonly string[];
}

/** What a cold proof needs of the facts. */
type ColdFacts =
  & ResetFacts
  & Pick<
    ServerFacts,
    "model" | "cachedTokensDisproved" | "cachedTokensAbsentMeansZero" | "blockTokens"
  >;

/**
 * Resets every tier and checks it with a canary: a prompt that is seen to be cached, then must
 * report no cached token at all. Without cached-token counts nothing is proved.
 *
 * @param nonce Makes the canary unlike any other text; never use one twice.
 * @throws {KvmarkError} `unreachable` if the server stops answering.
 */
export async function proveCold(
  access: ServerAccess,
  facts: ColdFacts,
  { api, nonce }: { readonly api: ApiKind; readonly nonce: string },
): Promise<ColdProof> {
  const canary = canarySender(access, facts, api, nonce);
  const first = await canary();
  const warm = await canary();
  const reset = await resetCaches(access, facts);
  const evidence = reset.tiers.map(({ tier, outcome, evidence }) =>
    `${tier}: ${outcome} (${evidence}).`
  );
  if (!reset.accepted) return { proved: false, reset, evidence };
  if (facts.cachedTokensDisproved || warm === undefined || warm <= (first ?? 0)) {
    const why = "The server does not report the canary as cached before the reset, so what it " +
      "reports after it proves nothing.";
    return { proved: false, reset, evidence: [...evidence, why] };
  }
  const cold = await canary();
  const said = `A canary with ${warm} cached tokens reports ${cold ?? "no count"} after the reset.`;
  return { proved: cold === 0, reset, evidence: [...evidence, said] };
}

/** Whether text of a run is new to a server, and how that is known. */
export interface UnseenProof {
  /** True only if a canary was reported as not cached, and as cached when it was sent again. */
  readonly proved: boolean;
  readonly evidence: string;
}

/**
 * Shows by a canary that text that was never sent before is not found in the cache. It drops
 * nothing. The second sending is the control: a server that never reports a hit proves nothing.
 *
 * @param options.beforeTokens Template tokens that every prompt begins with: these may be cached.
 * @throws {KvmarkError} `unreachable` if the server stops answering.
 */
export async function proveUnseen(
  access: ServerAccess,
  facts: ColdFacts,
  { api, nonce, beforeTokens }: {
    readonly api: ApiKind;
    readonly nonce: string;
    readonly beforeTokens: number;
  },
): Promise<UnseenProof> {
  const { prefixCaching } = facts.capabilities;
  if (prefixCaching.state === "no") {
    return { proved: true, evidence: `Nothing is reused at all: ${prefixCaching.evidence}.` };
  }
  const canary = canarySender(access, facts, api, nonce);
  const first = await canary();
  const again = await canary();
  const said = `A canary that was never sent before reports ${first ?? "no count"} cached tokens` +
    `, and ${again ?? "no count"} when it is sent again`;
  const proved = !facts.cachedTokensDisproved && first !== undefined && again !== undefined &&
    first <= beforeTokens && again > first;
  return { proved, evidence: proved ? `${said}.` : `${said}: that proves nothing.` };
}

const CANARY_WORDS = 300;

function canarySender(
  access: ServerAccess,
  facts: ColdFacts,
  api: ApiKind,
  nonce: string,
): () => Promise<number | undefined> {
  const words = Math.max(CANARY_WORDS, Math.ceil((facts.blockTokens ?? 0) * 2.5));
  const streamUsage = facts.capabilities.streamUsage.state === "yes";
  const request = usageRequest(facts, api, probeText(nonce, "canary", words), streamUsage);
  return async () => {
    const answer = await infer(access, request);
    if (!answer.ok) return undefined;
    const absent = facts.cachedTokensAbsentMeansZero && answer.usage?.promptTokens !== undefined;
    return answer.usage?.cachedTokens ?? (absent ? 0 : undefined);
  };
}
