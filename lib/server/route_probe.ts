/**
 * Which of the engines' own routes exist: asked without doing what they do.
 *
 * @module
 */

import { type Capability, type Engine, no, unknown, yes } from "./facts.ts";
import { type ServerAccess, trySend } from "./http.ts";

/** vLLM answers this route only in its development mode. */
export const VLLM_RESET_PATH = "/reset_prefix_cache";
/** SGLang. A GET would flush. */
export const SGLANG_RESET_PATH = "/flush_cache";
/** SGLang's third tier, newest name first. */
export const SGLANG_STORAGE_PATHS = [
  "/hicache/storage-backend/clear",
  "/clear_hicache_storage_backend",
] as const;

type Existence = { readonly exists: boolean | undefined; readonly evidence: string };

/**
 * Does a route exist? OPTIONS runs no handler; a route that is there answers it with another
 * status than a path that cannot be there (a gateway may answer 204 to everything).
 */
export async function routeExists(
  access: ServerAccess,
  path: string,
  nonce: string,
): Promise<Existence> {
  const ask = (at: string) => trySend(access, { path: at, method: "OPTIONS", timeoutMs: 5_000 });
  const [there, nowhere] = await Promise.all([ask(path), ask(`/kvmark-no-such-route-${nonce}`)]);
  if (there === undefined) return { exists: undefined, evidence: `${path} does not answer` };
  const evidence = `OPTIONS ${path} answers ${there.status}`;
  if (there.status === 404) return { exists: false, evidence };
  const found = there.status === 405 || there.status === 200 || there.status === 204;
  if (found && there.status !== nowhere?.status) return { exists: true, evidence };
  return { exists: undefined, evidence: `${evidence}, as any path does` };
}

/** Can the cache be dropped, and the tiers behind it? */
export async function probeReset(
  access: ServerAccess,
  engine: Engine,
  nonce: string,
): Promise<{ reset: Capability; resetExternal: Capability }> {
  if (engine === "trtllm" || engine === "tgi") {
    const none = no(`${engine} has no route for it`, "restart the server for a cold cache");
    return { reset: none, resetExternal: none };
  }
  if (engine === "sglang") return await probeSglangReset(access, nonce);
  if (engine === "llamacpp") return await probeLlamaReset(access);
  const { exists, evidence } = await routeExists(access, VLLM_RESET_PATH, nonce);
  const enable = engine === "vllm" ? "start vLLM with VLLM_SERVER_DEV_MODE=1" : undefined;
  if (exists === undefined) return { reset: unknown(evidence), resetExternal: unknown(evidence) };
  if (!exists) return { reset: no(evidence, enable), resetExternal: no(evidence, enable) };
  const external = engine === "kvmark-sim"
    ? yes("reset_external is a parameter of that route")
    : unknown("older versions ignore reset_external: only a canary after the reset tells");
  return { reset: yes(evidence), resetExternal: external };
}

async function probeSglangReset(access: ServerAccess, nonce: string) {
  const { exists, evidence } = await routeExists(access, SGLANG_RESET_PATH, nonce);
  const reset = exists === true
    ? yes(evidence)
    : exists === false
    ? no(evidence)
    : unknown(evidence);
  const seen: string[] = [];
  for (const path of SGLANG_STORAGE_PATHS) {
    const storage = await routeExists(access, path, nonce);
    if (storage.exists === true) return { reset, resetExternal: yes(storage.evidence) };
    seen.push(storage.evidence);
  }
  return { reset, resetExternal: no(seen.join("; ")) };
}

/**
 * An action that does not exist is refused before anything is done: with 400 where slots may be
 * erased, with 501 where `--slot-save-path` is missing.
 */
async function probeLlamaReset(access: ServerAccess) {
  const path = "/slots/0?action=kvmark-asks";
  const reply = await trySend(access, { path, method: "POST", timeoutMs: 5_000 });
  const slots = await trySend(access, { path: "/slots", timeoutMs: 5_000 });
  const listed = slots?.status === 200 && Array.isArray(slots.json);
  const enable = "start llama-server with --slots and --slot-save-path DIR";
  const evidence = `POST ${path} answers ${reply?.status ?? "nothing"}, ` +
    (listed ? "and /slots lists the slots" : `/slots answers ${slots?.status ?? "nothing"}`);
  const reset = reply?.status === 400 && listed
    ? yes(evidence)
    : reply?.status === 501 || reply?.status === 404 || !listed
    ? no(evidence, enable)
    : unknown(`${evidence}; erasing them may not be allowed`, enable);
  const resetExternal = no(
    "the host-memory prompt cache cannot be erased over HTTP",
    "start llama-server with --cache-ram 0 for a cold cache",
  );
  return { reset, resetExternal };
}
