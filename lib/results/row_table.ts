/**
 * The rows of a long table in little memory: kept column by column, and read through objects of two
 * fields. A million request rows as objects take more than two gigabytes.
 *
 * @module
 */

import { CodeColumn, NumberColumn } from "../columns.ts";
import type { AnyRow } from "./csv.ts";
import type { Column } from "./schema.ts";

/** Rows up to this number are kept as they are: a short table has no need of it. */
export const PLAIN_ROWS = 20_000;

/** Keeps rows of one table. */
export class RowTable {
  readonly #plainRows: number;
  readonly #columns: readonly StoredColumn[];
  readonly #Row: new (index: number) => AnyRow;
  #count = 0;

  /** @param plainRows How many are kept as they are. */
  constructor(columns: readonly Column[], plainRows = PLAIN_ROWS) {
    this.#plainRows = plainRows;
    this.#columns = columns.map(({ name, type }) => ({
      name,
      values: type === "number" ? new NumberColumn() : new CodeColumn<string>(),
    }));
    this.#Row = rowClass(this.#columns);
  }

  /**
   * Takes a row and gives one that reads the same. Its properties are not its own: to copy it use
   * {@linkcode plainRow}, not a spread.
   */
  keep(row: AnyRow): AnyRow {
    const index = this.#count++;
    if (index < this.#plainRows) return row;
    for (const { name, values } of this.#columns) values.set(index, row[name] as never);
    return new this.#Row(index);
  }
}

/** The row as an object with properties of its own. */
export function plainRow<Row extends object>(row: Row): Row {
  return PLAIN in row ? (row[PLAIN] as () => Row).call(row) : row;
}

const PLAIN = Symbol("plain");

interface StoredColumn {
  readonly name: string;
  readonly values: NumberColumn | CodeColumn<string>;
}

/** A class whose instances are a number, and whose properties are read from the columns. */
function rowClass(columns: readonly StoredColumn[]): new (index: number) => AnyRow {
  class StoredRow {
    readonly #index: number;

    constructor(index: number) {
      this.#index = index;
    }

    static read(row: StoredRow, { values }: StoredColumn): number | string | undefined {
      return values.get(row.#index);
    }

    [PLAIN](): AnyRow {
      return Object.fromEntries(
        columns.map((column) => [column.name, StoredRow.read(this, column)] as const)
          .filter(([, value]) => value !== undefined),
      );
    }
  }
  for (const column of columns) {
    Object.defineProperty(StoredRow.prototype, column.name, {
      get(this: StoredRow) {
        return StoredRow.read(this, column);
      },
    });
  }
  return StoredRow as unknown as new (index: number) => AnyRow;
}
