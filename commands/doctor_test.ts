import assert from "node:assert/strict";
import { KvmarkError } from "../lib/errors.ts";
import { denoHost } from "../lib/host.ts";
import { startSimulator } from "../lib/sim/server.ts";
import type { SimulatorOptions } from "../lib/sim/settings.ts";
import { command } from "./doctor.ts";

const WORKERS_FROM = new URL("../main.ts", import.meta.url).href;

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly error?: KvmarkError;
}

async function doctor(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const written = { stdout: "", stderr: "" };
  const terminal = (name: "stdout" | "stderr") => ({
    isTerminal: false,
    columns: () => 80,
    write: (text: string) => void (written[name] += text),
  });
  const host = {
    ...denoHost(WORKERS_FROM),
    env: (name: string) => env[name],
    stdout: terminal("stdout"),
    stderr: terminal("stderr"),
    onInterrupt: () => () => {},
  };
  const error = await command(host).exitOverride().parseAsync(args, { from: "user" })
    .then(() => undefined, (error) => error);
  if (error === undefined) return written;
  assert.ok(error instanceof KvmarkError, `${error}`);
  return { ...written, error };
}

async function doctorOf(
  settings: SimulatorOptions,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  await using simulator = await startSimulator({
    port: 0,
    hbmTokens: 64_000,
    maxModelTokens: 16_000,
    prefillTokensPerSec: 500_000,
    itlMs: 0.1,
    ...settings,
  });
  return await doctor(["--api-endpoint", `${simulator.url}/v1`, "--no-client", ...args], env);
}

Deno.test("doctor prints what a good server can prove", async () => {
  const { stdout, error } = await doctorOf({});
  assert.equal(error, undefined);
  assert.match(stdout, /prefix caching +yes/);
  assert.match(stdout, /context limit +16,000 tokens/);
  assert.match(stdout, /block, found +16 tokens/);
  assert.match(stdout, /cached again .*cached tokens: 2,000/);
});

Deno.test("doctor ends with noCaching, after its report, where nothing is reused", async () => {
  const { stdout, error } = await doctorOf({ faults: ["cache-off"] });
  assert.equal(error?.kind, "noCaching");
  assert.match(stdout, /prefix caching +no/);
});

Deno.test("doctor says that a lying count is not true, and still sees the cache", async () => {
  const { stdout, error } = await doctorOf({ faults: ["lying-cache-counter"] });
  assert.equal(error, undefined);
  assert.match(stdout, /reported cached tokens are not true/);
  assert.match(stdout, /block, found +none/);
});

Deno.test("doctor --json prints one object, without the key", async () => {
  const key = "sk-canary-12345";
  const { stdout, stderr } = await doctorOf({ apiKey: key }, ["--json"], { OPENAI_API_KEY: key });
  const report = JSON.parse(stdout);
  assert.equal(report.caching.works, "yes");
  assert.equal(report.block.blockTokens, 16);
  assert.equal(report.facts.engine, "kvmark-sim");
  assert.equal(typeof report.roundTrip.medianMs, "number");
  assert.doesNotMatch(stdout + stderr, /sk-canary/);
});

Deno.test("doctor ends with unreachable for a missing key, and where nothing listens", async () => {
  const { error } = await doctorOf({ apiKey: "sk-canary-12345" });
  assert.equal(error?.kind, "unreachable");
  assert.match(error?.hint ?? "", /--api-key-env/);
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const refused = await doctor(["--api-endpoint", `127.0.0.1:${port}`]);
  assert.equal(refused.error?.kind, "unreachable");
  assert.equal(refused.stdout, "");
});
