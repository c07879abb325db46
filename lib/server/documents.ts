/**
 * The documents that engines serve about themselves, fetched once and without side effects.
 *
 * @module
 */

import { type Exposition, looksLikeExposition, parseExposition } from "./exposition.ts";
import { asObject, send, type ServerAccess, type ServerReply, trySend } from "./http.ts";

/** A JSON object with unknown fields. */
export type Json = Readonly<Record<string, unknown>>;

/** What the routes answered; a document is absent where the route is, or is not JSON. */
export interface Documents {
  readonly models: ServerReply;
  readonly version?: Json;
  /** llama.cpp's `/props`. */
  readonly props?: Json;
  /** SGLang's `/server_info` (or `/get_server_info`). */
  readonly serverInfo?: Json;
  /** TGI's `/info`. */
  readonly info?: Json;
  /** LMCache's `/status`. */
  readonly lmcacheStatus?: Json;
  readonly metrics: MetricsDocument;
}

/** The metrics route: where it is and what it shows, or why there is none. */
export interface MetricsDocument {
  readonly url?: string;
  readonly exposition?: Exposition;
  /** One line: what the routes answered. */
  readonly evidence: string;
  /** True if `/metrics` is JSON: iteration statistics of trtllm-serve, drained by reading. */
  readonly jsonTrap: boolean;
}

/** The routes are optional: none of them may hold the probe up. */
const DOCUMENT_TIMEOUT_MS = 5_000;

/**
 * Fetches the documents.
 *
 * @throws {KvmarkError} `unreachable` if the server does not answer at all.
 */
export async function gatherDocuments(access: ServerAccess): Promise<Documents> {
  const models = await send(access, { path: "/v1/models" });
  const status = access.metricsUrl === undefined
    ? "/status"
    : new URL("/status", access.metricsUrl).href;
  const [version, props, serverInfo, oldServerInfo, info, lmcacheStatus, metrics] = await Promise
    .all([
      document(access, "/version"),
      document(access, "/props"),
      document(access, "/server_info"),
      document(access, "/get_server_info"),
      document(access, "/info"),
      document(access, status),
      findMetrics(access),
    ]);
  const sglang = serverInfo ?? oldServerInfo;
  return {
    models,
    metrics,
    ...(version === undefined ? {} : { version }),
    ...(props === undefined ? {} : { props }),
    ...(sglang === undefined ? {} : { serverInfo: sglang }),
    ...(info === undefined ? {} : { info }),
    ...(lmcacheStatus === undefined ? {} : { lmcacheStatus }),
  };
}

async function document(access: ServerAccess, path: string): Promise<Json | undefined> {
  const reply = await trySend(access, { path, timeoutMs: DOCUMENT_TIMEOUT_MS });
  return reply?.status === 200 ? asObject(reply.json) : undefined;
}

async function findMetrics(access: ServerAccess): Promise<MetricsDocument> {
  const paths = access.metricsUrl === undefined
    ? ["/metrics", "/prometheus/metrics"]
    : [access.metricsUrl];
  const seen: string[] = [];
  let jsonTrap = false;
  for (const path of paths) {
    const reply = await trySend(access, { path, timeoutMs: DOCUMENT_TIMEOUT_MS });
    const exposition = reply?.status === 200 ? parseExposition(reply.text) : undefined;
    if (reply !== undefined && exposition !== undefined && looksLikeExposition(exposition)) {
      const evidence = `${path} shows ${exposition.samples.length} samples`;
      return { url: reply.url, exposition, evidence, jsonTrap };
    }
    const isJson = reply?.status === 200 && reply.json !== undefined;
    if (isJson && path === "/metrics" && Array.isArray(reply.json)) jsonTrap = true;
    seen.push(`${path} ${describe(reply, isJson)}`);
  }
  return { evidence: seen.join("; "), jsonTrap };
}

function describe(reply: ServerReply | undefined, isJson: boolean): string {
  if (reply === undefined) return "does not answer";
  if (reply.status !== 200) return `answers ${reply.status}`;
  if (reply.text.trim() === "") return "is empty";
  return isJson ? "is JSON, not Prometheus text" : "is not Prometheus text";
}
