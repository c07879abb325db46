import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import type { Failure } from "../record.ts";
import { ContextLimit, isTooLong, statedLimit } from "./context_limit.ts";

/** How servers refuse a prompt of 8,000 tokens that does not fit into 4,096 (or 2,048). */
const REFUSALS: readonly (readonly [string, number | undefined])[] = [
  [
    "HTTP 400: This model's maximum context length is 4096 tokens. However, you requested 8256 " +
    "tokens (8000 in the messages, 256 in the completion).",
    4096,
  ],
  [
    "HTTP 400: You passed 8000 input tokens and requested 256 output tokens. However, the model's " +
    "context length is only 4096 tokens, resulting in a maximum input length of 3840 tokens.",
    4096,
  ],
  [
    "HTTP 400: The decoder prompt (length 8000) is longer than the maximum model length of 4096. " +
    "Make sure that `max_model_len` is no smaller than the number of text tokens.",
    4096,
  ],
  [
    "HTTP 400: The input (8000 tokens) is longer than the model's context length (4096 tokens).",
    4096,
  ],
  [
    "HTTP 400: Requested token count exceeds the model's maximum context length of 4096 tokens. " +
    "You requested a total of 8256 tokens: 8000 tokens from the input messages and 256 tokens.",
    4096,
  ],
  [
    "HTTP 400: Input length (8000 tokens) exceeds the maximum allowed length (4090 tokens). Use a " +
    "shorter input or enable --allow-auto-truncate.",
    4090,
  ],
  [
    "HTTP 400: request (8000 tokens) exceeds the available context size (2048 tokens), try " +
    "increasing it",
    2048,
  ],
  ["HTTP 400: the request exceeds the available context size, try increasing it", undefined],
  ["HTTP 400: the request exceeds the available context size, try it (n_ctx 2048)", 2048],
  [
    "HTTP 422: Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: " +
    "8000 `inputs` tokens and 256 `max_new_tokens`",
    4096,
  ],
  ["HTTP 413: prompt is too long", undefined],
];

function failure(message: string, more: Partial<Failure> = {}): Failure {
  const status = Number(/\d{3}/.exec(message)?.[0]);
  return { kind: "http_status", message, status, ...more };
}

Deno.test("isTooLong() and statedLimit() read what servers say of a prompt that does not fit", () => {
  for (const [message, limit] of REFUSALS) {
    assert.equal(statedLimit(message), limit, message);
    assert.ok(isTooLong(failure(message)), message);
  }
});

Deno.test("isTooLong() takes no other failure for it", () => {
  const [[message]] = REFUSALS as [[string, number]];
  for (
    const other of [
      failure("HTTP 500: CUDA error in context length kernel"),
      failure("HTTP 400: max_tokens must be at least 1"),
      failure("HTTP 429: too many requests"),
      failure(message, { kind: "server_error" }),
      failure(message, { kind: "timeout" }),
    ]
  ) assert.ok(!isTooLong(other), other.message);
});

function limitOf(contextTokens?: number): { limit: ContextLimit; warnings: string[] } {
  const warnings: string[] = [];
  const listener = { warning: (text: string) => warnings.push(text), note() {} };
  return { limit: new ContextLimit(contextTokens, 256, listener), warnings };
}

Deno.test("ContextLimit leaves out what the server states to be too long, and says so", () => {
  const { limit, warnings } = limitOf(4096);
  assert.deepEqual(limit.within([1000, 3840, 3841, 8000]), [1000, 3840]);
  assert.deepEqual(warnings, [
    "the server takes prompts of at most 3,840 tokens beside the output: the sizes 3,841, 8,000 " +
    "are left out",
  ]);
  assert.throws(() => limit.within([8000]), KvmarkError);
  const unknown = limitOf();
  assert.deepEqual(unknown.limit.within([1000, 800_000]), [1000, 800_000]);
  assert.deepEqual(unknown.warnings, []);
});

Deno.test("ContextLimit learns from a refusal, with and without a number in it", () => {
  const { limit, warnings } = limitOf();
  const sizes = [1000, 2000, 4000, 8000];
  assert.equal(limit.learn(1000, [undefined, failure("HTTP 500: boom")], sizes), undefined);
  assert.deepEqual(limit.learn(4000, [failure("HTTP 413: prompt is too long")], sizes), [
    1000,
    2000,
  ]);
  assert.match(warnings[0] ?? "", /refused 4,000 .* of fewer than 4,000 tokens: the sizes 4,000/);
  const stated = failure("HTTP 400: maximum context length is 1300 tokens");
  assert.deepEqual(limit.learn(2000, [stated], sizes), [1000]);
  assert.match(warnings[1] ?? "", /at most 1,044 tokens beside the output: .* 2,000, 4,000, 8,000/);
  assert.throws(
    () => limit.learn(1000, [stated], [1000]),
    (error: unknown) => error instanceof KvmarkError && error.kind === "usage",
  );
});
