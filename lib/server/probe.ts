/**
 * One capability probe per endpoint: what the server is, what it can prove, and with what evidence.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { ApiKind } from "../record.ts";
import { canonicalSeries } from "./counters.ts";
import { type DetectedEngine, detectEngine, servedModels, statedLimits } from "./detect.ts";
import type { ServedModel, StatedLimits } from "./detect.ts";
import { type Documents, gatherDocuments } from "./documents.ts";
import {
  type Capability,
  type CapabilityName,
  type Engine,
  no,
  type ServerFacts,
  unknown,
  yes,
} from "./facts.ts";
import { canTellHits } from "./hits.ts";
import { printableUrl, refusal, type ServerAccess } from "./http.ts";
import { probeField, probeRoute, probeTokenIds, type RouteProbe } from "./inference_probe.ts";
import { type CachingFindings, offloadOf, probeCaching } from "./caching_probe.ts";
import { losesRequests, probeKeepAlive } from "./keep_alive.ts";
import { probeText } from "./probe_text.ts";
import { probeReset } from "./route_probe.ts";
import { probeTokenize, tokenizeLimit, tokenizeText } from "./tokenize.ts";

export * from "./facts.ts";

/** Options of {@linkcode probeServer}. */
export interface ProbeOptions {
  /** The model to use; the first one of the server if absent. */
  readonly model?: string;
  /** The route to measure on; `auto` takes `/v1/completions` where it works, else chat. */
  readonly api?: "auto" | ApiKind;
  /** Makes the text of the probes unlike any text sent before: never use one twice. */
  readonly nonce: string;
}

/** What the steps of a probe hand on. */
interface Identity {
  readonly access: ServerAccess;
  readonly nonce: string;
  readonly documents: Documents;
  readonly models: readonly ServedModel[];
  readonly detected: DetectedEngine;
  readonly model: string;
  readonly served: ServedModel | undefined;
  readonly notes: string[];
}

type Capabilities = Readonly<Record<CapabilityName, Capability>>;

/**
 * Finds out what a server can do. Sends some fifteen tiny requests, and drops no cache.
 *
 * @throws {KvmarkError} `unreachable` if the server does not answer, refuses the key, has no
 * model, or does not have the one that was asked for.
 */
export async function probeServer(
  access: ServerAccess,
  options: ProbeOptions,
): Promise<ServerFacts> {
  const identity = await identify(access, options);
  const limits = statedLimits(identity.documents, identity.served);
  const { routes, api } = await chooseApi(identity, options.api ?? "auto");
  const findings = await probeCaching({
    ...context(identity),
    api,
    limits,
    streamUsage: routes[api].streamUsage.state === "yes",
    ...(identity.documents.metrics.url === undefined
      ? {}
      : { metricsUrl: identity.documents.metrics.url }),
  });
  const capabilities = {
    completions: routes.completions.route,
    chat: routes.chat.route,
    stream: routes[api].stream,
    keepAlive: await probeKeepAlive(access, api, identity.model),
    streamUsage: routes[api].streamUsage,
    ...findings.capabilities,
    ...await probeRest(identity, api, routes),
  };
  const complete = await withTokenizeLimit(identity, limits, capabilities);
  const facts = factsOf(identity, complete, api, findings, capabilities);
  const offload = await offloadOf(access, facts.metricsUrl, facts.tiers ?? []);
  return { ...facts, ...(offload === undefined ? {} : { offload }) };
}

/** A gateway may hide what the model card says: the tokenizer knows the context length too. */
async function withTokenizeLimit(
  { access, detected: { engine }, model }: Identity,
  limits: StatedLimits,
  { tokenize }: Capabilities,
): Promise<StatedLimits> {
  if (limits.maxContextTokens !== undefined || tokenize.state !== "yes") return limits;
  const value = await tokenizeLimit(access, { engine, model });
  return value === undefined
    ? limits
    : { ...limits, maxContextTokens: { value, evidence: "/tokenize (max_model_len)" } };
}

function context({ access, detected, model, nonce }: Identity) {
  return { access, engine: detected.engine, model, nonce };
}

async function identify(access: ServerAccess, options: ProbeOptions): Promise<Identity> {
  const documents = await gatherDocuments(access);
  const { status } = documents.models;
  const models = status === 200 ? servedModels(documents.models.json) : undefined;
  const missing = status === 404 || status === 405 || status === 501;
  if (models === undefined && !missing) throw notAModelList(access, documents);
  if (models === undefined && documents.lmcacheStatus?.["chunk_size"] !== undefined) {
    throw new KvmarkError("unreachable", `${printableUrl(access.baseUrl)} is LMCache itself`, {
      hint: "give the engine as --api-endpoint, and this server's metrics as --metrics-url",
    });
  }
  const detected = detectEngine(documents, models ?? []);
  const notes: string[] = [];
  const model = chooseModel({ access, documents, models, detected, notes }, options.model);
  const served = models?.find(({ id }) => id === model);
  const nonce = options.nonce;
  return { access, nonce, documents, models: models ?? [], detected, model, served, notes };
}

function notAModelList(access: ServerAccess, documents: Documents): KvmarkError {
  if (documents.models.status !== 200) {
    return refusal(access, documents.models, "the list of models");
  }
  const where = printableUrl(documents.models.url);
  return new KvmarkError("unreachable", `${where} answers something else than a list of models`, {
    hint: "check --api-endpoint: is it an OpenAI-compatible server?",
  });
}

function chooseModel(
  { access, documents, models, detected, notes }: {
    readonly access: ServerAccess;
    readonly documents: Documents;
    readonly models: readonly ServedModel[] | undefined;
    readonly detected: DetectedEngine;
    readonly notes: string[];
  },
  asked: string | undefined,
): string {
  const where = printableUrl(access.baseUrl);
  const ids = (models ?? []).map(({ id }) => id);
  if (asked === undefined) {
    const [first, ...others] = (models ?? []).filter(({ adapter }) => !adapter);
    const only = first?.id ?? ids[0] ?? modelOfDocuments(documents);
    if (only === undefined) throw noModel(access, documents, models);
    if (others.length > 0) notes.push(`The server has ${ids.length} models; "${only}" is used.`);
    return only;
  }
  if (models === undefined || ids.includes(asked)) return asked;
  const byRoot = models.find(({ root, adapter }) => root === asked && !adapter);
  if (byRoot !== undefined) {
    notes.push(`The server serves ${asked} under the name "${byRoot.id}".`);
    return byRoot.id;
  }
  if (detected.engine === "llamacpp") {
    notes.push(`llama.cpp does not check the model name; it has "${ids.join('", "')}".`);
    return asked;
  }
  if (ids.length === 0) throw noModel(access, documents, models);
  throw new KvmarkError("unreachable", `${where} does not serve the model "${asked}"`, {
    hint: `it serves: ${ids.join(", ")}`,
  });
}

function modelOfDocuments({ info }: Documents): string | undefined {
  const id = info?.["model_id"];
  return typeof id === "string" && id !== "" ? id : undefined;
}

function noModel(
  access: ServerAccess,
  documents: Documents,
  models: readonly ServedModel[] | undefined,
): KvmarkError {
  if (models === undefined) return refusal(access, documents.models, "the list of models");
  return new KvmarkError("unreachable", `${printableUrl(access.baseUrl)} has no model`, {
    hint: "wait until a worker has loaded one, or check the log of the server",
  });
}

async function chooseApi(
  identity: Identity,
  wanted: "auto" | ApiKind,
): Promise<{ routes: Record<ApiKind, RouteProbe>; api: ApiKind }> {
  const [completions, chat] = await Promise.all([
    probeRoute(context(identity), "completions"),
    probeRoute(context(identity), "chat"),
  ]);
  const routes = { completions, chat };
  const working = (["completions", "chat"] as const).filter(
    (api) => routes[api].route.state === "yes",
  );
  const streaming = working.filter((api) => routes[api].stream.state === "yes");
  const api = wanted === "auto" ? streaming[0] ?? working[0] : wanted;
  if (api !== undefined && working.includes(api)) return { routes, api };
  const failed = pickRefusal(routes, wanted);
  const other = working[0];
  const error = refusal(identity.access, failed, "a request for three tokens");
  if (other === undefined) throw error;
  throw new KvmarkError("unreachable", error.message, { hint: `use --api ${other}, which works` });
}

/** The refusal that says most: one that is not about a missing route. */
function pickRefusal(routes: Record<ApiKind, RouteProbe>, wanted: "auto" | ApiKind) {
  const refused = (wanted === "auto" ? ["completions", "chat"] as const : [wanted])
    .flatMap((api) => routes[api].refused ?? []);
  const found = refused.find(({ status }) => status !== 404 && status !== 405) ?? refused[0];
  if (found === undefined) throw new KvmarkError("internal", "A route failed without a refusal");
  return found.reply;
}

async function probeRest(
  identity: Identity,
  api: ApiKind,
  routes: Record<ApiKind, RouteProbe>,
): Promise<
  Pick<
    Capabilities,
    | "tokenize"
    | "tokenIds"
    | "ignoreEos"
    | "minTokens"
    | "metrics"
    | "cacheCounters"
    | "reset"
    | "resetExternal"
  >
> {
  const { access, detected: { engine }, model, nonce } = identity;
  const tokenize = await probeTokenize(access, { engine, model });
  const text = probeText(nonce, "ids", 12);
  const ids = tokenize.state === "yes"
    ? await tokenizeText(access, { engine, model }, text, false)
    : undefined;
  return {
    tokenize,
    tokenIds: routes.completions.route.state === "yes"
      ? await probeTokenIds(context(identity), ids ?? [101, 105, 111, 117, 120, 126, 130, 140])
      : no("/v1/completions does not work"),
    ignoreEos: await probeField(context(identity), api, "ignore_eos"),
    minTokens: await probeField(context(identity), api, "min_tokens"),
    ...metricsCapabilities(identity),
    ...await probeReset(access, engine, nonce),
  };
}

const ENABLE_METRICS: Partial<Record<Engine, string>> = {
  sglang: "start SGLang with --enable-metrics",
  llamacpp: "start llama-server with --metrics",
  trtllm: "set return_perf_metrics: true (and enable_iter_perf_stats: true for the cache)",
  dynamo: "set DYN_SYSTEM_PORT on the workers and give their metrics as --metrics-url",
  tgi: "TGI counts no cache hits",
};

function metricsCapabilities(
  { documents: { metrics }, detected: { engine } }: Identity,
): { metrics: Capability; cacheCounters: Capability } {
  const enable = ENABLE_METRICS[engine] ?? "give the route as --metrics-url";
  if (metrics.exposition === undefined) {
    const missing = no(metrics.evidence, enable);
    return { metrics: missing, cacheCounters: missing };
  }
  const series = canonicalSeries(metrics.exposition);
  const keys = [...new Set(series.map(({ key }) => key.split(".", 1)[0]))].join(", ");
  return {
    metrics: yes(metrics.evidence),
    cacheCounters: canTellHits(series) ? yes(`counters for ${keys}`) : unknown(
      `no counters of cache hits among them${keys === "" ? "" : ` (known: ${keys})`}`,
      engine === "vllm" || engine === "unknown"
        ? "if this is a router, give a worker's metrics as --metrics-url"
        : ENABLE_METRICS[engine],
    ),
  };
}

function factsOf(
  identity: Identity,
  limits: StatedLimits,
  api: ApiKind,
  findings: CachingFindings,
  capabilities: Capabilities,
): ServerFacts {
  const { access, detected, documents, models, model, served, notes } = identity;
  const evidence: Record<string, string> = {};
  const numbers: Record<string, number> = {};
  for (
    const name of ["maxContextTokens", "blockTokens", "hbmTokens", "lmcacheChunkTokens"] as const
  ) {
    const stated = limits[name];
    if (stated === undefined) continue;
    numbers[name] = stated.value;
    evidence[name] = stated.evidence;
  }
  if (documents.metrics.jsonTrap) {
    notes.push("/metrics is JSON that reading it drains, so kvmark reads it only once.");
  }
  if (limits.lmcacheChunkTokens !== undefined || hasLmcache(documents)) {
    notes.push("LMCache counts only what the engine's own cache does not hold.");
  }
  if (losesRequests(capabilities.keepAlive)) {
    notes.push(
      "The server closes its connections after streamed answers without saying so: requests are " +
        "sent with Connection: close, so that none is lost.",
    );
  }
  return {
    baseUrl: access.baseUrl,
    engine: detected.engine,
    engineEvidence: detected.evidence,
    models: models.map(({ id }) => id),
    model,
    api,
    ...numbers,
    evidence,
    capabilities,
    cachedTokensAbsentMeansZero: findings.absentMeansZero,
    cachedTokensDisproved: findings.disproved,
    notes,
    ...(detected.version === undefined ? {} : { engineVersion: detected.version }),
    ...(served?.root === undefined ? {} : { modelRoot: served.root }),
    ...(limits.tiers.length === 0 ? {} : { tiers: limits.tiers }),
    ...(documents.metrics.url === undefined ? {} : { metricsUrl: documents.metrics.url }),
  };
}

function hasLmcache({ metrics }: Documents): boolean {
  return metrics.exposition?.samples.some(({ name }) => /^lmcache[:_]/.test(name)) ?? false;
}
