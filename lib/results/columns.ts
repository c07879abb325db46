/**
 * What a column of a table is, and the type of the rows that columns declare.
 *
 * @module
 */

/** One column of a table. */
export interface Column {
  readonly name: string;
  readonly type: "number" | "text";
  /** Unit as printed in the documentation: `s`, `ms`, `tokens`, `tokens/s`, `%`, or empty. */
  readonly unit: string;
  readonly doc: string;
  /** True if the Python suite writes it too. */
  readonly python: boolean;
}

/** A row of the table that `columns` declares. An empty cell is `undefined`. */
export type Row<Columns extends readonly Column[]> = {
  [C in Columns[number] as C["name"]]?: C["type"] extends "number" ? number : string;
};

/** A column of numbers. */
export function number<const Name extends string>(name: Name, unit: string, doc: string) {
  return { name, type: "number", unit, doc, python: false } as const;
}

/** A column of text. */
export function text<const Name extends string>(name: Name, doc: string) {
  return { name, type: "text", unit: "", doc, python: false } as const;
}

/** The same column, which the Python suite writes too. */
export function python<const C extends Column>(
  column: C,
): Omit<C, "python"> & { readonly python: true } {
  return { ...column, python: true };
}
