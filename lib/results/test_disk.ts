/**
 * A disk in memory that can fail, for the tests of this folder.
 *
 * @module
 */

import type { Files } from "../host.ts";

/** How an operation fails: before it does anything, half-way, or after it was done. */
export type Fault = "before" | "half" | "after";

class Killed extends Error {}

/** Does how much of the bytes reaches the disk. */
type Change = (part: (bytes: Uint8Array) => Uint8Array<ArrayBuffer>) => void;

/** Counts changes; from the one that it is set to on, none is done any more. */
function killSwitch() {
  let operations = 0;
  let kill: { at: number; fault: Fault } | undefined;
  const change = (act: Change) => {
    const now = ++operations;
    const whole = (bytes: Uint8Array) => Uint8Array.from(bytes);
    if (kill === undefined || now < kill.at) return act(whole);
    if (now === kill.at && kill.fault === "after") act(whole);
    if (now === kill.at && kill.fault === "half") {
      act((bytes) => Uint8Array.from(bytes.subarray(0, bytes.length >> 1)));
    }
    throw new Killed("killed");
  };
  return {
    change,
    killAt: (at: number, fault: Fault) => void (kill = { at, fault }),
    operations: () => operations,
  };
}

/** A disk in memory; from operation `killAt` on nothing works any more, as after `kill -9`. */
export function memoryDisk(contents = new Map<string, Uint8Array<ArrayBuffer>>()) {
  const folders = new Set<string>();
  const modes = new Map<string, number>();
  const { change, killAt, operations } = killSwitch();
  const read = (path: string) => {
    const bytes = contents.get(path);
    if (bytes === undefined) throw new Error(`No such file: ${path}`);
    return bytes;
  };
  const encode = (text: string) => new TextEncoder().encode(text);
  /** Replaced as a whole or not at all: half a write only ever reaches the file beside it. */
  const replace = (path: string, bytes: Uint8Array) => {
    change((part) => {
      const done = part(bytes);
      if (done.length === bytes.length) contents.set(path, done);
      else contents.set(`${path}.tmp`, done);
    });
    return Promise.resolve();
  };
  const files: Files = {
    readText: (path) => attempt(() => new TextDecoder().decode(read(path))),
    readBytes: (path) => attempt(() => Uint8Array.from(read(path))),
    writeText: (path, text, mode) =>
      attempt(() => {
        if (mode !== undefined) modes.set(path, mode);
        return replace(path, encode(text));
      }),
    writeBytes: (path, bytes) => attempt(() => replace(path, bytes)),
    appendText: (path, text) =>
      attempt(() =>
        change((part) => {
          const [old, more] = [contents.get(path) ?? new Uint8Array(), part(encode(text))];
          contents.set(path, Uint8Array.from([...old, ...more]));
        })
      ),
    makeDir: (path) => attempt(() => change(() => void folders.add(path))),
    list: (path) =>
      attempt(() =>
        [...contents.keys()].filter((key) => key.startsWith(`${path}/`))
          .map((key) => key.slice(path.length + 1)).sort()
      ),
    stat: (path) =>
      attempt(() => {
        const bytes = contents.get(path);
        if (bytes === undefined && !folders.has(path)) return undefined;
        return { sizeBytes: bytes?.length ?? 0, isDirectory: bytes === undefined, modifiedMs: 0 };
      }),
    remove: (path) => attempt(() => change(() => void contents.delete(path))),
  };
  return {
    files,
    contents,
    modes,
    operations,
    killAt,
    text: (path: string) => new TextDecoder().decode(read(path)),
    names: () => [...contents.keys()].map((path) => path.replace("out/", "")).sort(),
  };
}

/** What {@linkcode memoryDisk} makes. */
export type Disk = ReturnType<typeof memoryDisk>;

function attempt<T>(act: () => T | Promise<T>): Promise<T> {
  return new Promise((resolve) => resolve(act()));
}
