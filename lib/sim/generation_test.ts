import assert from "node:assert/strict";
import { ApiError, outputStream, parseBody, parseGeneration } from "./generation.ts";
import { resolveSettings } from "./settings.ts";
import { encode, SPECIAL_IDS } from "./tokenizer.ts";

const SETTINGS = await resolveSettings({
  model: "m",
  hbmTokens: 0,
  maxModelTokens: 100,
  eosAfterTokens: 20,
});

function parse(api: "chat" | "completions", body: Record<string, unknown>) {
  return parseGeneration(api, { model: "m", ...body }, SETTINGS);
}

function refusal(api: "chat" | "completions", body: Record<string, unknown>): ApiError {
  try {
    parse(api, body);
  } catch (error) {
    assert.ok(error instanceof ApiError);
    return error;
  }
  throw new Error("the body was accepted");
}

Deno.test("parseGeneration() takes text, token ids and batches of one", () => {
  const words = [...encode("the house on the hill")];
  const withBegin = [SPECIAL_IDS.begin, ...words];
  const text = "the house on the hill";
  assert.deepEqual([...parse("completions", { prompt: text }).promptIds], withBegin);
  assert.deepEqual([...parse("completions", { prompt: [text] }).promptIds], withBegin);
  assert.deepEqual([...parse("completions", { prompt: words }).promptIds], words);
  assert.deepEqual([...parse("completions", { prompt: [words] }).promptIds], words);
  const chat = parse("chat", {
    messages: [{ role: "user", content: [{ type: "text", text }] }],
  });
  assert.equal(chat.promptIds.length, 4 + 5 + 3);
});

Deno.test("parseGeneration() ends by itself, at the limit, or as late as it is told to", () => {
  const length = (body: Record<string, unknown>) => {
    const { outputTokens, finishReason } = parse("completions", { prompt: "the", ...body });
    return [outputTokens, finishReason];
  };
  assert.deepEqual(length({}), [16, "length"]);
  assert.deepEqual(length({ max_tokens: 50 }), [20, "stop"]);
  assert.deepEqual(length({ max_tokens: 20 }), [20, "stop"]);
  assert.deepEqual(length({ max_tokens: 19 }), [19, "length"]);
  assert.deepEqual(length({ max_tokens: 50, ignore_eos: true }), [50, "length"]);
  assert.deepEqual(length({ max_tokens: 50, min_tokens: 50 }), [50, "length"]);
  assert.deepEqual(length({ max_tokens: 50, min_tokens: 30 }), [31, "stop"]);
  const chat = parse("chat", { messages: [{ role: "user", content: "the" }], ignore_eos: true });
  assert.equal(chat.outputTokens, 100 - 8);
});

Deno.test("parseGeneration() refuses as vLLM does", () => {
  const long = refusal("completions", { prompt: new Array(90).fill(65), max_tokens: 11 });
  assert.equal(long.status, 400);
  assert.match(long.message, /maximum context length is 100 tokens.*101 tokens \(90 in the prompt/);
  assert.equal(JSON.parse(long.body()).error.code, 400);
  assert.equal(
    parse("completions", { prompt: new Array(90).fill(65), max_tokens: 10 }).outputTokens,
    10,
  );
  assert.equal(refusal("completions", { prompt: "the", model: "x" }).status, 404);
  for (
    const body of [
      {},
      { prompt: [] },
      { prompt: ["a", "b"] },
      { prompt: [1, "a"] },
      { prompt: [1e9] },
      { prompt: "the", max_tokens: 0 },
      { prompt: "the", max_tokens: 1.5 },
      { prompt: "the", min_tokens: 20 },
      { prompt: "the", n: 2 },
      { prompt: "the", cache_salt: "" },
      { prompt: "the", stream_options: { include_usage: true } },
    ]
  ) assert.equal(refusal("completions", body).status, 400, JSON.stringify(body));
  for (const messages of [undefined, [], [{}], [{ role: "user", content: 5 }], ["x"]]) {
    assert.equal(refusal("chat", { messages }).status, 400, JSON.stringify(messages));
  }
  assert.throws(() => parseBody("{"), ApiError);
  assert.throws(() => parseBody("[]"), ApiError);
});

Deno.test("outputStream() is the same for the same prompt and ends with the end token", () => {
  const stop = parse("completions", { prompt: "the", max_tokens: 50 });
  const run = (hash: number) => {
    const next = outputStream(stop, hash);
    return Array.from({ length: stop.outputTokens }, (_, n) => next(n));
  };
  assert.deepEqual(run(1), run(1));
  assert.notDeepEqual(run(1), run(2));
  assert.equal(run(1).at(-1), SPECIAL_IDS.end);
  assert.ok(run(1).slice(0, -1).every((id) => id > SPECIAL_IDS.template));
});
