/**
 * One kvmark per folder.
 *
 * The kernel's file lock decides, where the file system has one: it ends with its process, however
 * that ends. The lock file says who holds it, one line an event, and is never replaced or removed,
 * since the lock belongs to the file and not to its name. Without a kernel lock the lines decide.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Clock, Files } from "../host.ts";
import { readOwnText } from "./own_text.ts";

/** What {@linkcode takeLock} needs. */
export interface LockOptions {
  readonly files: Files;
  readonly clock: Clock;
  readonly dir: string;
  readonly pid: number;
  readonly hostName?: string;
  /** Unique to this process. */
  readonly nonce: string;
  /**
   * Takes the kernel's lock of a file, which is made if need be: a function that releases it, or
   * `undefined` if another process holds it. Rejects where the file system has no locks.
   */
  readonly tryLock?: (path: string) => Promise<(() => Promise<void>) | undefined>;
  /** Whether a process of this machine runs, where that can be told. */
  readonly isAlive?: (pid: number) => Promise<boolean | undefined>;
}

/** A lock that is held. */
export interface Lock {
  /** What the user should know about the holder before. */
  readonly notes: readonly string[];
  /** @throws {KvmarkError} `io` if another kvmark has taken the folder over. */
  confirm(): Promise<void>;
  release(): Promise<void>;
}

interface Taken {
  readonly take: string;
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

const UNKNOWN_HOST = "unknown";

/** Name of the lock file. */
export const LOCK_NAME = ".kvmark.lock";

/**
 * Takes the folder.
 *
 * @throws {KvmarkError} `io` if another kvmark holds it. File errors are passed on.
 */
export async function takeLock(options: LockOptions): Promise<Lock> {
  const { files, clock, dir, pid, nonce, hostName = UNKNOWN_HOST } = options;
  const path = `${dir}/${LOCK_NAME}`;
  const notes: string[] = [];
  const kernel = await kernelLock(options, path, notes);
  const mine: Taken = {
    take: nonce,
    pid,
    host: hostName,
    since: new Date(clock.wallMs()).toISOString(),
  };
  const append = (line: object) => files.appendText(path, JSON.stringify(line) + "\n");
  try {
    for (const other of await holders(files, path)) {
      if (kernel === undefined && await isHeld(other, options)) throw heldBy(dir, other);
      notes.push(`${name(other)} left ${dir} without closing it; its lock is taken over`);
      await append({ free: other.take });
    }
    await append(mine);
    // Of two that came at the same time the first line counts.
    const [first] = await holders(files, path);
    if (first !== undefined && first.take !== nonce && await isHeld(first, options)) {
      await append({ free: nonce });
      throw heldBy(dir, first);
    }
  } catch (error) {
    await kernel?.();
    throw error;
  }
  return {
    notes,
    async confirm() {
      const last = (await holders(files, path)).at(-1);
      if (last === undefined) await append(mine);
      else if (last.take !== nonce) throw heldBy(dir, last);
    },
    async release() {
      try {
        await append({ free: nonce });
      } finally {
        await kernel?.();
      }
    },
  };
}

async function kernelLock(
  options: LockOptions,
  path: string,
  notes: string[],
): Promise<(() => Promise<void>) | undefined> {
  if (options.tryLock === undefined) return undefined;
  let release: (() => Promise<void>) | undefined;
  try {
    release = await options.tryLock(path);
  } catch (error) {
    if (error instanceof KvmarkError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    notes.push(`${options.dir} has no file locks (${reason}): do not run two kvmark on it`);
    return undefined;
  }
  if (release === undefined) {
    throw heldBy(options.dir, (await holders(options.files, path)).at(-1));
  }
  return release;
}

/** Takes that were not freed, in order. Lines that cannot be read are passed over. */
async function holders(files: Files, path: string): Promise<Taken[]> {
  if (await files.stat(path) === undefined) return [];
  const open = new Map<string, Taken>();
  for (const line of (await readOwnText(files, path)).split("\n")) {
    const event = eventOf(line);
    if (typeof event.free === "string") open.delete(event.free);
    if (typeof event.take !== "string") continue;
    open.set(event.take, {
      take: event.take,
      pid: Number(event.pid),
      host: String(event.host),
      since: String(event.since),
    });
  }
  return [...open.values()];
}

function eventOf(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
  } catch {
    return {};
  }
}

async function isHeld(other: Taken, options: LockOptions): Promise<boolean> {
  if (other.host !== (options.hostName ?? UNKNOWN_HOST)) return false;
  return await options.isAlive?.(other.pid) ?? false;
}

function name(other: Taken): string {
  const where = other.host === UNKNOWN_HOST ? "" : ` on ${other.host}`;
  return `kvmark (process ${other.pid}${where}, since ${other.since})`;
}

function heldBy(dir: string, other: Taken | undefined): KvmarkError {
  const who = other === undefined ? "Another kvmark" : `Another ${name(other)}`;
  return new KvmarkError("io", `${who} uses the folder ${dir}`, {
    hint: "wait until it is done, or give another --output-dir",
  });
}
