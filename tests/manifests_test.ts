/** The Kubernetes manifests are what the API server takes, and say what kvmark needs. */

import assert from "node:assert/strict";
import { Ajv } from "ajv";
import { indexedJob, manifests } from "./support/manifests.ts";

const SCHEMA = new URL("fixtures/kubernetes/schema-1.33-strict.json", import.meta.url);

/** Problems of an object against Kubernetes' own schema, in which no unknown field is allowed. */
async function validator(): Promise<(object: Record<string, unknown>) => string[]> {
  const ajv = new Ajv({ allErrors: true, strict: false, validateFormats: false });
  ajv.addSchema(JSON.parse(await Deno.readTextFile(SCHEMA)), "kubernetes");
  return (object) => {
    const check = ajv.getSchema(`kubernetes#/$defs/kind.${object.kind}`);
    assert.ok(check !== undefined, `no schema for ${object.kind}`);
    check(object);
    return (check.errors ?? []).map((one) => `${one.instancePath} ${one.message}`);
  };
}

Deno.test("deploy/kubernetes passes the schema of Kubernetes 1.33, unknown fields refused", async () => {
  const problems = await validator();
  const all = await manifests();
  assert.deepEqual(all.map(({ object }) => object.kind).sort(), ["Job", "PersistentVolumeClaim"]);
  for (const { path, object } of all) assert.deepEqual(problems(object), [], path);
});

Deno.test("the schema refuses a misspelt field and a value of the wrong type", async () => {
  const problems = await validator();
  const { object } = await indexedJob();
  const spec = object.spec as Record<string, unknown>;
  assert.match(problems({ ...object, spec: { ...spec, compleitons: 4 } }).join(), /additional/);
  assert.match(problems({ ...object, spec: { ...spec, completions: "4" } }).join(), /integer/);
});

Deno.test("the Indexed Job starts as many pods as shards, all at once, each on a host of its own", async () => {
  const { object, args, env } = await indexedJob();
  const spec = object.spec as Record<string, unknown>;
  assert.equal(spec.completionMode, "Indexed");
  assert.equal(spec.completions, Number(args[args.indexOf("--shards") + 1]));
  assert.equal(spec.parallelism, spec.completions);
  assert.match(JSON.stringify(spec), /podAntiAffinity.*kubernetes\.io\/hostname/);
  const names = new Set(env.map(({ name }) => name));
  for (const arg of args) {
    const name = /^\$\((\w+)\)$/.exec(arg)?.[1];
    if (name !== undefined) assert.ok(names.has(name), `${arg} is not in env`);
  }
});
