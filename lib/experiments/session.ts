/**
 * What every experiment needs before its first request: a server that answers, words that are one
 * token each, and workers that are ready to send.
 *
 * @module
 */

import type { Target } from "../client/openai.ts";
import { openRawConnection } from "../client/socket.ts";
import { peerCertificatePem } from "../client/tls.ts";
import { KvmarkError } from "../errors.ts";
import type { Host } from "../host.ts";
import { type LoadPool, openPool } from "../load/pool.ts";
import { resolveVocabulary, type Vocabulary } from "../prompt/words.ts";
import type { ApiKind, PromptFormat } from "../record.ts";
import { findBlockTokens } from "../server/block_size.ts";
import { ENGINE_TITLES, type ServerFacts } from "../server/facts.ts";
import type { ServerAccess } from "../server/http.ts";
import { countPromptTokens, type MeasuredOverhead, measureOverhead } from "../server/overhead.ts";
import { losesRequests } from "../server/keep_alive.ts";
import { probeServer } from "../server/probe.ts";
import { Presence } from "../server/presence.ts";
import { serverEncoder } from "../server/tokenize.ts";
import type { RunListener } from "./listener.ts";

/** The servers to measure, and how to speak to them. */
export interface TargetConfig {
  /** Base URLs without `/v1`; several serve the same model. */
  readonly endpoints: readonly string[];
  readonly endpointSelection: "round-robin" | "pinned";
  readonly api: "auto" | ApiKind;
  readonly promptFormat: PromptFormat;
  readonly model?: string;
  readonly tokenizer?: string;
  /** Sent with every request; holds the key, so never printed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly insecure: boolean;
  readonly caPem?: string;
  /** Where metrics are, if not at the endpoint. */
  readonly metricsUrl?: string;
  /** How long a server that went away is waited for. @default {DEFAULT_SERVER_WAIT_MS} */
  readonly serverWaitMs?: number;
  /** Metrics of further workers behind the endpoint; watched, not probed. */
  readonly moreMetricsUrls?: readonly string[];
}

/** `--server-wait`: a large model takes minutes to load. */
export const DEFAULT_SERVER_WAIT_MS = 300_000;

/** A server that was probed, ready to be measured. */
export interface Session {
  readonly config: TargetConfig;
  /** One for each endpoint, in the order of the configuration. */
  readonly facts: readonly ServerFacts[];
  readonly access: readonly ServerAccess[];
  /** Whether each of them is there. */
  readonly presences: readonly Presence[];
  readonly targets: readonly Target[];
  readonly api: ApiKind;
  readonly model: string;
  readonly overhead: MeasuredOverhead;
  readonly vocabulary: Vocabulary;
  /** False if each request opens a connection, as one that waits is closed without a word. */
  readonly keepsConnections: boolean;
  readonly pool: LoadPool;
  close(): Promise<void>;
}

/**
 * Probes the servers, finds the words, starts the workers.
 *
 * @param signal Ends what is asked of the servers, now and later, besides the measurement.
 * @throws {KvmarkError} `unreachable` or `usage`, within seconds; `interrupted`.
 */
export async function openSession(
  host: Host,
  config: TargetConfig,
  workers: number,
  listener: RunListener,
  signal: AbortSignal,
): Promise<Session> {
  const presences: Presence[] = [];
  const access = await Promise.all(config.endpoints.map(async (url) => {
    const one = { ...await accessTo(host, config, url), signal };
    const presence = new Presence({
      access: one,
      clock: host.clock,
      waitMs: config.serverWaitMs ?? DEFAULT_SERVER_WAIT_MS,
      say: (text) => listener.warning(text),
    });
    presences.push(presence);
    return { ...one, patience: presence };
  }));
  const { first, facts, overhead, vocabulary } = await unbroken(
    presences,
    listener,
    () => askServers(host, config, access, listener),
  );
  const keepsConnections = !facts.some((one) => losesRequests(one.capabilities.keepAlive));
  const pool = await openPool({
    workers,
    headers: keepsConnections ? config.headers : { ...config.headers, connection: "close" },
    ...(config.caPem === undefined ? {} : { caPem: config.caPem }),
    insecure: config.insecure,
    workerModule: host.workerModule,
    clock: host.clock,
    cpuMs: () => host.cpuMs(),
  });
  return {
    config,
    facts,
    access,
    presences,
    targets: facts.map((one) => targetOf(one)),
    api: first.api,
    model: first.model,
    overhead,
    vocabulary,
    keepsConnections,
    pool,
    close: () => pool.close(),
  };
}

const RAW_CONNECT_TIMEOUT_MS = 5000;

/** What the servers have to tell before anything is measured. */
async function askServers(
  host: Host,
  config: TargetConfig,
  access: readonly ServerAccess[],
  listener: RunListener,
) {
  const facts: ServerFacts[] = [];
  for (const one of access) facts.push(await probe(one, config));
  const [first] = facts;
  const [firstAccess] = access;
  if (first === undefined || firstAccess === undefined) {
    throw new KvmarkError("usage", "No server is given", { hint: "give --api-endpoint URL" });
  }
  const other = facts.find((one) => one.model !== first.model);
  if (other !== undefined) {
    throw new KvmarkError("usage", `${other.baseUrl} serves ${other.model}, not ${first.model}`, {
      hint: "all endpoints of one run must serve the same model; choose one with --model",
    });
  }
  describeServer(facts, first, listener);
  const overhead = await measureOverhead(firstAccess, first, first.api);
  const complete = await withBlockTokens(firstAccess, facts, overhead, listener);
  const vocabulary = await wordsFor(host, config, firstAccess, first, overhead);
  describePrompts(vocabulary, overhead, listener);
  requireTokenIds(config, first, vocabulary);
  return { first, facts: complete, overhead, vocabulary };
}

/** A server that is started again while it is probed is not probed any longer. */
const MOST_PROBES = 3;

/** Asks again where a server went away meanwhile: a cold cache looks like none. */
async function unbroken<Answers>(
  presences: readonly Presence[],
  listener: RunListener,
  ask: () => Promise<Answers>,
): Promise<Answers> {
  const absences = () => presences.reduce((sum, presence) => sum + presence.absences, 0);
  for (let attempt = 1;; attempt++) {
    const before = absences();
    let broken: unknown;
    const answers = await ask().catch((error) => {
      broken = error;
      return undefined;
    });
    if (absences() === before || attempt === MOST_PROBES) {
      if (answers === undefined) throw broken;
      return answers;
    }
    listener.note("the server was started again while it was probed: it is probed again");
  }
}

function describeServer(
  facts: readonly ServerFacts[],
  first: ServerFacts,
  listener: RunListener,
): void {
  const version = first.engineVersion === undefined ? "" : ` ${first.engineVersion}`;
  const title = `${ENGINE_TITLES[first.engine]}${version}`;
  listener.note(`server: ${title}, model ${first.model}, by ${first.api}`);
  for (const note of new Set(facts.flatMap((one) => one.notes))) listener.note(note);
}

function describePrompts(
  vocabulary: Vocabulary,
  overhead: MeasuredOverhead,
  listener: RunListener,
): void {
  for (const note of vocabulary.notes) {
    if (note.includes("warning")) listener.warning(note);
    else listener.note(note);
  }
  if (overhead.certainty === "assumed") {
    listener.warning("prompts: tokens that the server adds (BOS, chat template) are not known");
    return;
  }
  const { beforeTokens, afterTokens } = overhead;
  listener.note(`prompts: the server adds ${beforeTokens} + ${afterTokens} tokens around the text`);
}

/** How to reach one of the servers outside of the measurement, with its TLS settings. */
export async function accessTo(
  host: Host,
  config: TargetConfig,
  url: string,
): Promise<ServerAccess> {
  const pinned = config.insecure && url.startsWith("https:")
    ? await peerCertificatePem(url)
    : undefined;
  const pem = [config.caPem, pinned].filter((one) => one !== undefined).join("\n");
  return {
    baseUrl: url,
    headers: config.headers,
    fetch: host.fetchWith(pem === "" ? undefined : pem),
    openConnection: () =>
      openRawConnection(url, pem === "" ? undefined : pem, RAW_CONNECT_TIMEOUT_MS),
    ...(config.metricsUrl === undefined ? {} : { metricsUrl: config.metricsUrl }),
  };
}

function probe(access: ServerAccess, config: TargetConfig): Promise<ServerFacts> {
  return probeServer(access, {
    ...(config.model === undefined ? {} : { model: config.model }),
    api: config.promptFormat === "token-ids" && config.api === "auto" ? "completions" : config.api,
    nonce: crypto.randomUUID(),
  });
}

function wordsFor(
  host: Host,
  config: TargetConfig,
  access: ServerAccess,
  facts: ServerFacts,
  overhead: MeasuredOverhead,
): Promise<Vocabulary> {
  const encoder = serverEncoder(access, facts);
  const around = overhead.beforeTokens + overhead.afterTokens;
  return resolveVocabulary({
    ...(config.tokenizer === undefined ? {} : { tokenizer: config.tokenizer }),
    model: facts.modelRoot ?? facts.model,
    files: host.files,
    env: (name) => host.env(name),
    ...(encoder === undefined ? {} : { serverEncoder: encoder }),
    countPromptTokens: async (text) => {
      const count = await countPromptTokens(access, facts, facts.api, text);
      return count === undefined ? undefined : count - around;
    },
  });
}

/**
 * The facts with the block size found by experiment, where a server that reports its hits does not
 * state it. All servers of a run serve one model; the first one stands for them.
 */
async function withBlockTokens(
  access: ServerAccess,
  facts: readonly ServerFacts[],
  overhead: MeasuredOverhead,
  listener: RunListener,
): Promise<readonly ServerFacts[]> {
  const [first] = facts;
  if (first === undefined || first.blockTokens !== undefined) return facts;
  const nonce = crypto.randomUUID();
  const found = await findBlockTokens(access, first, { api: first.api, overhead, nonce });
  const { blockTokens, evidence } = found;
  if (blockTokens === undefined) {
    listener.note(`block size: not known (${evidence})`);
    return facts;
  }
  listener.note(`block size: ${blockTokens} tokens (${evidence})`);
  return facts.map((one) => one.blockTokens === undefined ? { ...one, blockTokens } : one);
}

function targetOf(facts: ServerFacts): Target {
  const can = (name: keyof ServerFacts["capabilities"]) => facts.capabilities[name].state === "yes";
  // The probe sent these fields: where they may be ignored they do no harm.
  const takes = (name: "ignoreEos" | "minTokens") => facts.capabilities[name].state !== "no";
  return {
    baseUrl: facts.baseUrl,
    api: facts.api,
    model: facts.model,
    streamUsage: can("streamUsage"),
    ignoreEos: takes("ignoreEos"),
    minTokens: takes("minTokens"),
  };
}

function requireTokenIds(config: TargetConfig, facts: ServerFacts, vocabulary: Vocabulary): void {
  if (config.promptFormat !== "token-ids") return;
  if (facts.capabilities.tokenIds.state === "no" || vocabulary.ids === undefined) {
    const why = vocabulary.ids === undefined
      ? "the token ids of the words are not known"
      : facts.capabilities.tokenIds.evidence;
    throw new KvmarkError("usage", `Cannot send token ids: ${why}`, {
      hint: "use --prompt-format text, or name the model's tokenizer with --tokenizer",
    });
  }
}
