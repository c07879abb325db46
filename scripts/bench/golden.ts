/**
 * The golden server (`golden_server.c`): built from source, started, stopped, and what it wrote
 * down.
 *
 * @module
 */

import { readyLine } from "./processes.ts";

/** Schedule of the answers; see the head of `golden_server.c`. */
export interface GoldenScript {
  readonly ttftMs?: number;
  /** The first chunk comes up to this share of the TTFT later, by the request's number. */
  readonly spread?: number;
  readonly itlMs?: number;
  /** All streams send at the same instants, these apart. */
  readonly stepMs?: number;
  readonly promptTokens?: number;
  /** Go before all other processes, so that it never waits for a core (needs the right to). */
  readonly realtime?: boolean;
  /** Files in PEM: serve TLS. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

/** What it did to one request, on the kernel's monotonic clock. */
export interface GoldenRequest {
  readonly id: string;
  readonly receivedMs: number;
  /** Right before each chunk was handed to the kernel. */
  readonly sentMs: readonly number[];
  readonly tokens: number;
  readonly done: boolean;
}

/** Counters of a running server. */
export interface GoldenStats {
  readonly chunks: number;
  readonly cpuMs: number;
  readonly atMs: number;
  readonly running: number;
}

/** A running golden server. */
export interface Golden extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  stats(): Promise<GoldenStats>;
  /** Stops it. @returns Every request that it answered. */
  stop(): Promise<GoldenRequest[]>;
}

const SOURCE = new URL("golden_server.c", import.meta.url);

/**
 * Compiles the server, once for each version of its source.
 *
 * @param withTls Needs OpenSSL's headers.
 * @throws {Error} If there is no C compiler, or it fails.
 */
export async function buildGolden(withTls: boolean): Promise<string> {
  const source = await Deno.readFile(SOURCE);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", source));
  const name = `golden-${digest.toHex().slice(0, 12)}${withTls ? "-tls" : ""}`;
  const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
  const binary = `${home}/kvmark/bench/${name}`;
  if (await exists(binary)) return binary;
  await Deno.mkdir(`${home}/kvmark/bench`, { recursive: true });
  const args = ["-O2", "-o", `${binary}.new`, SOURCE.pathname, "-lm"];
  if (withTls) args.push("-DGOLDEN_TLS", "-lssl", "-lcrypto");
  const compiler = Deno.env.get("CC") ?? "cc";
  const { code } = await new Deno.Command(compiler, { args, stdout: "inherit" }).spawn().status
    .catch(() => ({ code: -1 }));
  if (code !== 0) {
    const needs = withTls ? "a C compiler and OpenSSL's headers (libssl-dev)" : "a C compiler";
    throw new Error(`Cannot build ${SOURCE.pathname} with ${compiler}: it needs Linux, ${needs}`);
  }
  await Deno.rename(`${binary}.new`, binary);
  return binary;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Builds and starts a golden server in a process of its own. */
export async function startGolden(script: GoldenScript = {}): Promise<Golden> {
  const binary = await buildGolden(script.tls !== undefined);
  const log = await Deno.makeTempFile({ prefix: "kvmark-golden-" });
  const child = new Deno.Command(binary, {
    args: [...options(script), "--log", log],
    stdout: "piped",
  }).spawn();
  const { url } = await readyLine(child);
  const plain = script.tls === undefined;
  let stopped: Promise<GoldenRequest[]> | undefined;
  const end = async () => {
    child.kill("SIGTERM");
    await child.status;
    const text = await Deno.readTextFile(log);
    await Deno.remove(log);
    return text.split("\n").filter((line) => line !== "").map(readRequest);
  };
  const stop = () => stopped ??= end();
  return {
    url,
    pid: child.pid,
    stop,
    stats: () => plain ? readStats(url) : Promise.reject(new Error("no stats over TLS")),
    [Symbol.asyncDispose]: async () => void await stop(),
  };
}

function options(script: GoldenScript): string[] {
  const numbers = {
    "--ttft-ms": script.ttftMs,
    "--spread": script.spread,
    "--itl-ms": script.itlMs,
    "--step-ms": script.stepMs,
    "--prompt-tokens": script.promptTokens,
    "--realtime": script.realtime === true ? 1 : undefined,
  };
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  const { tls } = script;
  return [
    ...given.flatMap(([name, value]) => [name, `${value}`]),
    ...(tls === undefined ? [] : ["--cert", tls.certFile, "--key", tls.keyFile]),
  ];
}

async function readStats(url: string): Promise<GoldenStats> {
  const stats = await (await fetch(`${url}/stats`)).json();
  return {
    chunks: stats.chunks,
    cpuMs: stats.cpu_ms,
    atMs: stats.now_ns / 1e6,
    running: stats.running,
  };
}

function readRequest(line: string): GoldenRequest {
  // Nanoseconds since the machine's start stay exact below 2^53: 104 days.
  const { id, received_ns, sent_ns, tokens, done } = JSON.parse(line);
  const sentMs = (sent_ns as number[]).map((ns) => ns / 1e6);
  return { id, receivedMs: received_ns / 1e6, sentMs, tokens, done };
}

/**
 * What to add to `performance.now()` to be on the kernel's monotonic clock, by reading both in
 * turn; the reading with the least time between wins.
 */
export function monotonicOffsetMs(): number {
  const libc = Deno.dlopen("libc.so.6", {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const CLOCK_MONOTONIC = 1;
  const time = new BigInt64Array(2);
  const bytes = new Uint8Array(time.buffer);
  let [offsetMs, leastMs] = [NaN, Infinity];
  for (let n = 0; n < 50; n++) {
    const beforeMs = performance.now();
    libc.symbols.clock_gettime(CLOCK_MONOTONIC, bytes);
    const afterMs = performance.now();
    if (afterMs - beforeMs >= leastMs) continue;
    leastMs = afterMs - beforeMs;
    const [seconds = 0n, nanoseconds = 0n] = time;
    offsetMs = Number(seconds) * 1e3 + Number(nanoseconds) / 1e6 - (beforeMs + afterMs) / 2;
  }
  libc.close();
  return offsetMs;
}
