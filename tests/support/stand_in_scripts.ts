/** Scripts of stand-ins for the engines that several tests use, and a probe of a stand-in. */

import type { ServerAccess } from "../../lib/server/http.ts";
import { type ProbeOptions, probeServer, type ServerFacts } from "../../lib/server/probe.ts";
import { type StandIn, type StandInScript, type StandInState, startStandIn } from "./stand_ins.ts";

let nonces = 0;

/** Access to a server, without a key. */
export function accessTo(url: string, more: Partial<ServerAccess> = {}): ServerAccess {
  return { baseUrl: url, headers: {}, fetch, timeoutMs: 5000, ...more };
}

/** Starts a stand-in, probes it, and stops it. */
export async function probe(
  script: StandInScript,
  options: Partial<ProbeOptions> & { access?: Partial<ServerAccess> } = {},
): Promise<{ facts: ServerFacts; standIn: StandIn }> {
  await using standIn = startStandIn(script);
  const { access, ...rest } = options;
  const facts = await probeServer(accessTo(standIn.url, access), {
    nonce: `probe-test-${nonces++}`,
    ...rest,
  });
  return { facts, standIn };
}

/** A body of `/v1/models` with one model. */
export function modelList(id: string, ownedBy: string, more: Record<string, unknown> = {}) {
  return { object: "list", data: [{ id, object: "model", owned_by: ownedBy, ...more }] };
}

/** Token ids for `/tokenize`. */
export function ids(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 1000 + i);
}

/** Words in a field of a body. */
export function countWords(body: unknown, field: string): number {
  return String((body as Record<string, unknown>)[field]).split(" ").length;
}

/** `/metrics` of vLLM with prefix caching. */
export function vllmMetrics({ queries, hits, promptTokens }: StandInState): string {
  const labels = `engine="0",model_name="m"`;
  return `# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",num_gpu_blocks="1000"} 1.0
vllm:num_requests_running{${labels}} 0.0
vllm:prompt_tokens_total{${labels}} ${promptTokens}.0
vllm:prefix_cache_queries_total{${labels}} ${queries}.0
vllm:prefix_cache_hits_total{${labels}} ${hits}.0
`;
}

/** vLLM in development mode, with `--enable-prompt-tokens-details`. */
export const VLLM: StandInScript = {
  models: modelList("m", "vllm", { max_model_len: 8192, root: "org/model", parent: null }),
  checksModel: true,
  documents: { "/version": { version: "0.21.0" } },
  metrics: { "/metrics": vllmMetrics },
  posts: {
    "/tokenize": (_, body) => Response.json({ tokens: ids(countWords(body, "prompt")) }),
    "/reset_prefix_cache": () => Response.json({ success: true }),
  },
  fields: {
    ignore_eos: "boolean",
    min_tokens: "number",
    cache_salt: "string",
    stream_options: "object",
  },
  blockTokens: 16,
  cachedTokens: "absent-when-zero",
  usage: "asked",
};

/** trtllm-serve without `return_perf_metrics`. */
export const TRTLLM: StandInScript = {
  models: modelList("m", "tensorrt_llm"),
  documents: { "/version": { version: "1.2.0" }, "/metrics": [] },
  fields: { ignore_eos: "boolean", min_tokens: "number", stream_options: "object" },
  blockTokens: 32,
  cachedTokens: "always",
  usage: "asked",
};

/** llama-server, without `--metrics`. */
export const LLAMACPP: StandInScript = {
  models: modelList("file.gguf", "llamacpp", { meta: { n_ctx_train: 32768 } }),
  documents: {
    "/props": { default_generation_settings: { n_ctx: 4096 }, build_info: "b6000-abc" },
    "/metrics": 501,
    "/slots": [{ id: 0 }, { id: 1 }],
  },
  posts: {
    "/tokenize": (_, body) => Response.json({ tokens: ids(countWords(body, "content")) }),
  },
  blockTokens: 1,
  cachePrompt: true,
  cachedTokens: "always",
  usage: "always",
  timings: true,
};
