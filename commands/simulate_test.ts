import assert from "node:assert/strict";
import { KvmarkError } from "../lib/errors.ts";
import { denoHost, type Host } from "../lib/host.ts";
import { command } from "./simulate.ts";

interface Captured {
  readonly host: Host;
  stdout: string;
  stderr: string;
  interrupt(): void;
  readonly ready: Promise<Record<string, unknown>>;
}

function capture(env: Record<string, string> = {}): Captured {
  const { promise: ready, resolve } = Promise.withResolvers<Record<string, unknown>>();
  let handler: (() => void) | undefined;
  const terminal = (name: "stdout" | "stderr") => ({
    isTerminal: false,
    columns: () => 80,
    write(text: string) {
      captured[name] += text;
      if (name === "stdout") resolve(JSON.parse(captured.stdout));
    },
  });
  const captured: Captured = {
    stdout: "",
    stderr: "",
    ready,
    interrupt: () => handler?.(),
    host: {
      ...denoHost(import.meta.url),
      env: (name) => env[name],
      stdout: terminal("stdout"),
      stderr: terminal("stderr"),
      onInterrupt(onSignal) {
        handler = () => onSignal("SIGINT");
        return () => handler = undefined;
      },
    },
  };
  return captured;
}

async function problemsOf(args: string[]): Promise<readonly string[]> {
  const { host } = capture();
  const error = await command(host).parseAsync(args, { from: "user" })
    .then(() => undefined, (error) => error);
  assert.ok(error instanceof KvmarkError, `${error}`);
  assert.equal(error.kind, "usage");
  return error.problems;
}

Deno.test("simulate prints one JSON line, serves, and ends cleanly on a signal", async () => {
  const captured = capture({ KEY: "canary" });
  const running = command(captured.host).parseAsync([
    "--port",
    "0",
    "--hbm-tokens",
    "60k",
    "--dram-tps",
    "2M",
    "--chat-template-tokens",
    "7,2",
    "--fault",
    "crlf",
    "--fault",
    "http-500:0.5",
    "--api-key-env",
    "KEY",
  ], { from: "user" });
  const ready = await captured.ready;
  assert.match(String(ready.url), /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal(ready.hbmTokens, 60_000);
  assert.equal(ready.dramReadTokensPerSec, 2_000_000);
  assert.equal(ready.chatTokensBefore, 7);
  assert.equal(ready.chatTokensAfter, 2);
  assert.deepEqual(ready.faults, ["crlf", "http-500:0.5"]);
  assert.equal(ready.needsApiKey, true);
  assert.equal((await fetch(`${ready.url}/v1/models`)).status, 401);
  const headers = { authorization: "Bearer canary" };
  assert.equal((await fetch(`${ready.url}/v1/models`, { headers })).status, 200);
  captured.interrupt();
  await running;
  assert.equal(captured.stdout.split("\n").length, 2);
  assert.match(captured.stderr, /Simulating sim\/demo.*faults: crlf, http-500:0\.5/);
  assert.ok(!(captured.stdout + captured.stderr).includes("canary"));
  await assert.rejects(fetch(`${ready.url}/health`), TypeError);
});

Deno.test("simulate lists the problems of all options at once", async () => {
  const problems = await problemsOf([
    "--port",
    "x",
    "--itl-ms",
    "-1",
    "--hbm-tokens",
    "lots",
    "--fault",
    "nope",
    "--chat-template-tokens",
    "4",
    "--api-key-env",
    "NOT_SET",
    "--tls-cert",
    "/nowhere.pem",
  ]);
  for (
    const part of [
      "--port",
      "--itl-ms",
      "--hbm-tokens",
      "nope",
      "--chat-template-tokens",
      "NOT_SET",
      "/nowhere.pem",
    ]
  ) {
    const found = problems.filter((problem) => problem.includes(part));
    assert.equal(found.length, 1, `${part} in\n${problems.join("\n")}`);
  }
});

Deno.test("simulate --help lists every fault and has examples", () => {
  let text = "";
  const { host } = capture();
  const help = command(host).configureOutput({ writeOut: (part) => text += part }).exitOverride();
  assert.throws(() => help.parse(["--help"], { from: "user" }));
  for (const part of ["reset-mid-stream", "huge-line", "Examples:", "--speedup", "demo"]) {
    assert.ok(text.includes(part), part);
  }
});
