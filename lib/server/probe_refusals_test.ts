import assert from "node:assert/strict";
import { accessTo, probe, TRTLLM, VLLM } from "../../tests/support/stand_in_scripts.ts";
import { KvmarkError } from "../errors.ts";
import { probeServer } from "./probe.ts";

async function failure(work: Promise<unknown>): Promise<KvmarkError> {
  const error = await work.then(() => undefined, (error) => error);
  assert.ok(error instanceof KvmarkError, `${error}`);
  assert.equal(error.kind, "unreachable");
  assert.ok(error.hint);
  return error;
}

Deno.test("probeServer() names a model that is not served, and those that are", async () => {
  const error = await failure(probe(VLLM, { model: "other" }));
  assert.match(error.message, /does not serve the model "other"/);
  assert.match(error.hint ?? "", /it serves: m$/);
});

Deno.test("probeServer() finds a model by the name of its weights", async () => {
  const { facts } = await probe(VLLM, { model: "org/model" });
  assert.equal(facts.model, "m");
  assert.match(facts.notes.join(), /under the name "m"/);
});

Deno.test("probeServer() says that there is no model, or no list of models", async () => {
  const empty = { ...TRTLLM, models: { object: "list", data: [] } };
  assert.match((await failure(probe(empty))).message, /has no model/);
  const { models: _, ...missing } = TRTLLM;
  assert.match((await failure(probe(missing))).message, /status 404/);
  const { facts } = await probe(missing, { model: "m" });
  assert.deepEqual([facts.models, facts.model], [[], "m"]);
});

Deno.test("probeServer() tells a wrong key from a missing one, and prints neither", async () => {
  const guarded = { ...VLLM, apiKey: "right" };
  const missing = await failure(probe(guarded));
  assert.match(missing.message, /status 401/);
  assert.match(missing.hint ?? "", /wants a key/);
  const headers = { authorization: "Bearer sk-wrong-123456" };
  const wrong = await failure(probe(guarded, { access: { headers } }));
  assert.match(wrong.message, /Incorrect API key provided: \*\*\*/);
  assert.doesNotMatch(wrong.message + wrong.hint, /sk-wrong/);
  assert.match(wrong.hint ?? "", /not accepted/);
});

Deno.test("probeServer() says so when nothing listens", async () => {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr;
  listener.close();
  const error = await failure(probeServer(accessTo(`http://127.0.0.1:${port}`), { nonce: "n" }));
  assert.match(error.message, /connection refused/);
});

Deno.test("probeServer() says which route works when the asked one does not", async () => {
  const error = await failure(probe({ ...VLLM, apis: ["chat"] }, { api: "completions" }));
  assert.match(error.hint ?? "", /use --api chat/);
});
