/**
 * The server's own tokenizer as an encoder.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { type Capability, type Engine, no, type ServerFacts, unknown, yes } from "./facts.ts";
import { asCount, asObject, refusal, send, type ServerAccess, trySend } from "./http.ts";

/** Text to token ids, without special tokens. The shape of `lib/prompt`'s encoder. */
export interface ServerEncoder {
  readonly source: string;
  encode(text: string): Promise<number[]>;
}

type Dialect = Pick<ServerFacts, "engine" | "model">;

/** Long texts of a vocabulary proof take longer than other small requests. */
const TOKENIZE_TIMEOUT_MS = 60_000;

/**
 * An encoder that asks `/tokenize`; `undefined` where the server has no such route.
 *
 * Its `encode` throws {@linkcode KvmarkError} `unreachable` when the route stops answering.
 */
export function serverEncoder(access: ServerAccess, facts: ServerFacts): ServerEncoder | undefined {
  if (facts.capabilities.tokenize.state !== "yes") return undefined;
  return {
    source: "server /tokenize",
    async encode(text) {
      const ids = await tokenizeBody(access, bodyFor(facts, text, false));
      if (ids === undefined) {
        throw new KvmarkError("unreachable", "/tokenize answers something else than token ids", {
          hint: "give the tokenizer with --tokenizer PATH",
        });
      }
      return ids;
    },
  };
}

/** Token ids of `text`, with or without BOS; `undefined` where the server does not tell. */
export async function tokenizeText(
  access: ServerAccess,
  facts: Dialect,
  text: string,
  special: boolean,
): Promise<number[] | undefined> {
  return await tryTokenize(access, bodyFor(facts, text, special));
}

/**
 * Token ids of a chat with one message of the user, through the template: vLLM's `/tokenize` takes
 * messages, llama.cpp has `/apply-template`.
 */
export async function tokenizeChat(
  access: ServerAccess,
  facts: Dialect,
  content: string,
): Promise<number[] | undefined> {
  if (facts.engine === "llamacpp") {
    const body = { messages: [{ role: "user", content }] };
    const reply = await trySend(access, { path: "/apply-template", body });
    const prompt = reply?.status === 200 ? asObject(reply.json)?.["prompt"] : undefined;
    return typeof prompt === "string" ? await tokenizeText(access, facts, prompt, true) : undefined;
  }
  return await tryTokenize(access, {
    model: facts.model,
    messages: [{ role: "user", content }],
    add_generation_prompt: true,
  });
}

/** Is there a `/tokenize` that gives ids, and the same for the same text? */
export async function probeTokenize(
  access: ServerAccess,
  facts: { readonly engine: Engine; readonly model: string },
): Promise<Capability> {
  const body = bodyFor(facts, "time year people way", false);
  const reply = await trySend(access, { path: "/tokenize", body, timeoutMs: 5_000 });
  if (reply === undefined) return unknown("/tokenize does not answer");
  if (reply.status !== 200) return no(`/tokenize answers ${reply.status}`);
  const ids = idsOf(reply.json);
  return ids === undefined || ids.length === 0
    ? no("/tokenize answers something else than token ids")
    : yes(`/tokenize gives ${ids.length} ids for four words`);
}

/** The context length that vLLM's `/tokenize` states with every answer; `undefined` elsewhere. */
export async function tokenizeLimit(
  access: ServerAccess,
  facts: Dialect,
): Promise<number | undefined> {
  const reply = await trySend(access, { path: "/tokenize", body: bodyFor(facts, "time", false) });
  const limit = reply?.status === 200
    ? asCount(asObject(reply.json)?.["max_model_len"])
    : undefined;
  return limit === 0 ? undefined : limit;
}

function bodyFor(facts: Dialect, text: string, special: boolean): Record<string, unknown> {
  switch (facts.engine) {
    case "llamacpp":
      return { content: text, add_special: special };
    case "tgi":
      return { inputs: text, add_special_tokens: special };
    default:
      return { model: facts.model, prompt: text, add_special_tokens: special };
  }
}

async function tokenizeBody(access: ServerAccess, body: unknown): Promise<number[] | undefined> {
  const reply = await send(access, {
    path: "/tokenize",
    body,
    timeoutMs: TOKENIZE_TIMEOUT_MS,
    maxBytes: 64 * 2 ** 20,
  });
  if (reply.status !== 200) throw refusal(access, reply, "to tokenize");
  return idsOf(reply.json);
}

async function tryTokenize(access: ServerAccess, body: unknown): Promise<number[] | undefined> {
  const reply = await trySend(access, { path: "/tokenize", body });
  return reply?.status === 200 ? idsOf(reply.json) : undefined;
}

/** vLLM, llama.cpp and SGLang: `{tokens: [ids]}`; TGI: `[{id, …}]`. */
function idsOf(json: unknown): number[] | undefined {
  const list = Array.isArray(json) ? json : asObject(json)?.["tokens"];
  if (!Array.isArray(list)) return undefined;
  const ids = list.map((entry) => typeof entry === "number" ? entry : asObject(entry)?.["id"]);
  return ids.every((id) => typeof id === "number") ? ids : undefined;
}
