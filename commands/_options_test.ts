import assert from "node:assert/strict";
import { denoHost, type Host } from "../lib/host.ts";
import { runCommandLine } from "./mod.ts";

/** What a command line prints on stderr, and its exit code. Nothing of it reaches a server. */
async function refused(...args: string[]): Promise<{ code: number; stderr: string }> {
  let stderr = "";
  const host: Host = {
    ...denoHost(import.meta.url),
    args,
    stderr: { write: (text) => void (stderr += text), isTerminal: false, columns: () => 80 },
  };
  return { code: await runCommandLine(host), stderr };
}

const GOOD = ["--api-endpoint", "http://localhost:1", "--context-sizes", "512"];

Deno.test("cache-rate tells all that is missing at once", async () => {
  const { code, stderr } = await refused("cache-rate");
  assert.equal(code, 2);
  for (const name of ["api-endpoint", "context-sizes", "working-set-size"]) {
    assert.match(stderr, new RegExp(`--${name} is required`));
  }
});

Deno.test("cache-rate tells what is out of range, missing and contradictory in one message", async () => {
  const { code, stderr } = await refused(
    ...["cache-rate", "--api-endpoint", "ftp://x", "--context-sizes", "5", "1e30"],
    ...["--cache-hit-rates", "0", "101", "--ramp-duration", "2", "--test-duration", "1"],
    ...["--timeout", "99999999", "--retries", "-1", "--min-success", "120", "--on-error", "cry"],
    ...["--insecure", "--ca", "x", "--api-key-env", "A", "--api-key-file", "B", "--reuse-cache"],
    ...["--prompt-format", "token-ids", "--api", "chat", "--metrics-url", "file:///etc/passwd"],
    ...["--max-consecutive-errors", "0", "--header", "bad", "--header", "X-A: a\u0001b"],
    ...["--fixed-concurrency-levels", "8", "--workers", "0", "--chunk-size", "0", "--seed", "1"],
    ...["--output-tokens", "x", "--max-ttft", "0", "--min-tokens-per-req", "Infinity"],
  );
  assert.equal(code, 2);
  const expected = [
    ...[/--api-endpoint .*neither http nor https/, /--context-sizes 5: must be at least 16 tokens/],
    ...[/--context-sizes "1e30"/, /--cache-hit-rates 101: must be at most 100/],
    ...[/--test-duration must be at least --ramp-duration/, /--timeout \d+: must be at most/],
    ...[/--retries -1/, /--min-success 120/, /--on-error "cry": must be one of continue, stop/],
    ...[/--insecure and --ca exclude/, /--api-key-env and --api-key-file exclude/],
    ...[/--prompt-format token-ids needs --api completions/, /--metrics-url .*not a http/],
    ...[/--max-consecutive-errors 0/, /--header: must look like/, /--workers 0/],
    ...[/--fixed-concurrency-levels needs --mode fixed/, /--chunk-size 0/, /--output-tokens "x"/],
    ...[/--max-ttft 0: must be a number above 0/, /--min-tokens-per-req/],
    /--working-set-size is required/,
  ];
  for (const one of expected) assert.match(stderr, one);
  assert.doesNotMatch(stderr, /--reuse-cache/);
});

Deno.test("no problem with an option repeats what may be a secret", async () => {
  const all = [
    await refused("cache-rate", "--api-key=canary"),
    await refused("doctor", "--api-endpoint", "http://me:canary@host"),
    await refused("doctor", "--metrics-url", "http://canary@host/metrics"),
    await refused("cache-rate", ...GOOD, "--header", "Authorization Bearer canary"),
  ];
  for (const { code, stderr } of all) {
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /canary/);
  }
});
