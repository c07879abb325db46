/**
 * `kvmark single-prompt` on servers that state no context length, and refuse what is too long: each
 * engine in its own words.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { LLAMACPP, modelList, VLLM } from "../support/stand_in_scripts.ts";
import { type StandInScript, startStandIn } from "../support/stand_ins.ts";
import { readOutput, rowsOf } from "../support/sweep.ts";

const CONTEXT = 3000;
const OUTPUT = 8;

/** vLLM behind a gateway that hides everything but the completions. */
const HIDDEN_VLLM: StandInScript = {
  ...VLLM,
  models: modelList("m", "vllm"),
  posts: {},
  // Prompt and output together have to fit.
  refuseLong: (prompt, output) =>
    prompt + output <= CONTEXT ? undefined : {
      error: {
        message:
          `This model's maximum context length is ${CONTEXT} tokens. However, you requested ` +
          `${prompt + output} tokens (${prompt} in the messages, ${output} in the completion). ` +
          "Please reduce the length of the messages or completion.",
        type: "BadRequestError",
        code: 400,
      },
    },
};

const SGLANG: StandInScript = {
  models: modelList("m", "sglang"),
  blockTokens: 1,
  cachedTokens: "always",
  usage: "asked",
  // The output is cut without a word.
  refuseLong: (prompt) =>
    prompt < CONTEXT ? undefined : {
      object: "error",
      message: `The input (${prompt} tokens) is longer than the model's context length ` +
        `(${CONTEXT} tokens).`,
      type: "BadRequestError",
      code: 400,
    },
};

/** Before it named the numbers in its message. */
const OLD_LLAMACPP: StandInScript = {
  ...LLAMACPP,
  models: modelList("file.gguf", "llamacpp"),
  documents: { "/props": { build_info: "b6000-abc" } },
  posts: {},
  refuseLong: (prompt) =>
    prompt < CONTEXT ? undefined : {
      error: {
        code: 400,
        message: "the request exceeds the available context size, try increasing it",
        type: "exceed_context_size_error",
        n_prompt_tokens: prompt,
        n_ctx: CONTEXT,
      },
    },
};

const UNNUMBERED: StandInScript = {
  ...SGLANG,
  refuseLong: (prompt) => prompt < CONTEXT ? undefined : { detail: "The prompt is too long." },
};

/** Sizes of the rows, what went wrong, and how the process ended. */
async function run(script: StandInScript, sizes: readonly string[]) {
  await using server = startStandIn(script);
  return await withTempDir(async (dir) => {
    const out = `${dir}/out`;
    const finished = await kvmark([
      ...["single-prompt", "--api-endpoint", server.url, "--output-dir", out, "--skip-graphs"],
      ...["--output-tokens", `${OUTPUT}`, "--num-iterations", "1", "--on-error", "stop", ...sizes],
    ]);
    const rows = rowsOf(readOutput([out]).files, "single_prompt_results_");
    return { ...finished, rows };
  });
}

const BEYOND = ["--min-tokens", "700", "--max-tokens", "11200"]; // 700, 1400, 2800, 5600, 11200

for (
  const [engine, script, most] of [
    ["vLLM", HIDDEN_VLLM, /prompts of at most 2,992 tokens beside the output/],
    ["SGLang", SGLANG, /prompts of at most 2,992 tokens beside the output/],
    ["llama.cpp", OLD_LLAMACPP, /n_ctx 3000\)\), so it takes prompts of at most 2,992 tokens/],
    ["a server without numbers", UNNUMBERED, /prompts of fewer than 5,600 tokens/],
  ] as const
) {
  Deno.test(`single-prompt cuts its sizes by the refusal of ${engine}`, async () => {
    const { code, stderr, rows } = await run(script, BEYOND);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /warning: the server refused 5,600 tokens as too long/);
    assert.match(stderr, most);
    assert.match(stderr, /: the sizes 5,600, 11,200 are left out/);
    // The sizes that fit are whole, and nothing of what was refused is a row.
    const sizes = rows.map((row) => row["context_size"]);
    assert.deepEqual([...new Set(sizes)], ["700", "1400", "2800"]);
    assert.ok(rows.every((row) => row["error_kind"] === ""), stderr);
  });
}

Deno.test("single-prompt keeps the rows of a prompt that fits only without its output", async () => {
  const { code, stderr, rows } = await run(HIDDEN_VLLM, ["--context-sizes", "1000", "2995"]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /refused 2,995 tokens as too long .* the sizes 2,995 are left out/);
  const refused = rows.filter((row) => row["context_size"] === "2995");
  assert.equal(refused.length, 1, "one refusal is enough");
  assert.match(refused[0]?.["error"] ?? "", /^HTTP 400: /);
});

Deno.test("single-prompt says so when no size fits", async () => {
  const { code, stderr } = await run(HIDDEN_VLLM, ["--context-sizes", "4000", "8000"]);
  assert.equal(code, EXIT_CODES.usage.code, stderr);
  assert.match(stderr, /No context size is left: the server refused 4,000 tokens/);
  assert.match(stderr, /of at most 2992, a smaller --min-tokens/);
});
