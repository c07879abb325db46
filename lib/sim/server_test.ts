import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { parseExposition } from "../server/exposition.ts";
import { type Simulator, startSimulator } from "./server.ts";
import type { SimulatorOptions } from "./settings.ts";
import { decode, encode } from "./tokenizer.ts";
import { parseTruth, type TruthEntry } from "./truth_log.ts";
import { SELF_SIGNED } from "../../tests/support/certificates.ts";

const FAST: SimulatorOptions = { port: 0, model: "m", speedup: 20 };
const FIVE_WORDS = "the house and the hill";
const PROMPT = new Array(40).fill(FIVE_WORDS).join(" ");

async function post(
  simulator: Simulator,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string; headers: Headers }> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(simulator.url + path, { method: "POST", body: text, headers });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

async function get(simulator: Simulator, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(simulator.url + path);
  return { status: response.status, text: await response.text() };
}

function events(text: string): Record<string, unknown>[] {
  const data = text.split("\n\n").filter((event) => event !== "");
  assert.equal(data.at(-1), "data: [DONE]");
  return data.slice(0, -1).map((event) => JSON.parse(event.slice("data: ".length)));
}

/** Runs `use` on a server with a truth log and returns what the log says afterwards. */
async function withTruth(
  options: SimulatorOptions,
  use: (simulator: Simulator) => Promise<void>,
): Promise<TruthEntry[]> {
  const truthLog = await Deno.makeTempFile();
  try {
    {
      await using simulator = await startSimulator({ ...FAST, ...options, truthLog });
      await use(simulator);
    }
    return parseTruth(await Deno.readTextFile(truthLog));
  } finally {
    await Deno.remove(truthLog);
  }
}

Deno.test("/v1/completions streams one event a token, then usage, then [DONE]", async () => {
  const [truth] = await withTruth({}, async (simulator) => {
    const answer = await post(simulator, "/v1/completions", {
      model: "m",
      prompt: FIVE_WORDS,
      max_tokens: 7,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    }, { "x-request-id": "mine" });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("content-type"), "text/event-stream; charset=utf-8");
    assert.equal(answer.headers.get("x-request-id"), "mine");
    const list = events(answer.text) as unknown as {
      id: string;
      object: string;
      choices: { text: string; finish_reason: string | null }[];
      usage?: unknown;
    }[];
    assert.equal(list.length, 8);
    const usage = list.pop();
    assert.deepEqual(usage?.choices, []);
    assert.deepEqual(usage?.usage, {
      prompt_tokens: 6,
      total_tokens: 13,
      completion_tokens: 7,
      prompt_tokens_details: {
        cached_tokens: 0,
        cached_tokens_by_tier: { hbm: 0, dram: 0, ssd: 0 },
      },
    });
    const reasons = list.map(({ choices }) => choices[0]?.finish_reason);
    assert.deepEqual(reasons, [null, null, null, null, null, null, "length"]);
    const text = list.map(({ choices }) => choices[0]?.text).join("");
    assert.equal(encode(text).length, 7);
    assert.ok(
      list.every(({ id, object, usage }) =>
        id === "cmpl-mine" && object === "text_completion" && usage === undefined
      ),
    );
  });
  assert.equal(truth?.requestId, "mine");
  assert.equal(truth?.finish, "length");
  assert.equal(truth?.promptTokens, 6);
  assert.deepEqual(truth?.chunks.map(([, tokens]) => tokens), [1, 1, 1, 1, 1, 1, 1]);
  const times = [truth?.receivedEpochMs, ...(truth?.chunks ?? []).map(([at]) => at)] as number[];
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  assert.ok((truth?.firstTokenDueEpochMs ?? Infinity) <= (times[1] ?? 0));
});

Deno.test("/v1/chat/completions begins with a delta that has a role and no text", async () => {
  await using simulator = await startSimulator(FAST);
  const body = {
    model: "m",
    messages: [{ role: "user", content: FIVE_WORDS }],
    max_completion_tokens: 3,
    ignore_eos: true,
  };
  const answer = await post(simulator, "/v1/chat/completions", { ...body, stream: true });
  const list = events(answer.text) as unknown as {
    object: string;
    choices: { delta: Record<string, string>; finish_reason: string | null }[];
  }[];
  assert.deepEqual(list[0]?.choices[0]?.delta, { role: "assistant", content: "" });
  assert.equal(list.length, 4);
  assert.ok(list.every(({ object }) => object === "chat.completion.chunk"));
  const text = list.map(({ choices }) => choices[0]?.delta.content).join("");
  const whole = JSON.parse((await post(simulator, "/v1/chat/completions", body)).text);
  // Greedy: the same prompt has the same output, streamed or not.
  assert.deepEqual(whole.choices[0].message, { role: "assistant", content: text });
  assert.equal(whole.object, "chat.completion");
  assert.equal(whole.usage.prompt_tokens, 4 + 5 + 3);
  assert.equal(whole.usage.completion_tokens, 3);
});

Deno.test("output ends by itself with `stop` unless the request forbids it", async () => {
  await using simulator = await startSimulator({ ...FAST, eosAfterTokens: 3 });
  const stopped = JSON.parse(
    (await post(simulator, "/v1/completions", { prompt: "the", max_tokens: 9 })).text,
  );
  assert.equal(stopped.choices[0].finish_reason, "stop");
  // The end token counts and has no text.
  assert.equal(stopped.usage.completion_tokens, 3);
  assert.equal(encode(stopped.choices[0].text).length, 2);
  const body = { prompt: "the", max_tokens: 9, ignore_eos: true };
  const forced = JSON.parse((await post(simulator, "/v1/completions", body)).text);
  assert.equal(forced.choices[0].finish_reason, "length");
  assert.equal(forced.usage.completion_tokens, 9);
});

Deno.test("usage, metrics and truth log agree on every token of a cached prompt", async () => {
  const truth = await withTruth({ truthBlocks: true }, async (simulator) => {
    const body = { prompt: PROMPT, max_tokens: 2, ignore_eos: true };
    const cached: number[] = [];
    for (const salt of [undefined, undefined, "mine", "mine"]) {
      const answer = await post(simulator, "/v1/completions", {
        ...body,
        ...(salt === undefined ? {} : { cache_salt: salt }),
      });
      const { usage } = JSON.parse(answer.text);
      assert.equal(usage.prompt_tokens, 201);
      cached.push(usage.prompt_tokens_details.cached_tokens);
    }
    assert.deepEqual(cached, [0, 192, 0, 192]);
    const { samples } = parseExposition((await get(simulator, "/metrics")).text);
    const value = (name: string, source?: string) =>
      samples.find((sample) =>
        sample.name === name && (source === undefined || sample.labels.source === source)
      )?.value;
    assert.equal(value("vllm:prefix_cache_queries_total"), 4 * 201);
    assert.equal(value("vllm:prefix_cache_hits_total"), 2 * 192);
    assert.equal(value("vllm:prompt_tokens_by_source_total", "local_cache_hit"), 2 * 192);
    assert.equal(value("vllm:prompt_tokens_by_source_total", "local_compute"), 2 * 201 + 2 * 9);
    assert.equal(value("vllm:generation_tokens_total"), 8);
    assert.equal(value("vllm:time_to_first_token_seconds_count"), 4);
  });
  assert.deepEqual(truth.map(({ cached }) => cached?.hbm), [0, 192, 0, 192]);
  assert.equal(new Set(truth.map(({ promptHash }) => promptHash)).size, 1);
  assert.equal(truth[0]?.blockHashes?.length, 12);
  assert.deepEqual(truth[0]?.blockHashes, truth[3]?.blockHashes);
  assert.equal(truth[2]?.cacheSalt, "mine");
});

Deno.test("the tiers of a hit are told, and /reset_prefix_cache empties them", async () => {
  await using simulator = await startSimulator({
    ...FAST,
    hbmTokens: 224,
    dramTokens: 512,
    ssdTokens: 0,
  });
  const cachedOf = async (first: number) => {
    const prompt = Array.from({ length: 160 }, (_, i) => 300 + first + i);
    const answer = await post(simulator, "/v1/completions", { prompt, max_tokens: 1 });
    return JSON.parse(answer.text).usage.prompt_tokens_details.cached_tokens_by_tier;
  };
  const nothing = { hbm: 0, dram: 0, ssd: 0 };
  assert.deepEqual(await cachedOf(0), nothing);
  assert.deepEqual(await cachedOf(1000), nothing);
  // 14 blocks of HBM: the 10 of the second prompt and the first 4 of the first one.
  assert.deepEqual(await cachedOf(0), { hbm: 64, dram: 80, ssd: 0 });
  const reset = async (query: string) =>
    JSON.parse((await post(simulator, `/reset_prefix_cache${query}`, "")).text);
  assert.deepEqual(await reset(""), { success: true });
  const kept = await cachedOf(1000);
  assert.equal(kept.hbm, 0);
  assert.deepEqual(await reset("?reset_external=true"), { success: true });
  assert.deepEqual(await cachedOf(1000), nothing);
  assert.deepEqual(await cachedOf(0), nothing);
});

Deno.test("/reset_prefix_cache says no while a request runs, unless it may be preempted", async () => {
  await using simulator = await startSimulator({ ...FAST, speedup: 1, itlMs: 5 });
  const body = { prompt: PROMPT, max_tokens: 400, ignore_eos: true, stream: true };
  const response = await fetch(`${simulator.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  const reader = response.body?.getReader();
  await reader?.read();
  assert.equal((await post(simulator, "/reset_prefix_cache", "")).text, `{"success":false}`);
  const preempt = "/reset_prefix_cache?reset_running_requests=true";
  assert.equal((await post(simulator, preempt, "")).text, `{"success":true}`);
  await reader?.cancel();
});

Deno.test("/tokenize and /detokenize are each other's inverse and count as inference does", async () => {
  await using simulator = await startSimulator(FAST);
  const bare = { prompt: "Zürich, the house", add_special_tokens: false };
  const { tokens, count, max_model_len, token_strs } = JSON.parse(
    (await post(simulator, "/tokenize", { ...bare, return_token_strs: true })).text,
  );
  assert.deepEqual(tokens, [...encode(bare.prompt)]);
  assert.equal(count, tokens.length);
  assert.equal(max_model_len, 32768);
  assert.equal(token_strs.at(-1), " house");
  const back = JSON.parse((await post(simulator, "/detokenize", { tokens })).text);
  assert.equal(back.prompt, bare.prompt);
  assert.equal(back.prompt, decode(tokens));
  for (
    const [path, body] of [
      ["/v1/completions", { prompt: FIVE_WORDS }],
      ["/v1/chat/completions", { messages: [{ role: "user", content: FIVE_WORDS }] }],
    ] as const
  ) {
    const { count } = JSON.parse((await post(simulator, "/tokenize", body)).text);
    const { usage } = JSON.parse((await post(simulator, path, { ...body, max_tokens: 1 })).text);
    assert.equal(usage.prompt_tokens, count, path);
  }
  assert.equal((await post(simulator, "/tokenize", {})).status, 400);
  assert.equal((await post(simulator, "/detokenize", { tokens: [-1] })).status, 400);
});

Deno.test("the plain routes answer, others are 404, wrong methods 405", async () => {
  await using simulator = await startSimulator(FAST);
  const models = JSON.parse((await get(simulator, "/v1/models")).text);
  assert.equal(models.data[0].id, "m");
  assert.equal(models.data[0].max_model_len, 32768);
  assert.equal((await get(simulator, "/health")).status, 200);
  assert.match((await get(simulator, "/version")).text, /kvmark-sim/);
  assert.equal((await get(simulator, "/nope")).status, 404);
  assert.equal((await get(simulator, "/toString")).status, 404);
  assert.equal((await get(simulator, "/v1/completions")).status, 405);
  assert.equal((await post(simulator, "/metrics", "")).status, 405);
});

Deno.test("requests that cannot be are refused in OpenAI's form and logged", async () => {
  const truth = await withTruth(
    { maxBodyBytes: 20_000, maxModelTokens: 300 },
    async (simulator) => {
      const refused = async (body: unknown) => {
        const { status, text } = await post(simulator, "/v1/completions", body);
        return [status, JSON.parse(text).error.message] as const;
      };
      const [status, message] = await refused({ prompt: PROMPT, max_tokens: 100 });
      assert.equal(status, 400);
      assert.match(message, /maximum context length is 300 tokens/);
      assert.equal((await refused("{"))[0], 400);
      assert.equal((await refused({ model: "x", prompt: "the" }))[0], 404);
      assert.equal((await refused({ prompt: "the ".repeat(6000) }))[0], 413);
    },
  );
  assert.deepEqual(truth.map(({ status, finish }) => [status, finish]), [
    [400, "refused"],
    [400, "refused"],
    [404, "refused"],
    [413, "refused"],
  ]);
});

Deno.test("an API key guards /v1 and is never printed", async () => {
  await using simulator = await startSimulator({ ...FAST, apiKey: "canary" });
  const body = { prompt: "the", max_tokens: 1 };
  assert.equal((await post(simulator, "/v1/completions", body)).status, 401);
  assert.equal((await get(simulator, "/v1/models")).status, 401);
  const headers = { authorization: "Bearer canary" };
  assert.equal((await post(simulator, "/v1/completions", body, headers)).status, 200);
  const wrong = await post(simulator, "/v1/completions", body, { authorization: "Bearer no" });
  assert.equal(wrong.status, 401);
  assert.ok(!wrong.text.includes("canary"));
  assert.equal((await get(simulator, "/health")).status, 200);
});

Deno.test("a client that leaves frees its place, and the log says so", async () => {
  const truth = await withTruth({ maxBatch: 1, speedup: 1, itlMs: 5 }, async (simulator) => {
    const abort = new AbortController();
    const body = { prompt: "the", max_tokens: 5000, ignore_eos: true, stream: true };
    const response = await fetch(`${simulator.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: abort.signal,
    });
    await response.body?.getReader().read();
    abort.abort();
    const next = await post(simulator, "/v1/completions", { prompt: "the", max_tokens: 1 });
    assert.equal(next.status, 200);
  });
  assert.deepEqual(truth.map(({ finish }) => finish), ["disconnect", "length"]);
  assert.ok((truth[0]?.outputTokens ?? 0) >= 1);
  assert.ok((truth[0]?.outputTokens ?? Infinity) < 5000);
});

Deno.test("close() cuts off what runs, and logs it as closed", async () => {
  const truth = await withTruth({ speedup: 1 }, async (simulator) => {
    const body = { prompt: "the", max_tokens: 5000, ignore_eos: true, stream: true };
    const response = await fetch(`${simulator.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const reader = response.body?.getReader();
    await reader?.read();
    await simulator.close();
    await assert.rejects(async () => {
      for (;;) if ((await reader?.read())?.done !== false) return;
    });
  });
  assert.deepEqual(truth.map(({ finish }) => finish), ["closed"]);
});

Deno.test("connections beyond the limit are closed at once", async () => {
  await using simulator = await startSimulator({ ...FAST, maxConnections: 1 });
  const { port } = new URL(simulator.url);
  const first = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await first.write(new TextEncoder().encode("GET /health HTTP/1.1\r\nhost: x\r\n\r\n"));
  assert.ok((await first.read(new Uint8Array(1000)) ?? 0) > 0);
  const second = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  assert.equal(await second.read(new Uint8Array(10)).catch(() => null), null);
  first.close();
  second.close();
});

Deno.test("startSimulator() says which port or log cannot be opened", async () => {
  await using simulator = await startSimulator(FAST);
  const port = simulator.settings.port;
  await assert.rejects(
    startSimulator({ ...FAST, port }),
    (error) => error instanceof KvmarkError && error.kind === "io" && /listen/.test(error.message),
  );
  await assert.rejects(
    startSimulator({ ...FAST, truthLog: "/nowhere/at/all" }),
    (error) => error instanceof KvmarkError && error.kind === "io",
  );
});

Deno.test("with a certificate the server speaks TLS, faults that cut connections included", async () => {
  const { cert: tlsCert, key: tlsKey } = SELF_SIGNED;
  await using simulator = await startSimulator({
    ...FAST,
    host: "localhost",
    tlsCert,
    tlsKey,
    faults: ["reset-mid-stream:0.5"],
  });
  assert.match(simulator.url, /^https:\/\/localhost:/);
  using client = Deno.createHttpClient({ caCerts: [tlsCert] });
  const body = JSON.stringify({ prompt: "the", max_tokens: 4, ignore_eos: true, stream: true });
  const outcomes: string[] = [];
  for (let n = 0; n < 2; n++) {
    const init = { method: "POST", body, client };
    const text = await fetch(`${simulator.url}/v1/completions`, init)
      .then((response) => response.text()).catch(() => "cut");
    outcomes.push(text.endsWith("data: [DONE]\n\n") ? "whole" : text);
  }
  assert.deepEqual(outcomes.sort(), ["cut", "whole"]);
  await assert.rejects(fetch(`${simulator.url}/health`), TypeError);
});
