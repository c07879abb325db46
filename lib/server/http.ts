/**
 * Small requests to a server: a bounded text or JSON body, a timeout, and errors that a user can
 * act on. Measurements do not go through here (`client/` does these).
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { redactorOf } from "../redaction.ts";

/** A connection without HTTP on it: what `fetch` hides can be seen there. */
export interface RawConnection {
  write(text: string): void;
  /** What comes next; `undefined` once the server has closed its side. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

/** How to reach one server. `fetch` is injected: it carries the TLS options, or is a test's. */
export interface ServerAccess {
  /** Without `/v1` and without a slash at the end. */
  readonly baseUrl: string;
  /** Sent with every request; may hold keys, so never printed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
  /** Opens a connection of its own to the server, where the caller can. */
  readonly openConnection?: () => Promise<RawConnection>;
  /** For a small request; default 10 s. Requests that make tokens take six times as long at most. */
  readonly timeoutMs?: number;
  /** Where metrics are scraped if not at the server itself (workers behind a router). */
  readonly metricsUrl?: string;
  /** Ends every request of this access. */
  readonly signal?: AbortSignal;
  /** Waits for a server that goes away; without it a request that finds nobody is an error. */
  readonly patience?: Patience;
}

/** What becomes of a request that finds nobody: see `presence.ts`. */
export interface Patience {
  /** Told of each answer. */
  answered(): void;
  /** Waits, if the error means that the server went away; true if the request is to be sent again. */
  comesBack(error: unknown): Promise<boolean>;
}

/** A small request. */
export interface ServerRequest {
  /** Path from the base URL, or an absolute URL. */
  readonly path: string;
  /** GET without a body, POST with one, unless given. */
  readonly method?: "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS";
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs?: number;
  /** Longest body that is read; default 16 MiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

/** An answer, whatever its status: only a missing answer is an error. */
export interface ServerReply {
  readonly url: string;
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; absent if it is not JSON. */
  readonly json?: unknown;
  /** True if the body was longer than `maxBytes`; `text` is then its beginning. */
  readonly truncated: boolean;
  /** From the request to the end of the body. */
  readonly elapsedMs: number;
}

/** Default of {@linkcode ServerAccess.timeoutMs}. */
export const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_BYTES = 16 * 2 ** 20;

/**
 * Sends a small request and reads the whole answer. Redirects are answers, not followed.
 *
 * @throws {KvmarkError} `unreachable` if no complete answer came: refused, DNS, TLS, timeout.
 */
export async function send(access: ServerAccess, request: ServerRequest): Promise<ServerReply> {
  // An address of its own may be another server.
  const patience = request.path.startsWith("/") ? access.patience : undefined;
  for (;;) {
    try {
      const reply = await sendOnce(access, request);
      patience?.answered();
      return reply;
    } catch (error) {
      if (await patience?.comesBack(error) !== true) throw error;
    }
  }
}

/** True for the error of a request that nobody listened to, or whose server went away over it. */
export function isAbsence(error: unknown): boolean {
  return error instanceof KvmarkError && error.kind === "unreachable" &&
    /: (?:connection refused|the connection was closed before the answer)$/.test(error.message);
}

async function sendOnce(access: ServerAccess, request: ServerRequest): Promise<ServerReply> {
  const url = absoluteUrl(access.baseUrl, request.path);
  const timeoutMs = request.timeoutMs ?? access.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const signals = [AbortSignal.timeout(timeoutMs), access.signal, request.signal];
  const startedAtMs = performance.now();
  try {
    const hasBody = request.body !== undefined;
    const response = await access.fetch(url, {
      method: request.method ?? (hasBody ? "POST" : "GET"),
      headers: hasBody ? { ...access.headers, "content-type": "application/json" } : access.headers,
      ...(hasBody ? { body: JSON.stringify(request.body) } : {}),
      redirect: "manual",
      signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
    });
    const { text, truncated } = await readBounded(response, request.maxBytes ?? DEFAULT_MAX_BYTES);
    const json = truncated ? undefined : parseJson(text);
    return {
      url,
      status: response.status,
      headers: response.headers,
      text,
      truncated,
      elapsedMs: performance.now() - startedAtMs,
      ...(json === undefined ? {} : { json }),
    };
  } catch (error) {
    throw connectionError(access, url, error, timeoutMs);
  }
}

/** As {@linkcode send}, but `undefined` where no answer came. For routes that may be missing. */
export async function trySend(
  access: ServerAccess,
  request: ServerRequest,
): Promise<ServerReply | undefined> {
  try {
    return await send(access, request);
  } catch (error) {
    if (error instanceof KvmarkError && error.kind === "unreachable") return undefined;
    throw error;
  }
}

/**
 * The error for an answer that was refused.
 *
 * @param what What was asked for, as the object of a sentence: `the list of models`.
 */
export function refusal(access: ServerAccess, reply: ServerReply, what: string): KvmarkError {
  const where = printableUrl(reply.url);
  const said = excerpt(access, reply);
  const message = `${where} refuses ${what} with status ${reply.status}${said}`;
  return new KvmarkError("unreachable", message, { hint: refusalHint(access, reply) });
}

/** `url` without the user name and password that may stand in it. */
export function printableUrl(url: string): string {
  try {
    const parsed = new URL(url);
    parsed.username = "";
    parsed.password = "";
    return parsed.search === "" && parsed.pathname === "/" ? parsed.origin : parsed.href;
  } catch {
    return "the endpoint";
  }
}

/** What the body of `reply` says, in one short line that holds no key: `: "…"`, or nothing. */
export function excerpt(access: ServerAccess, reply: ServerReply): string {
  const body = asObject(reply.json);
  const error = asObject(body?.["error"]);
  const candidates = [error?.["message"], body?.["error"], body?.["message"], body?.["detail"]];
  const found = candidates.find((value) => typeof value === "string" && value !== "");
  const text = typeof found === "string" ? found : reply.text;
  const line = redactorOf(access.headers)(text).replaceAll(/\s+/g, " ").trim();
  if (line === "" || (found === undefined && line.startsWith("<"))) return "";
  return `: "${line.length > 160 ? `${line.slice(0, 159)}…` : line}"`;
}

/** `value` as an object with unknown fields; `undefined` for anything else, arrays included. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Readonly<Record<string, unknown>>
    : undefined;
}

/** `value` as a finite number ≥ 0 (also from a decimal string); `undefined` for anything else. */
export function asCount(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) && number >= 0 ? number : undefined;
}

function absoluteUrl(baseUrl: string, path: string): string {
  return /^https?:\/\//i.test(path) ? path : `${baseUrl}${path}`;
}

async function readBounded(
  response: Response,
  maxBytes: number,
): Promise<{ text: string; truncated: boolean }> {
  if (response.body === null) return { text: "", truncated: false };
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = "";
  for (let received = 0;;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), truncated: false };
    const room = maxBytes - received;
    text += decoder.decode(value.subarray(0, room), { stream: true });
    received += value.byteLength;
    if (received > maxBytes) {
      await reader.cancel();
      return { text, truncated: true };
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Everything that an error and its causes say, in one line. */
function errorText(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < 8; at = at.cause) {
    parts.push(at.message);
  }
  return parts.length === 0 ? String(error) : parts.join(": ");
}

interface ConnectionFault {
  readonly pattern: RegExp;
  readonly what: string;
  readonly hint: string;
}

const CONNECTION_FAULTS: readonly ConnectionFault[] = [
  {
    // The message of the runtime repeats the value, which may be a key.
    pattern: /invalid header (name|value)/i,
    what: "a header has characters that cannot be sent",
    hint: "check the key (a line break at its end?) and every --header",
  },
  {
    pattern: /requests to port \d+ are blocked/i,
    what: "this port is on the list of ports that the Fetch standard blocks",
    hint: "let the server listen on another port",
  },
  {
    pattern: /connection refused|ECONNREFUSED/i,
    what: "connection refused",
    hint: "nothing listens there: start the server, or check host and port of --api-endpoint",
  },
  {
    pattern: /dns|lookup address|name or service not known|ENOTFOUND|nodename|resolve/i,
    what: "the host name cannot be resolved",
    hint: "check the host name of --api-endpoint",
  },
  {
    pattern: /InvalidContentType|wrong version number|corrupt message/i,
    what: "the port does not speak TLS",
    hint: "write http:// instead of https://",
  },
  {
    pattern: /certificate|UnknownIssuer|self.signed|tls|ssl|handshake/i,
    what: "the TLS certificate is not accepted",
    hint: "give the certificate authority with --ca FILE, or --insecure to skip the check",
  },
  {
    pattern: /unreachable|no route|ENETUNREACH|EHOSTUNREACH/i,
    what: "the host cannot be reached",
    hint: "check the network, a VPN and the host of --api-endpoint",
  },
  {
    pattern: /invalid HTTP version|parse|invalid.*header|not.*http/i,
    what: "the answer is not HTTP",
    hint: "check the port of --api-endpoint, and whether it needs https://",
  },
  {
    pattern: /reset|closed before|broken pipe|unexpected eof|connection closed|incomplete/i,
    what: "the connection was closed before the answer",
    hint: "check that the port speaks HTTP (not https), and the log of the server",
  },
];

/** The error for a request that got no complete answer: what happened, and what to do. */
export function connectionError(
  access: ServerAccess,
  url: string,
  error: unknown,
  timeoutMs: number,
): KvmarkError {
  const where = printableUrl(url);
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError")) {
    const timedOut = error.name === "TimeoutError";
    if (!timedOut && access.signal?.aborted) {
      return new KvmarkError("interrupted", `Interrupted while ${where} was asked`, {
        hint: "run the same command again",
      });
    }
    return new KvmarkError(
      "unreachable",
      timedOut ? `${where} does not answer within ${timeoutMs / 1000} s` : `${where}: interrupted`,
      { hint: "check host and port of --api-endpoint, and whether the server is still loading" },
    );
  }
  if (error instanceof Error && /NotCapable|PermissionDenied/.test(error.name)) {
    return new KvmarkError("unreachable", `Cannot reach ${where}: no permission for the network`, {
      hint: "run with --allow-net",
    });
  }
  // The URL stands in most of these messages, and a host may be called "tls" or "dns".
  const text = errorText(error).replaceAll(/https?:\/\/[^\s)]*/g, "");
  const fault = CONNECTION_FAULTS.find(({ pattern }) => pattern.test(text));
  const what = fault?.what ??
    redactorOf(access.headers)(text).replaceAll(/\s+/g, " ").slice(0, 160);
  return new KvmarkError("unreachable", `Cannot reach ${where}: ${what}`, {
    hint: fault?.hint ?? "check --api-endpoint and the log of the server",
  });
}

function refusalHint(access: ServerAccess, reply: ServerReply): string {
  const { status } = reply;
  if (status === 401 || status === 403) {
    const names = Object.keys(access.headers).map((name) => name.toLowerCase());
    return names.includes("authorization")
      ? "the key is not accepted: check the variable that --api-key-env names (or OPENAI_API_KEY)"
      : "the server wants a key: give it with --api-key-env NAME, or set OPENAI_API_KEY";
  }
  if (status >= 300 && status < 400) {
    const location = reply.headers.get("location");
    return location === null || !URL.canParse(location, reply.url)
      ? "the server redirects: give its final address as --api-endpoint"
      : `the server redirects to ${
        redactorOf(access.headers)(printableUrl(new URL(location, reply.url).href))
      }: give that address as --api-endpoint`;
  }
  if (status === 404) {
    return "check the path of --api-endpoint: it ends before /v1, and the server must speak the OpenAI API";
  }
  if (status === 429) return "the server is busy or limits requests: try again later";
  return status >= 500
    ? "check the log of the server; it may still be loading its model"
    : "check --api-endpoint, --model and --header";
}
