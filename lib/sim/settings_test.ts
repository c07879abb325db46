import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { latencyModel, PROFILES, publicSettings, resolveSettings } from "./settings.ts";

Deno.test("resolveSettings() accepts every profile as it is", async () => {
  assert.ok(Object.keys(PROFILES).length >= 4);
  for (const profile of Object.keys(PROFILES)) {
    const settings = await resolveSettings({ profile });
    assert.equal(settings.profile, profile);
    assert.ok(settings.prefillTokensPerSec > 0, profile);
    assert.equal(settings.host, "127.0.0.1");
  }
});

Deno.test("resolveSettings() lets options win over the profile, and undefined over nothing", async () => {
  const settings = await resolveSettings({
    profile: "demo",
    itlMs: 7,
    model: undefined,
  } as unknown as { profile: string });
  assert.equal(settings.itlMs, 7);
  assert.equal(settings.model, "sim/demo");
});

Deno.test("resolveSettings() limits the context to the pool unless a limit was given", async () => {
  assert.equal((await resolveSettings({ hbmTokens: 1000 })).maxModelTokens, 992);
  assert.equal((await resolveSettings({ hbmTokens: 0 })).maxModelTokens, 32768);
  await assert.rejects(
    resolveSettings({ hbmTokens: 1000, maxModelTokens: 1000 }),
    /usage|settings/,
  );
});

Deno.test("resolveSettings() lists every problem at once", async () => {
  const error = await resolveSettings({
    itlMs: -1,
    blockTokens: 1.5,
    port: NaN,
    faults: ["nope", "stall:7"],
    tlsCert: "x",
    model: "",
  }).then(() => undefined, (error) => error);
  assert.ok(error instanceof KvmarkError);
  assert.equal(error.kind, "usage");
  assert.equal(error.problems.length, 7, error.problems.join("\n"));
  await assert.rejects(resolveSettings({ profile: "nope" }), KvmarkError);
  await assert.rejects(resolveSettings({ profile: "toString" }), KvmarkError);
});

Deno.test("latencyModel() is the settings, speedup times as fast", async () => {
  const model = latencyModel(await resolveSettings({ speedup: 10, itlMs: 5, dramLatencyMs: 2 }));
  assert.equal(model.itlMs, 0.5);
  assert.equal(model.dram.latencyMs, 0.2);
  assert.equal(model.prefillTokensPerSec, 600_000);
});

Deno.test("publicSettings() has no secret", async () => {
  const text = JSON.stringify(publicSettings(
    await resolveSettings({ apiKey: "canary-1", tlsCert: "canary-2", tlsKey: "canary-3" }),
  ));
  assert.ok(!text.includes("canary"));
  assert.ok(text.includes('"needsApiKey":true'));
});
