/**
 * The CSV files of a run while they grow: what is permanent, and how they are mended after a run
 * was cut off.
 *
 * Rows count from the moment that `progress.json` says how long the files are. What lies behind
 * that length belongs to an unfinished cell. A file that is shorter (power failed before its bytes
 * reached the disk) takes the cells that it lacks back into the unfinished ones.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { type AnyRow, headerLine, rowLines } from "./csv.ts";
import type { Commit } from "./progress.ts";
import type { Column } from "./schema.ts";

/** Buffered text that is written before the cell is finished. */
const FLUSH_CHARACTERS = 64 * 1024;
const NEWLINE = 0x0a;

/** Appends rows to files of a folder. Calls have to be made one after the other. */
export class Journal {
  readonly #files: Files;
  readonly #dir: string;
  readonly #buffers = new Map<string, string>();
  readonly #bytes: Map<string, number>;
  readonly #grown = new Set<string>();
  #broken: unknown;

  /** @param bytes Lengths of the files that are there. */
  constructor(files: Files, dir: string, bytes: ReadonlyMap<string, number>) {
    this.#files = files;
    this.#dir = dir;
    this.#bytes = new Map(bytes);
  }

  /** Appends rows; a file that is not there gets its header first. */
  async append(name: string, columns: readonly Column[], rows: readonly AnyRow[]): Promise<void> {
    const isNew = !this.#bytes.has(name);
    if (isNew) this.#bytes.set(name, 0);
    const text = (isNew ? headerLine(columns) : "") + rowLines(columns, rows);
    const buffered = (this.#buffers.get(name) ?? "") + text;
    this.#buffers.set(name, buffered);
    if (buffered.length > FLUSH_CHARACTERS) await this.flush();
  }

  /**
   * Writes what is buffered, in whole lines. After an error the end of a file is not known, so
   * nothing more is written.
   */
  async flush(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken;
    for (const [name, text] of this.#buffers) {
      const path = `${this.#dir}/${name}`;
      try {
        await this.#requireUntouched(path, this.#bytes.get(name) ?? 0);
        await this.#files.appendText(path, text);
      } catch (error) {
        this.#broken = writeError(path, error);
        throw this.#broken;
      }
      this.#buffers.delete(name);
      this.#bytes.set(name, (this.#bytes.get(name) ?? 0) + new TextEncoder().encode(text).length);
      this.#grown.add(name);
    }
  }

  /** A file that somebody deleted, moved or wrote to would get rows without their beginning. */
  async #requireUntouched(path: string, length: number): Promise<void> {
    const found = (await this.#files.stat(path))?.sizeBytes;
    if ((found ?? 0) === length) return;
    const how = found === undefined ? "it is gone" : `it has ${found} bytes instead of ${length}`;
    throw new Error(`${how}: another program deleted, moved or changed it during the run`);
  }

  /** From now on nothing more is written: what is in the files is no longer known. */
  stop(error: unknown): void {
    this.#broken ??= error;
  }

  /** The lengths of the files that grew since the last call. */
  takeGrown(): Record<string, number> {
    const grown = Object.fromEntries(
      [...this.#grown].sort().map((name) => [name, this.#bytes.get(name) ?? 0]),
    );
    this.#grown.clear();
    return grown;
  }
}

/** A folder after {@linkcode mendFiles}. */
export interface Mended {
  /** The cells whose rows are all there, in order. */
  readonly commits: readonly Commit[];
  readonly bytes: ReadonlyMap<string, number>;
  /** Rows that were dropped because their cell was not finished. */
  readonly droppedLines: number;
}

/**
 * Takes the files of a run back to the last cell whose rows are all there. Can be cut off at any
 * point and run again.
 *
 * @param names The run's files that are in the folder.
 * @param headers The files that have to be there, with their header line.
 */
export async function mendFiles(
  files: Files,
  dir: string,
  commits: readonly Commit[],
  names: readonly string[],
  headers: ReadonlyMap<string, string>,
): Promise<Mended> {
  const contents = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of names) contents.set(name, await files.readBytes(`${dir}/${name}`));
  const isThere = ([name, length]: [string, number]) => {
    const bytes = contents.get(name);
    return bytes !== undefined && bytes.length >= length && bytes[length - 1] === NEWLINE &&
      // A disk that lost power leaves zeros where the data did not arrive.
      !bytes.subarray(0, length).includes(0);
  };
  const lost = commits.findIndex((commit) => !Object.entries(commit.bytes).every(isThere));
  const kept = lost < 0 ? commits : commits.slice(0, lost);
  const lengths = new Map<string, number>();
  for (const commit of kept) {
    for (const [name, length] of Object.entries(commit.bytes)) lengths.set(name, length);
  }
  let droppedLines = 0;
  for (const [name, bytes] of contents) {
    const length = lengths.get(name) ?? 0;
    const tail = bytes.subarray(length);
    droppedLines += tail.reduce((count, byte) => count + (byte === NEWLINE ? 1 : 0), 0);
    if (length === 0) {
      if (bytes.length > 0) droppedLines = Math.max(0, droppedLines - 1);
      await files.remove(`${dir}/${name}`);
    } else if (tail.length > 0) {
      await files.writeBytes(`${dir}/${name}`, bytes.subarray(0, length));
    }
  }
  for (const [name, header] of headers) {
    if (lengths.has(name)) continue;
    await files.writeText(`${dir}/${name}`, header);
    lengths.set(name, new TextEncoder().encode(header).length);
  }
  return { commits: kept, bytes: lengths, droppedLines };
}

/** A file that cannot be written, as an error for the user. */
export function writeError(path: string, error: unknown): KvmarkError {
  if (error instanceof KvmarkError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new KvmarkError("io", `Cannot write ${path}: ${reason}`, {
    hint: "check the path, its permissions and the free space; the same command then goes on",
    cause: error,
  });
}
