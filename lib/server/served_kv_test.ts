import assert from "node:assert/strict";
import type { ServerAccess } from "./http.ts";
import { servedKv } from "./served_kv.ts";

/** A server that answers these paths; every other is 404. */
function server(routes: Readonly<Record<string, string | object>>): ServerAccess {
  return {
    baseUrl: "http://server.test",
    headers: {},
    fetch: (input) => {
      const answer = routes[new URL(String(input)).pathname];
      if (answer === undefined) return Promise.resolve(new Response("", { status: 404 }));
      return Promise.resolve(
        typeof answer === "string" ? new Response(answer) : Response.json(answer),
      );
    },
  };
}

function models(...ids: readonly object[]) {
  return { object: "list", data: ids };
}

Deno.test("servedKv() reads the model, its weights and the precision of vLLM", async () => {
  const labels = [
    'block_size="16",cache_dtype="fp8_e4m3"',
    'kv_cache_memory_bytes="1073741824",kv_cache_size_tokens="1048576"',
  ];
  const metrics = `vllm:cache_config_info{${labels.join(",")}} 1.0\n`;
  const served = await servedKv(server({
    "/v1/models": models(
      { id: "adapter", parent: "chat" },
      { id: "chat", root: "/models/llama", owned_by: "vllm" },
    ),
    "/metrics": metrics,
  }));
  assert.deepEqual(served, {
    model: "chat",
    weights: ["/models/llama", "chat"],
    engine: "vllm",
    precision: "fp8",
    bytesPerToken: 1024,
  });
});

Deno.test("servedKv() reads what SGLang says of itself", async () => {
  const served = await servedKv(server({
    "/v1/models": models({ id: "served", owned_by: "sglang" }),
    "/server_info": {
      page_size: 1,
      model_path: "org/model",
      kv_cache_dtype: "auto",
      tp_size: 4,
    },
  }));
  assert.deepEqual(served, {
    model: "served",
    weights: ["org/model", "served"],
    engine: "sglang",
    tp: 4,
  });
});

Deno.test("servedKv() says that a model is not served", async () => {
  const access = server({ "/v1/models": models({ id: "a" }, { id: "b", root: "/weights" }) });
  assert.equal((await servedKv(access, "/weights")).model, "b");
  await assert.rejects(servedKv(access, "c"), /does not serve c/);
  await assert.rejects(servedKv(server({ "/v1/models": models() })), /does not serve any model/);
  await assert.rejects(servedKv(server({})), { kind: "unreachable" });
});
