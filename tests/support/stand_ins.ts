/**
 * A scripted stand-in for an inference server: the routes, names and habits of an engine, with a
 * real prefix cache behind them, so that what it says about hits is true. One word is one token.
 */

/** What a stand-in has counted. */
export interface StandInState {
  queries: number;
  hits: number;
  promptTokens: number;
  generatedTokens: number;
  /** Blocks that are cached: each is the whole beginning up to its end. */
  readonly cached: Set<string>;
  /** `METHOD path` of each request, in order. */
  readonly asked: string[];
}

/** The tokens of one request. */
export interface Counts {
  readonly promptTokens: number;
  readonly made: number;
  readonly cached: number;
}

/** How a stand-in answers. */
export interface StandInScript {
  /** Body of `/v1/models`; without it the route answers 404. */
  readonly models?: unknown;
  /** Further GET routes: a JSON body, or a text, or a status. */
  readonly documents?: Readonly<Record<string, unknown>>;
  /** Prometheus text by path. */
  readonly metrics?: Readonly<Record<string, (state: StandInState) => string>>;
  /** Further POST routes. */
  readonly posts?: Readonly<Record<string, (state: StandInState, body: unknown) => Response>>;
  readonly apis?: readonly ("completions" | "chat")[];
  /** Fields that are checked, and how; a wrong type is a 400. */
  readonly fields?: Readonly<Record<string, "boolean" | "number" | "string" | "object">>;
  /** Fields that are not known are a 422. */
  readonly strict?: boolean;
  readonly tokenIds?: boolean;
  /** 0: nothing is cached. */
  readonly blockTokens: number;
  /** `cache_prompt: false` is obeyed (llama.cpp). */
  readonly cachePrompt?: boolean;
  /** How the cached tokens are told. */
  readonly cachedTokens: "always" | "absent-when-zero" | "never";
  readonly usage?: "asked" | "always" | "never";
  readonly timings?: boolean;
  /** The body of the 400 for a prompt that is too long; `undefined` for one that is not. */
  readonly refuseLong?: (promptTokens: number, outputTokens: number) => unknown;
  /** Tokens of the chat template. */
  readonly chatTokens?: readonly [before: number, after: number];
  readonly apiKey?: string;
  /** False: nothing stays in the cache. */
  readonly keeps?: boolean;
  /** What usage says of a request, where that is not the truth. */
  readonly tells?: (truth: Counts) => Counts;
  /** Before the first token of a request. */
  readonly waitMs?: (truth: Counts) => number;
  /** Tokens that are made where so many are asked for. */
  readonly makes?: ((asked: number) => number) | undefined;
  /** Further headers of an answer. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A model that is not listed is a 404. */
  readonly checksModel?: boolean;
}

/** A stand-in that answers. */
export interface StandIn extends AsyncDisposable {
  readonly url: string;
  readonly state: StandInState;
}

/** Starts a stand-in on a free port of the loopback. */
export function startStandIn(script: StandInScript): StandIn {
  const state: StandInState = {
    queries: 0,
    hits: 0,
    promptTokens: 0,
    generatedTokens: 0,
    cached: new Set(),
    asked: [],
  };
  const stopping = new AbortController();
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    (request) => answer(script, state, request, stopping.signal),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    state,
    [Symbol.asyncDispose]() {
      stopping.abort();
      return server.shutdown();
    },
  };
}

type Body = Record<string, unknown>;

async function answer(
  script: StandInScript,
  state: StandInState,
  request: Request,
  stopping: AbortSignal,
): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  state.asked.push(`${request.method} ${pathname}${search}`);
  const text = await request.text();
  const key = request.headers.get("authorization");
  if (script.apiKey !== undefined && key !== `Bearer ${script.apiKey}`) {
    const message = `Incorrect API key provided: ${key ?? "none"}`;
    return Response.json({ error: { message } }, { status: 401 });
  }
  if (pathname === "/v1/models" && script.models !== undefined) {
    return Response.json(script.models);
  }
  const api = pathname === "/v1/completions"
    ? "completions"
    : pathname === "/v1/chat/completions"
    ? "chat"
    : undefined;
  if (api !== undefined && (script.apis ?? ["completions", "chat"]).includes(api)) {
    return request.method === "POST"
      ? await generate(script, state, api, JSON.parse(text), stopping)
      : new Response(null, { status: 405 });
  }
  return otherRoute(script, state, request.method, pathname, text);
}

function otherRoute(
  script: StandInScript,
  state: StandInState,
  method: string,
  path: string,
  text: string,
): Response {
  const metrics = script.metrics?.[path];
  if (metrics !== undefined) return new Response(metrics(state));
  const post = script.posts?.[path];
  if (post !== undefined) {
    return method === "POST"
      ? post(state, text === "" ? undefined : JSON.parse(text))
      : new Response(null, { status: 405, headers: { allow: "POST" } });
  }
  const document = script.documents?.[path];
  if (typeof document === "number") return new Response("", { status: document });
  if (typeof document === "string") return new Response(document);
  if (document !== undefined) return Response.json(document);
  return Response.json({ detail: "Not Found" }, { status: 404 });
}

async function generate(
  script: StandInScript,
  state: StandInState,
  api: "completions" | "chat",
  body: Body,
  stopping: AbortSignal,
): Promise<Response> {
  const problem = problemOf(script, api, body);
  if (problem !== undefined) {
    const status = problem.startsWith("Extra") ? 422 : problem.startsWith("The model") ? 404 : 400;
    return Response.json({ error: { message: problem } }, { status });
  }
  const tokens = tokensOf(script, api, body);
  const asked = Number(body["max_tokens"] ?? 16);
  const made = script.makes?.(asked) ?? asked;
  const refusal = script.refuseLong?.(tokens.length, asked);
  if (refusal !== undefined) return Response.json(refusal, { status: 400 });
  const found = lookUp(script, state, tokens, String(body["cache_salt"] ?? ""));
  const cached = script.cachePrompt === true && body["cache_prompt"] === false ? 0 : found;
  state.queries += tokens.length;
  state.promptTokens += tokens.length;
  state.hits += cached;
  state.generatedTokens += made;
  const truth = { promptTokens: tokens.length, made, cached };
  const waitMs = script.waitMs?.(truth) ?? 0;
  if (waitMs > 0) await pause(waitMs, stopping);
  const usage = usageOf(script, body, script.tells?.(truth) ?? truth);
  const response = body["stream"] === true ? streamed(api, made, usage) : whole(api, made, usage);
  for (const [name, value] of Object.entries(script.headers ?? {})) {
    response.headers.set(name, value);
  }
  return response;
}

/** Ends early when the server is stopped. */
function pause(ms: number, stopping: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      stopping.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    stopping.addEventListener("abort", end);
  });
}

const KNOWN_FIELDS = ["model", "max_tokens", "temperature", "stream", "prompt", "messages"];

function problemOf(
  script: StandInScript,
  api: "completions" | "chat",
  body: Body,
): string | undefined {
  const listed = (script.models as { data?: { id: string }[] } | undefined)?.data ?? [];
  if (script.checksModel && !listed.some(({ id }) => id === body["model"])) {
    return `The model \`${body["model"]}\` does not exist.`;
  }
  for (const [name, value] of Object.entries(body)) {
    const type = script.fields?.[name];
    if (type !== undefined && typeof value !== type) return `${name} must be a ${type}`;
    if (type === undefined && script.strict && !KNOWN_FIELDS.includes(name)) {
      return `Extra inputs are not permitted: ${name}`;
    }
  }
  const isIds = api === "completions" && Array.isArray(body["prompt"]);
  return isIds && script.tokenIds === false ? "prompt must be a string" : undefined;
}

function tokensOf(script: StandInScript, api: "completions" | "chat", body: Body): string[] {
  if (api === "completions") {
    const prompt = body["prompt"];
    return Array.isArray(prompt) ? prompt.map(String) : String(prompt).split(" ");
  }
  const [before, after] = script.chatTokens ?? [4, 3];
  const messages = body["messages"] as { content: string }[];
  const content = messages.flatMap((message) => message.content.split(" "));
  return [
    ...Array.from({ length: before }, (_, i) => `<before ${i}>`),
    ...content,
    ...Array.from({ length: after }, (_, i) => `<after ${i}>`),
  ];
}

/** Whole blocks, all of a beginning, and never the last token. */
function lookUp(
  { blockTokens, keeps }: StandInScript,
  state: StandInState,
  tokens: readonly string[],
  salt: string,
): number {
  if (blockTokens === 0 || keeps === false) return 0;
  let cached = 0;
  let matches = true;
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    const key = `${salt}|${tokens.slice(0, end).join(" ")}`;
    matches &&= state.cached.has(key) && end < tokens.length;
    if (matches) cached = end;
    state.cached.add(key);
  }
  return cached;
}

function usageOf(
  script: StandInScript,
  body: Body,
  { promptTokens, made, cached }: Counts,
): Body {
  const asked = script.usage !== "asked" || body["stream"] !== true ||
    (body["stream_options"] as Body | undefined)?.["include_usage"] === true;
  if (script.usage === "never" || !asked) return {};
  const told = script.cachedTokens === "always" ||
    (script.cachedTokens === "absent-when-zero" && cached > 0);
  return {
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: made,
      total_tokens: promptTokens + made,
      prompt_tokens_details: told ? { cached_tokens: cached } : null,
    },
    ...(script.timings ? { timings: { cache_n: cached, prompt_n: promptTokens - cached } } : {}),
  };
}

function whole(api: "completions" | "chat", made: number, usage: Body): Response {
  const text = "word ".repeat(made);
  const choice = api === "chat" ? { message: { role: "assistant", content: text } } : { text };
  return Response.json({ choices: [{ index: 0, ...choice, finish_reason: "length" }], ...usage });
}

function streamed(api: "completions" | "chat", made: number, usage: Body): Response {
  const events: unknown[] = [];
  if (api === "chat") events.push({ choices: [{ delta: { role: "assistant", content: null } }] });
  for (let i = 0; i < made; i++) {
    const choice = api === "chat" ? { delta: { content: "word " } } : { text: "word " };
    events.push({ choices: [{ index: 0, ...choice, finish_reason: null }] });
  }
  const last = api === "chat" ? { delta: {} } : { text: "" };
  events.push({ choices: [{ index: 0, ...last, finish_reason: "length" }] });
  if (Object.keys(usage).length > 0) events.push({ choices: [], ...usage });
  const text = events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
  return new Response(`${text}data: [DONE]\n\n`, {
    headers: { "content-type": "text/event-stream; charset=utf-8" },
  });
}
