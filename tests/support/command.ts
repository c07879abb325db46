/**
 * The command under test, as a process.
 *
 * Which command that is, `KVMARK_COMMAND` says (a JSON array of words); without it, it is the
 * source with the permissions that the product lists. So the same tests prove the source, the
 * bundle and the binary.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { readProductFlags } from "../../scripts/product_flags.ts";

/** A process that has ended. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run the command. */
export interface RunOptions {
  /** Variables added to the few that every run gets. */
  readonly env?: Readonly<Record<string, string>>;
  /** Current directory. */
  readonly cwd?: string;
  /** Text on standard input; without it, standard input is empty. */
  readonly stdin?: string;
  /**
   * The process is killed and the test fails after this long. A guard against a hang, not a
   * statement about speed.
   *
   * @default {120_000}
   */
  readonly timeoutMs?: number;
  /** Told the process as soon as there is one. */
  readonly onStart?: (pid: number) => void;
}

/** A process that runs until it is told to stop. */
export interface Running extends AsyncDisposable {
  readonly pid: number;
  /** The line of stdout that was waited for. */
  readonly readyLine: string;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  signal(signal: "SIGINT" | "SIGTERM" | "SIGKILL"): void;
  /** Resolves when it has ended by itself or by a signal. */
  readonly finished: Promise<Finished>;
}

/** Variables of this process that a run inherits: nothing that changes what kvmark does. */
const INHERITED = [
  "PATH",
  "HOME",
  "TMPDIR",
  "LANG",
  "DENO_DIR",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "NODE_EXTRA_CA_CERTS",
  "NPM_CONFIG_REGISTRY",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
];

const DEFAULT_TIMEOUT_MS = 120_000;

/** The words of the command under test, without arguments. */
export async function commandUnderTest(): Promise<readonly string[]> {
  const given = Deno.env.get("KVMARK_COMMAND");
  if (given !== undefined) return parseCommand(given);
  const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const flags = await readProductFlags();
  // --config, since the tests run in other folders; --no-prompt, so that a missing permission
  // is an error and not a question.
  const config = ["--config", path("deno.json"), "--no-prompt"];
  return [Deno.execPath(), "run", "--quiet", ...config, ...flags, path("main.ts")];
}

/** @throws {TypeError} If the text is not a JSON array of at least one word. */
export function parseCommand(text: string): readonly string[] {
  let words: unknown;
  try {
    words = JSON.parse(text);
  } catch {
    words = undefined;
  }
  if (
    !Array.isArray(words) || words.length === 0 || !words.every((word) => typeof word === "string")
  ) {
    throw new TypeError(`KVMARK_COMMAND must be a JSON array of words: ${text}`);
  }
  return words;
}

/**
 * Runs the command to its end.
 *
 * @throws {Error} If it has not ended after `timeoutMs`; what it printed is in the message.
 */
export async function kvmark(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const process = await spawn(args, options);
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  let killed = false;
  const timer = setTimeout(() => {
    killed = true;
    process.signal("SIGKILL");
  }, timeoutMs);
  try {
    const finished = await process.finished;
    if (killed) throw new Error(describe(args, `did not end within ${timeoutMs} ms`, finished));
    return finished;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Starts the command and waits for its first line on stdout that `isReady` accepts. Use it with
 * `await using`: it is stopped at the end of the block.
 *
 * @throws {Error} If the process ends or `timeoutMs` go by before that.
 */
export async function startKvmark(
  args: readonly string[],
  options: RunOptions & { readonly isReady?: (line: string) => boolean } = {},
): Promise<Running> {
  const { isReady = () => true, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
  const process = await spawn(args, options);
  const timer = setTimeout(() => process.signal("SIGKILL"), timeoutMs);
  const ready = await Promise.race([process.firstLine(isReady), process.finished]);
  clearTimeout(timer);
  if (typeof ready !== "string") {
    throw new Error(describe(args, "ended before it was ready", ready));
  }
  return {
    ...process,
    readyLine: ready,
    async [Symbol.asyncDispose]() {
      process.signal("SIGTERM");
      const killer = setTimeout(() => process.signal("SIGKILL"), 10_000);
      await process.finished;
      clearTimeout(killer);
    },
  };
}

/** Gives a new empty folder to `use` and removes it afterwards. */
export async function withTempDir<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await Deno.makeTempDir({ prefix: "kvmark-test-" });
  try {
    return await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function spawn(args: readonly string[], options: RunOptions) {
  const [program = "", ...words] = await commandUnderTest();
  const env: Record<string, string> = { NO_COLOR: "1" };
  for (const name of INHERITED) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  const child = new Deno.Command(program, {
    args: [...words, ...args],
    clearEnv: true,
    env: { ...env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  options.onStart?.(child.pid);
  if (options.stdin !== undefined) await feed(child.stdin, options.stdin);
  const stdout = new Collected(child.stdout);
  const stderr = new Collected(child.stderr);
  const finished = Promise.all([child.status, stdout.ended, stderr.ended]).then(([status]) => ({
    code: status.code,
    stdout: stdout.text,
    stderr: stderr.text,
  }));
  return {
    pid: child.pid,
    finished,
    stdout: () => stdout.text,
    stderr: () => stderr.text,
    firstLine: (isReady: (line: string) => boolean) => stdout.firstLine(isReady),
    signal(signal: Deno.Signal) {
      try {
        child.kill(signal);
      } catch {
        // It has ended already.
      }
    },
  };
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // The process did not read its standard input: what it says about that is the test's concern.
  }
}

/** Text of a stream as it comes in. */
class Collected {
  text = "";
  readonly ended: Promise<void>;
  #wake = (): void => {};

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      this.text += decoder.decode(bytes, { stream: true });
      this.#wake();
    }
    this.text += decoder.decode();
  }

  /** Stays pending if the stream ends without such a line. */
  firstLine(isReady: (line: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      this.#wake = () => {
        const line = this.text.split("\n").slice(0, -1).find(isReady);
        if (line !== undefined) resolve(line);
      };
      this.#wake();
    });
  }
}

function describe(args: readonly string[], what: string, finished: Finished): string {
  return `kvmark ${args.join(" ")} ${what} (code ${finished.code})\n` +
    `--- stdout\n${finished.stdout}\n--- stderr\n${finished.stderr}`;
}
