/**
 * Records how a real server answers: a fixed list of small requests, each answer with its status,
 * its telling headers and every read as it came from the network, into
 * `tests/fixtures/captures/<engine>-<version>/`. The form is that of `tests/support/capture.ts`.
 *
 * ```sh
 * deno run --allow-net --allow-write scripts/record_capture.ts \
 *   --api-endpoint http://127.0.0.1:8011 --engine vllm --eos-token 151645
 * ```
 *
 * Record on a server that was just started: `metrics.txt` then counts these requests only.
 *
 * @module
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Capture, type CapturedRead, formatCapture } from "../tests/support/capture.ts";

/** Headers that a client may act on; the rest (dates, tracing) would only make the files differ. */
const KEPT_HEADERS = ["content-type", "content-length", "transfer-encoding", "retry-after"];

interface Step {
  /** The file's name without `.txt`. */
  readonly name: string;
  /** What the answer shows, in a line. */
  readonly shows: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  /** An object is sent as JSON, a string as it is. */
  readonly body?: Record<string, unknown> | string;
  /** Which lines of a text answer are kept; all of them if undefined. */
  readonly keepLine?: (line: string) => boolean;
}

interface Settings {
  readonly baseUrl: string;
  readonly engine: string;
  readonly version: string;
  readonly model: string;
  readonly contextTokens: number;
  readonly eosToken?: number;
}

/** A prompt of several hundred tokens that no server has seen before, the same for one recording. */
function longText(nonce: string): string {
  const words = ["river", "stone", "light", "garden", "winter", "table", "morning", "paper"];
  return nonce +
    Array.from({ length: 400 }, (_, i) => ` ${words[(i * i) % words.length]}`).join("");
}

function serverSteps({ model }: Settings): Step[] {
  const get = (name: string, path: string, shows: string): Step => ({
    name,
    shows,
    method: "GET",
    path,
  });
  const content = "Hello world again";
  return [
    get("models", "/v1/models", "the served model and its context limit"),
    get("version", "/version", "the engine's version"),
    get("not-found", "/no-such-route", "how an unknown route is refused"),
    {
      name: "tokenize-text",
      shows: "token ids of a text",
      method: "POST",
      path: "/tokenize",
      body: { model, prompt: content },
    },
    {
      name: "tokenize-chat",
      shows: "token ids of a chat: what the template adds",
      method: "POST",
      path: "/tokenize",
      body: { model, messages: [{ role: "user", content }] },
    },
    {
      name: "reset",
      shows: "the reset of the prefix cache on an idle server",
      method: "POST",
      path: "/reset_prefix_cache",
    },
  ];
}

function completionSteps({ model, eosToken }: Settings, prompt: string): Step[] {
  const step = (name: string, shows: string, body: Record<string, unknown>): Step => ({
    name: `completions-${name}`,
    shows,
    method: "POST",
    path: "/v1/completions",
    body: { model, prompt, max_tokens: 4, temperature: 0, ignore_eos: true, ...body },
  });
  const withUsage = { stream: true, stream_options: { include_usage: true } };
  return [
    step("stream-cold", "a stream with usage; nothing cached", withUsage),
    step("stream-cached", "the same request again: cached tokens, by whole blocks", withUsage),
    step("stream-no-usage", "a stream without stream_options: no usage", { stream: true }),
    step("stream-continuous-usage", "usage in every chunk", {
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    }),
    step("stream-token-ids", "a prompt of token ids", { ...withUsage, prompt: [9707, 1879, 1549] }),
    step("json", "not streamed; cached", {}),
    ...(eosToken === undefined ? [] : [
      step("stream-eos-ignored", "the end token is forced and ignored: chunks of empty text", {
        ...withUsage,
        logit_bias: { [eosToken]: 100 },
      }),
      step("stream-eos-stops", "the end token is forced: one chunk of empty text, then the end", {
        ...withUsage,
        logit_bias: { [eosToken]: 100 },
        ignore_eos: false,
      }),
    ]),
  ];
}

function chatSteps({ model }: Settings, content: string): Step[] {
  const step = (name: string, shows: string, body: Record<string, unknown>): Step => ({
    name: `chat-${name}`,
    shows,
    method: "POST",
    path: "/v1/chat/completions",
    body: {
      model,
      messages: [{ role: "user", content }],
      max_tokens: 4,
      temperature: 0,
      ignore_eos: true,
      ...body,
    },
  });
  const withUsage = { stream: true, stream_options: { include_usage: true } };
  return [
    step("stream-cold", "a stream with usage: a role-only chunk, then text", withUsage),
    step("stream-cached", "the same request again: cached tokens", withUsage),
    step("stream-no-usage", "a stream without stream_options: no usage", { stream: true }),
    step("json", "not streamed; cached", {}),
  ];
}

function errorSteps({ model, contextTokens }: Settings): Step[] {
  const step = (name: string, shows: string, body: Step["body"]): Step => ({
    name: `error-${name}`,
    shows,
    method: "POST",
    path: "/v1/completions",
    ...(body === undefined ? {} : { body }),
  });
  return [
    step("unknown-model", "a model that is not served", {
      model: "no-such-model",
      prompt: "a",
      max_tokens: 1,
    }),
    step("prompt-too-long", "a prompt over the context limit, streamed", {
      model,
      prompt: "a ".repeat(contextTokens + 8),
      max_tokens: 4,
      stream: true,
    }),
    step("output-too-long", "more output than the context has room for", {
      model,
      prompt: "a",
      max_tokens: contextTokens + 1,
    }),
    step("min-over-max", "min_tokens above max_tokens", {
      model,
      prompt: "a",
      max_tokens: 2,
      min_tokens: 4,
    }),
    step("not-json", "a body that is not JSON", "{not json"),
  ];
}

function metricsStep(): Step {
  const bucket = /_bucket\{/;
  const kept = /^(# (HELP|TYPE) )?(vllm|sglang|trtllm|llamacpp|dynamo_\w+|tgi_\w+|lmcache)[:_]/;
  return {
    name: "metrics",
    shows: "the engine's own counters; of the histograms only TTFT's buckets, no _created lines",
    method: "GET",
    path: "/metrics",
    keepLine: (line) =>
      kept.test(line) && !/_created\b/.test(line) &&
      (!bucket.test(line) || line.includes("time_to_first_token")),
  };
}

async function record(step: Step, settings: Settings): Promise<Capture> {
  const body = typeof step.body === "object" ? JSON.stringify(step.body) : step.body;
  const sentAt = performance.now();
  const elapsed = () => Math.round((performance.now() - sentAt) * 10) / 10;
  const response = await fetch(settings.baseUrl + step.path, {
    method: step.method,
    ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
  });
  let reads: CapturedRead[] = [];
  for await (const bytes of response.body ?? []) reads.push({ atMs: elapsed(), bytes });
  const endAtMs = elapsed();
  if (step.keepLine) reads = [await keptLines(reads, step.keepLine)];
  return {
    comments: [
      `${settings.engine} ${settings.version}: ${step.shows}.`,
      `Recorded by: deno run --allow-net --allow-write scripts/record_capture.ts ${
        process.argv.slice(2).join(" ")
      }`,
    ],
    method: step.method,
    path: step.path,
    ...(body === undefined ? {} : { requestBody: shortened(body) }),
    status: response.status,
    headers: Object.fromEntries(KEPT_HEADERS.flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [[name, value]];
    })),
    reads,
    endAtMs,
  };
}

async function keptLines(
  reads: readonly CapturedRead[],
  keep: (line: string) => boolean,
): Promise<CapturedRead> {
  const text = await new Blob(reads.map((read) => read.bytes)).text();
  const lines = text.split("\n").filter(keep).map((line) => line + "\n");
  return { atMs: reads.at(-1)?.atMs ?? 0, bytes: new TextEncoder().encode(lines.join("")) };
}

/** A body of many thousand words is of no use in a golden: its ends, and how much lay between. */
function shortened(body: string): string {
  if (body.length <= 4000) return body;
  return `${body.slice(0, 200)} [${body.length - 400} bytes left out] ${body.slice(-200)}`;
}

async function readSettings(): Promise<Settings & { readonly out: string }> {
  const { values } = parseArgs({
    options: {
      "api-endpoint": { type: "string" },
      engine: { type: "string" },
      "engine-version": { type: "string" },
      "eos-token": { type: "string" },
      out: { type: "string", default: "tests/fixtures/captures" },
    },
  });
  const baseUrl = values["api-endpoint"];
  const engine = values.engine;
  if (baseUrl === undefined || engine === undefined) {
    throw new Error("--api-endpoint URL and --engine NAME are needed");
  }
  const version = values["engine-version"] ??
    String((await (await fetch(`${baseUrl}/version`)).json()).version);
  const models = await (await fetch(`${baseUrl}/v1/models`)).json();
  return {
    baseUrl,
    engine,
    version,
    model: models.data[0].id,
    contextTokens: models.data[0].max_model_len ?? 32768,
    ...(values["eos-token"] === undefined ? {} : { eosToken: Number(values["eos-token"]) }),
    out: join(values.out, `${engine}-${version}`),
  };
}

async function main(): Promise<void> {
  const settings = await readSettings();
  const nonce = crypto.randomUUID().slice(0, 8);
  const steps = [
    ...serverSteps(settings),
    ...completionSteps(settings, longText(`completion ${nonce}`)),
    ...chatSteps(settings, longText(`chat ${nonce}`)),
    ...errorSteps(settings),
    metricsStep(),
  ];
  await mkdir(settings.out, { recursive: true });
  for (const step of steps) {
    const capture = await record(step, settings);
    await writeFile(join(settings.out, `${step.name}.txt`), formatCapture(capture));
    console.error(`${step.name}: ${capture.status}, ${capture.reads.length} reads`);
  }
}

await main();
