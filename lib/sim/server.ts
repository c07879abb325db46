/**
 * The simulated server over real HTTP: routes, limits, start and stop.
 *
 * @module
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { KvmarkError } from "../errors.ts";
import type { ApiKind } from "../record.ts";
import { ApiError, parseBody, readMessages } from "./generation.ts";
import { ClientGone, Inference, sendJson } from "./inference.ts";
import { resolveSettings, type SimulatorOptions, type SimulatorSettings } from "./settings.ts";
import { decode, encodeChat, encodePrompt, isTokenId, tokenText } from "./tokenizer.ts";
import { TruthLog } from "./truth_log.ts";

/** A simulator that answers. */
export interface Simulator extends AsyncDisposable {
  /** Base URL, without `/v1`. */
  readonly url: string;
  readonly settings: SimulatorSettings;
  /** Stops answering; what is in flight is cut off; the truth log is complete afterwards. */
  close(): Promise<void>;
}

const FLUSH_EVERY_MS = 250;

/**
 * Starts a simulated server on this thread's event loop.
 *
 * @param options Whatever differs from the profile; port 0 takes any free port.
 * @throws {KvmarkError} `usage` for settings that cannot be, `io` for a port or a truth log that
 * cannot be opened.
 * @example
 * ```ts ignore
 * await using simulator = await startSimulator({ port: 0, prefillTokensPerSec: 20_000 });
 * console.log(await (await fetch(`${simulator.url}/v1/models`)).json());
 * ```
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const settings = await resolveSettings(options);
  const log = await openTruthLog(settings.truthLog);
  const inference = new Inference(
    settings,
    { nowMs: () => performance.now(), originMs: performance.timeOrigin },
    (entry) => log?.append(entry),
  );
  const server = newServer(settings, inference);
  try {
    await listen(server, settings);
  } catch (error) {
    await log?.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const scheme = settings.tlsCert === undefined ? "http" : "https";
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  let closing: Promise<void> | undefined;
  const close = () => closing ??= stop(server, inference, log);
  return {
    url: `${scheme}://${host}:${port}`,
    settings: { ...settings, port },
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface OpenTruthLog {
  append: TruthLog["append"];
  close(): Promise<void>;
}

async function openTruthLog(path: string | undefined): Promise<OpenTruthLog | undefined> {
  if (path === undefined) return undefined;
  const open = () => Deno.open(path, { write: true, create: true, truncate: true });
  const file = await open().catch((error) => {
    throw new KvmarkError("io", `Cannot write the truth log ${path}: ${error.message}`, {
      cause: error,
    });
  });
  const log = new TruthLog(async (text) => {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
  });
  let failure: unknown;
  const flush = () => log.flush().catch((error) => void (failure ??= error));
  const timer = setInterval(flush, FLUSH_EVERY_MS);
  return {
    append: (entry) => log.append(entry),
    async close() {
      clearInterval(timer);
      await flush();
      file.close();
      if (failure === undefined) return;
      throw new KvmarkError("io", `The truth log ${path} is not complete: ${failure}`);
    },
  };
}

function newServer(settings: SimulatorSettings, inference: Inference): Server {
  const handler = (request: IncomingMessage, response: ServerResponse) => {
    const receivedAtMs = performance.now();
    route({ settings, inference, request, response, receivedAtMs }).catch((error) => {
      if (error instanceof ApiError) sendJson(response, error.status, error.body());
      // The client has gone while its request was read, or a fault cut the connection.
      else if (error instanceof ClientGone) response.destroy();
      else {
        sendJson(response, 500, new ApiError(500, "InternalServerError", `${error}`).body());
      }
    });
  };
  const server = settings.tlsCert === undefined || settings.tlsKey === undefined
    ? createServer(handler)
    : createTlsServer({ cert: settings.tlsCert, key: settings.tlsKey }, handler);
  // A benchmark keeps connections open between periods; the default closes them after 5 s.
  server.keepAliveTimeout = 75_000;
  server.requestTimeout = 0;
  limitConnections(server, settings.maxConnections);
  return server;
}

function limitConnections(server: Server, maxConnections: number): void {
  let open = 0;
  server.on("connection", (socket) => {
    if (++open > maxConnections) socket.destroy();
    else socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => open--);
  });
}

async function listen(server: Server, { host, port }: SimulatorSettings): Promise<void> {
  const name = host.includes(":") ? `[${host}]` : host;
  // Without this permission node's server throws where nobody can catch it.
  const { state } = await Deno.permissions.request({ name: "net", host: `${name}:${port}` });
  if (state !== "granted") {
    throw new KvmarkError("io", `Cannot listen on ${name}:${port}: the permission is missing`, {
      hint: "run again with the --allow-net flag",
    });
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new KvmarkError("io", `Cannot listen on ${host}:${port}: ${error.message}`, {
          hint: "choose another --port, or 0 for any free one",
          cause: error,
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

async function stop(
  server: Server,
  inference: Inference,
  log: OpenTruthLog | undefined,
): Promise<void> {
  inference.close();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
  await log?.close();
}

interface Exchange {
  readonly settings: SimulatorSettings;
  readonly inference: Inference;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly receivedAtMs: number;
}

type Handler = (exchange: Exchange, query: URLSearchParams) => Promise<void> | void;

const ROUTES: Readonly<Record<string, { method: "GET" | "POST"; handle: Handler }>> = {
  "/health": { method: "GET", handle: ({ response }) => void response.end() },
  "/version": {
    method: "GET",
    handle: ({ response }) => sendJson(response, 200, `{"version":"kvmark-sim"}`),
  },
  "/metrics": { method: "GET", handle: sendMetrics },
  "/v1/models": { method: "GET", handle: sendModels },
  "/v1/completions": { method: "POST", handle: (exchange) => generate(exchange, "completions") },
  "/v1/chat/completions": { method: "POST", handle: (exchange) => generate(exchange, "chat") },
  "/tokenize": { method: "POST", handle: sendTokens },
  "/detokenize": { method: "POST", handle: sendText },
  "/reset_prefix_cache": { method: "POST", handle: resetCache },
};

async function route(exchange: Exchange): Promise<void> {
  const { request, response, settings } = exchange;
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  const found = Object.hasOwn(ROUTES, pathname) ? ROUTES[pathname] : undefined;
  if (found === undefined) return sendJson(response, 404, `{"detail":"Not Found"}`);
  if (request.method !== found.method) {
    response.setHeader("allow", found.method);
    return sendJson(response, 405, `{"detail":"Method Not Allowed"}`);
  }
  const authorization = request.headers.authorization;
  // vLLM guards what is under /v1 and nothing else.
  if (
    settings.apiKey !== undefined && pathname.startsWith("/v1/") &&
    authorization !== `Bearer ${settings.apiKey}`
  ) return sendJson(response, 401, `{"error":"Unauthorized"}`);
  await found.handle(exchange, searchParams);
}

async function generate(exchange: Exchange, api: ApiKind): Promise<void> {
  const { request, response, receivedAtMs, inference, settings } = exchange;
  const header = request.headers["x-request-id"];
  const requestId = typeof header === "string" ? header : undefined;
  if (requestId !== undefined) response.setHeader("x-request-id", requestId);
  const body = readBody(request, settings.maxBodyBytes);
  await inference.serve({ api, requestId, receivedAtMs, response }, body);
}

/** The body as text. @throws {ApiError} 413 beyond the limit. @throws {ClientGone} */
function readBody(request: IncomingMessage, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let size = 0;
    request.on("data", (chunk: Uint8Array) => {
      size += chunk.length;
      if (size <= maxBytes) return chunks.push(chunk);
      chunks.length = 0;
      const message = `The body is larger than ${maxBytes} bytes`;
      reject(new ApiError(413, "RequestEntityTooLarge", message));
    });
    request.on("end", () => resolve(new TextDecoder().decode(concatenate(chunks))));
    request.on("error", () => reject(new ClientGone()));
    request.on("close", () => reject(new ClientGone()));
  });
}

function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function sendMetrics({ response, inference }: Exchange): void {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  response.end(inference.metrics());
}

function sendModels({ response, settings: { model, maxModelTokens } }: Exchange): void {
  // Made anew for each answer, as vLLM does.
  const created = Math.floor((performance.timeOrigin + performance.now()) / 1000);
  const card = { id: model, object: "model", created, owned_by: "kvmark-sim", root: model };
  const data = [{ ...card, parent: null, max_model_len: maxModelTokens }];
  sendJson(response, 200, JSON.stringify({ object: "list", data }));
}

async function sendTokens({ request, response, settings }: Exchange): Promise<void> {
  const body = parseBody(await readBody(request, settings.maxBodyBytes));
  const beginTokens = body.add_special_tokens === false ? 0 : settings.beginTokens;
  if (body.messages === undefined && typeof body.prompt !== "string") {
    throw new ApiError(400, "BadRequestError", "Give a prompt (text) or messages");
  }
  const ids = body.messages === undefined
    ? encodePrompt(body.prompt as string, { ...settings, beginTokens })
    : encodeChat(readMessages(body), {
      ...settings,
      // vLLM's default for a chat is to end with the generation prompt.
      ...(body.add_generation_prompt === false ? { chatTokensAfter: 0 } : {}),
    });
  const tokens = [...ids];
  const token_strs = body.return_token_strs === true ? tokens.map(tokenText) : null;
  const { maxModelTokens: max_model_len } = settings;
  sendJson(response, 200, JSON.stringify({ count: ids.length, max_model_len, tokens, token_strs }));
}

async function sendText({ request, response, settings }: Exchange): Promise<void> {
  const { tokens } = parseBody(await readBody(request, settings.maxBodyBytes));
  if (!Array.isArray(tokens) || !tokens.every(isTokenId)) {
    throw new ApiError(400, "BadRequestError", "tokens must be a list of token ids");
  }
  sendJson(response, 200, JSON.stringify({ prompt: decode(tokens) }));
}

function resetCache({ response, inference }: Exchange, query: URLSearchParams): void {
  const isSet = (name: string) => /^(true|1)$/i.test(query.get(name) ?? "");
  const success = inference.resetCache({
    external: isSet("reset_external"),
    preempt: isSet("reset_running_requests"),
  });
  sendJson(response, 200, JSON.stringify({ success }));
}
