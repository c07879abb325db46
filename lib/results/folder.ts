/**
 * A results folder as it is found: names, tables and JSON files, with what is wrong with each.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { type AnyRow, readCsv } from "./csv.ts";
import { RowTable } from "./row_table.ts";
import type { Column, Row } from "./schema.ts";

/** An object of a JSON file. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A folder that is read. Nothing in it can make reading throw; `problems` says what is wrong. */
export class Folder {
  readonly dir: string;
  /** All files but hidden and half-written ones, sorted. */
  readonly entries: readonly { readonly name: string; readonly sizeBytes: number }[];
  readonly problems: string[] = [];
  readonly #files: Files;

  private constructor(
    files: Files,
    dir: string,
    entries: readonly { readonly name: string; readonly sizeBytes: number }[],
  ) {
    this.#files = files;
    this.dir = dir;
    this.entries = entries;
  }

  /** @throws {KvmarkError} `io` if there is no such folder. */
  static async open(files: Files, dir: string): Promise<Folder> {
    const entries: { name: string; sizeBytes: number }[] = [];
    try {
      if ((await files.stat(dir))?.isDirectory !== true) throw new Error("there is no such folder");
      for (const name of await files.list(dir)) {
        if (name.startsWith(".") || name.endsWith(".tmp")) continue;
        const found = await files.stat(`${dir}/${name}`);
        if (found === undefined || found.isDirectory) continue;
        entries.push({ name, sizeBytes: found.sizeBytes });
      }
    } catch (error) {
      throw new KvmarkError("io", `Cannot read ${dir}: ${reasonOf(error)}`, {
        hint: "give the --output-dir of a run",
        cause: error,
      });
    }
    return new Folder(files, dir, entries);
  }

  has(name: string): boolean {
    return this.entries.some((entry) => entry.name === name);
  }

  /** The files whose name fits, with the parts of the name that the pattern captures. */
  matching(pattern: RegExp): { readonly name: string; readonly parts: readonly string[] }[] {
    return this.entries.flatMap(({ name }) => {
      const match = pattern.exec(name);
      return match === null ? [] : [{ name, parts: match.slice(1) }];
    });
  }

  /** The object in a JSON file; `undefined` without the file, or if it is damaged. */
  async json(name: string): Promise<JsonObject | undefined> {
    if (!this.has(name)) return undefined;
    try {
      const value: unknown = JSON.parse(await this.#files.readText(`${this.dir}/${name}`));
      if (isObject(value)) return value;
      this.problems.push(`${name}: it is not a JSON object`);
    } catch (error) {
      this.problems.push(`${name}: ${reasonOf(error)}`);
    }
    return undefined;
  }

  /** The text of a file; `undefined` if it cannot be read. */
  async text(name: string): Promise<string | undefined> {
    try {
      return await this.#files.readText(`${this.dir}/${name}`);
    } catch (error) {
      this.problems.push(`${name}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  /** The column names of a table; none if it cannot be read. */
  async header(name: string): Promise<readonly string[]> {
    try {
      return readCsv(await this.#files.readBytes(`${this.dir}/${name}`), []).header;
    } catch {
      return [];
    }
  }

  /** The rows of a table, as far as they can be read. */
  rows<const Columns extends readonly Column[]>(
    name: string,
    columns: Columns,
  ): Promise<Row<Columns>[]> {
    return this.#rows(name, columns, (row) => row);
  }

  /** The same of a table that may be long: a row is copied with `plainRow`, not with a spread. */
  manyRows<const Columns extends readonly Column[]>(
    name: string,
    columns: Columns,
  ): Promise<Row<Columns>[]> {
    const table = new RowTable(columns);
    return this.#rows(name, columns, (row) => table.keep(row));
  }

  async #rows<const Columns extends readonly Column[]>(
    name: string,
    columns: Columns,
    keep: (row: AnyRow) => AnyRow,
  ): Promise<Row<Columns>[]> {
    const rows: Row<Columns>[] = [];
    try {
      const bytes = await this.#files.readBytes(`${this.dir}/${name}`);
      if (bytes.length === 0) this.problems.push(`${name}: it is empty`);
      const complain = (problem: string) => void this.problems.push(`${name}: ${problem}`);
      for (const row of readCsv(bytes, columns, complain).rows) {
        rows.push(keep(row) as Row<Columns>);
      }
    } catch (error) {
      this.problems.push(`${name}: ${reasonOf(error)}`);
    }
    return rows;
  }
}

/** True for an object that is no list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
