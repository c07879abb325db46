/**
 * The only door to the process: arguments, environment, files, terminal, clock, signals.
 *
 * Everything else takes a {@linkcode Host} (or the part of it that it needs) as an argument, so
 * that whole commands can be tested without a process.
 *
 * @module
 */

import process from "node:process";
import { KvmarkError } from "./errors.ts";

/** Monotonic time for intervals, wall time for labels. */
export interface Clock {
  /** Milliseconds on the run's monotonic clock; zero is the start of the process. */
  nowMs(): number;
  /** Milliseconds since the Unix epoch. For labels and file names only, never for an interval. */
  wallMs(): number;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The file system. Paths are used as they are. */
export interface Files {
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Writes beside the file and renames, so that a reader sees the old or the new, never half. */
  writeText(path: string, text: string, mode?: number): Promise<void>;
  writeBytes(path: string, bytes: Uint8Array): Promise<void>;
  appendText(path: string, text: string): Promise<void>;
  makeDir(path: string): Promise<void>;
  /** Names in a folder, sorted; the empty list where there is no such folder. */
  list(path: string): Promise<string[]>;
  /** Size and kind, or `undefined` where nothing is there. */
  stat(
    path: string,
  ): Promise<{ sizeBytes: number; isDirectory: boolean; modifiedMs: number } | undefined>;
  remove(path: string): Promise<void>;
}

/** One of stdout and stderr. */
export interface Terminal {
  /** Text that nobody can read any more is dropped; control characters are replaced. */
  write(text: string): void;
  readonly isTerminal: boolean;
  columns(): number;
  /** Passes all further text through this first. */
  filter?(change: (text: string) => string): void;
}

/** The process, as the program sees it. */
export interface Host {
  readonly args: readonly string[];
  env(name: string): string | undefined;
  cwd(): string;
  readonly clock: Clock;
  readonly files: Files;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** CPU time that the process has used, in milliseconds. */
  cpuMs(): number;
  /** Cores that this process may use. */
  readonly cores: number;
  readonly pid: number;
  /**
   * Calls `handler` on SIGINT and SIGTERM until the returned function is called, and on SIGHUP if
   * the terminal that was closed is where stderr goes. Any other SIGHUP is ignored, as under nohup.
   */
  onInterrupt(handler: (signal: "SIGINT" | "SIGTERM" | "SIGHUP") => void): () => void;
  /** A `fetch` that also trusts the given certificate authorities (PEM). */
  fetchWith(caPem?: string): typeof fetch;
  /**
   * Takes the kernel's lock on a file, which ends with the process at the latest.
   *
   * @returns A function that gives it back; `undefined` if another process has it.
   */
  tryLock(path: string): Promise<(() => Promise<void>) | undefined>;
  /** Module to start workers from: the main module, which switches on the worker's name. */
  readonly workerModule: string;
}

/** The clock of this thread. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(), // kvmark-lint: wall-clock
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
};

const systemFiles: Files = {
  async readText(path) {
    const stream = await boundedStream(path, MOST_TEXT_BYTES);
    return stream === undefined ? Deno.readTextFile(path) : new TextDecoder().decode(stream);
  },
  async readBytes(path) {
    return await boundedStream(path, MOST_BYTES) ?? await Deno.readFile(path);
  },
  writeText: (path, text, mode) => writeWhole(path, new TextEncoder().encode(text), mode),
  writeBytes: (path, bytes) => writeWhole(path, bytes),
  async appendText(path, text) {
    await requireOwnFile(path);
    await Deno.writeTextFile(path, text, { append: true });
  },
  makeDir: (path) => Deno.mkdir(path, { recursive: true }),
  async list(path) {
    const names: string[] = [];
    try {
      for await (const entry of Deno.readDir(path)) names.push(entry.name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return names.sort();
  },
  async stat(path) {
    try {
      const info = await Deno.stat(path);
      return {
        sizeBytes: info.size,
        isDirectory: info.isDirectory,
        modifiedMs: info.mtime?.getTime() ?? 0,
      };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  },
  remove: (path) => Deno.remove(path, { recursive: true }),
};

/** The longest string and the longest file that can be held. */
const [MOST_TEXT_BYTES, MOST_BYTES] = [2 ** 29 - 64, 2 ** 31 - 1];
/** Of a pipe or a device, which may have no end: a key or a certificate, no table. */
const MOST_STREAM_BYTES = 16 * 2 ** 20;

/**
 * What a pipe or a device yields; `undefined` for a file.
 *
 * @throws {Error} If there is more than can be held.
 */
async function boundedStream(
  path: string,
  most: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const { isFile, isDirectory, size } = await Deno.stat(path);
  if (size > most) throw tooLong(path, `${size} bytes`);
  if (isFile || isDirectory) return undefined;
  using file = await Deno.open(path);
  const bytes = new Uint8Array(MOST_STREAM_BYTES + 1);
  let length = 0;
  for (let count; (count = await file.read(bytes.subarray(length))) !== null;) {
    length += count;
    if (length > MOST_STREAM_BYTES) throw new KvmarkError("io", `${path} does not end`);
  }
  return bytes.slice(0, length);
}

function tooLong(path: string, size: string): KvmarkError {
  return new KvmarkError("io", `${path} is too long: ${size}`, {
    hint: "kvmark writes no such file: remove it, or give another folder",
  });
}

/**
 * A folder may have been prepared by somebody else: what is written to a link reaches its target,
 * and a pipe waits for a reader.
 *
 * @throws {KvmarkError} `io` if something is there that is no plain file.
 */
async function requireOwnFile(path: string): Promise<void> {
  const info = await Deno.lstat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (info === undefined || info.isFile) return;
  const what = info.isSymlink ? "a symbolic link" : info.isDirectory ? "a folder" : "no plain file";
  throw new KvmarkError("io", `${path} is ${what}, and is not written to`, {
    hint: "remove it, or give another folder",
  });
}

async function writeWhole(path: string, bytes: Uint8Array, mode?: number): Promise<void> {
  const beside = `${path}.tmp`;
  // What a killed run left, or a link that somebody put there: its name goes, not its target.
  await Deno.remove(beside).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const file = await Deno.open(beside, {
    write: true,
    createNew: true,
    ...(mode === undefined ? {} : { mode }),
  });
  try {
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    await file.sync();
  } finally {
    file.close();
  }
  await Deno.rename(beside, path);
}

/** What a server says (the name of its model, say) must not steer the terminal. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/**
 * What cannot be said is not worth a run of a night: a pipe without a reader, a terminal that was
 * closed, and on stderr a full disk too. A result that does not reach its file is an error.
 */
function terminal(stream: typeof Deno.stdout | typeof Deno.stderr): Terminal {
  const encoder = new TextEncoder();
  // Asked now: a terminal that was closed is none any more.
  const isTerminal = stream.isTerminal();
  const isLost = ({ code }: { code?: unknown }) =>
    stream === Deno.stderr || code === "EPIPE" || (code === "EIO" && isTerminal);
  // The progress bar writes to node's stream, which tells its errors by an event.
  if (stream === Deno.stderr && isTerminal) process.stderr.on("error", () => {});
  let change = (text: string) => text;
  return {
    filter: (to) => void (change = to),
    write(text) {
      const bytes = encoder.encode(change(text).replace(CONTROLS, "\ufffd"));
      try {
        for (let done = 0; done < bytes.length;) done += stream.writeSync(bytes.subarray(done));
      } catch (error) {
        if (!isLost(error as { code?: unknown })) throw error;
      }
    },
    isTerminal,
    columns() {
      try {
        return Deno.consoleSize().columns;
      } catch {
        return 80;
      }
    },
  };
}

/** The real process. `workerModule` is the URL of the module that `main.ts` was loaded from. */
export function denoHost(workerModule: string): Host {
  return {
    args: Deno.args,
    env: (name) => Deno.env.get(name),
    cwd: () => Deno.cwd(),
    clock: systemClock,
    files: systemFiles,
    stdout: terminal(Deno.stdout),
    stderr: terminal(Deno.stderr),
    cpuMs() {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    cores: navigator.hardwareConcurrency,
    pid: Deno.pid,
    onInterrupt(handler) {
      const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
      // Deno undoes what nohup did: without a listener a hangup would be the end.
      const isDetached = !Deno.stderr.isTerminal();
      const listeners = signals.map((signal) => {
        const listener = () => {
          if (signal !== "SIGHUP" || !isDetached) handler(signal);
        };
        Deno.addSignalListener(signal, listener);
        return () => Deno.removeSignalListener(signal, listener);
      });
      return () => listeners.forEach((remove) => remove());
    },
    fetchWith(caPem) {
      if (caPem === undefined) return fetch;
      const client = Deno.createHttpClient({ caCerts: [caPem] });
      return (input, init) => fetch(input, { ...init, client });
    },
    tryLock,
    workerModule,
  };
}

async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  await requireOwnFile(path);
  const file = await Deno.open(path, { create: true, append: true });
  if (!await file.tryLock(true)) {
    file.close();
    return undefined;
  }
  return async () => {
    await file.unlock();
    file.close();
  };
}
