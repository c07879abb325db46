/**
 * Tables as CSV (RFC 4180), safe to open in a spreadsheet, and readable when they are damaged.
 *
 * A number is written in full, without an exponent; an absent value is an empty cell. Text that a
 * spreadsheet would take for a formula gets an apostrophe in front, which reading takes off again.
 *
 * @module
 */

import { parse } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import type { Column, Row } from "./schema.ts";

/** A row of a table whose columns are only known at run time. */
export type AnyRow = Readonly<Record<string, number | string | undefined>>;

/** Characters at the start of a cell that spreadsheets take for a formula. */
const FORMULA = /^'*[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/;
const ESCAPED_FORMULA = /^'+[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** Bytes that are parsed at once: bounds the memory of a large file. */
const PIECE_BYTES = 1 << 20;
const [QUOTE, NEWLINE] = [0x22, 0x0a];

/** The header line of a table, with its line end. */
export function headerLine(columns: readonly Column[]): string {
  return columns.map((column) => column.name).join(",") + "\n";
}

/** Rows as lines, without a header. Properties that are not columns are left out. */
export function rowLines(columns: readonly Column[], rows: readonly AnyRow[]): string {
  return stringify(rows.map((row) => columns.map((column) => cell(column, row[column.name]))), {
    record_delimiter: "\n",
    // A lone carriage return at the end of a line would otherwise be read as its end.
    quoted_match: /[\r\n]/,
  });
}

function cell(column: Column, value: number | string | undefined): string {
  if (value === undefined) return "";
  if (column.type === "number") return typeof value === "number" ? plainNumber(value) : "";
  // A NUL would look like a disk block that was never written.
  const text = String(value).replaceAll("\0", "\uFFFD");
  return FORMULA.test(text) ? `'${text}` : text;
}

/**
 * A number with all its digits and without an exponent; the empty text if it is not finite.
 *
 * @example
 * ```ts
 * import { plainNumber } from "./csv.ts";
 * console.log(plainNumber(2.5e-7)); // 0.00000025
 * ```
 */
export function plainNumber(value: number): string {
  if (!Number.isFinite(value)) return "";
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (match === null) return text;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  const digits = whole + fraction;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  return sign + digits.padEnd(point, "0");
}

/** What is said about a damaged file, without its name. */
export type Complain = (problem: string) => void;

/** A CSV file, read in pieces. */
export interface CsvFile {
  /** Column names as in the file. */
  readonly header: readonly string[];
  /** Rows in order; only known columns, by their type. Can be walked once. */
  readonly rows: Iterable<Record<string, number | string>>;
}

/**
 * Reads a table, piece by piece: memory is bounded by one piece as long as the rows are not kept.
 *
 * Unknown columns are left out, empty cells are absent, a cell that is not of its column's type is
 * absent and counted. A last line without a line end was cut off while it was written: it is
 * dropped. Each of these is told to `complain`, once, when the rows have been walked.
 *
 * @param bytes The whole file, UTF-8.
 */
export function readCsv(
  bytes: Uint8Array<ArrayBuffer>,
  columns: readonly Column[],
  complain: Complain = () => {},
): CsvFile {
  const pieces = cutPieces(bytes, complain);
  const first = pieces.next();
  if (first.done) return { header: [], rows: [] };
  const records = parseRecords(first.value, complain);
  const header = (records.shift() ?? []).map((name) => name.trim());
  const byName = new Map(columns.map((column) => [column.name, column]));
  const known = header.map((name) => byName.get(name));
  if (!known.some((column) => column !== undefined)) {
    complain(`no known column in its header "${header.join(",").slice(0, 80)}"`);
    return { header, rows: [] };
  }
  return { header, rows: typedRows(records, pieces, known, complain) };
}

/** All rows of a table at once. See {@linkcode readCsv}. */
export function readRows<const Columns extends readonly Column[]>(
  bytes: Uint8Array<ArrayBuffer>,
  columns: Columns,
  complain?: Complain,
): Row<Columns>[] {
  return [...readCsv(bytes, columns, complain).rows] as Row<Columns>[];
}

function* typedRows(
  firstRecords: readonly string[][],
  pieces: Iterator<string>,
  known: readonly (Column | undefined)[],
  complain: Complain,
): Generator<Record<string, number | string>> {
  const broken = new Map<string, number>();
  let uneven = 0;
  for (let records = firstRecords;;) {
    for (const record of records) {
      if (record.length !== known.length) uneven++;
      yield typedRow(record, known, broken);
    }
    const next = pieces.next();
    if (next.done) break;
    records = parseRecords(next.value, complain);
  }
  for (const [name, count] of broken) complain(`${count} cells of ${name} are not numbers`);
  if (uneven > 0) complain(`${uneven} lines have more or fewer cells than the header`);
}

function typedRow(
  record: readonly string[],
  known: readonly (Column | undefined)[],
  broken: Map<string, number>,
): Record<string, number | string> {
  const row: Record<string, number | string> = {};
  for (let i = 0; i < known.length; i++) {
    const column = known[i];
    const value = record[i];
    if (column === undefined || value === undefined || value === "") continue;
    if (column.type === "text") {
      row[column.name] = ESCAPED_FORMULA.test(value) ? value.slice(1) : value;
    } else if (NUMBER.test(value) && Number.isFinite(Number(value))) {
      row[column.name] = Number(value);
    } else if (!/^\s*(?:nan|none|null|[+-]?inf(?:inity)?)?\s*$/i.test(value)) {
      broken.set(column.name, (broken.get(column.name) ?? 0) + 1);
    }
  }
  return row;
}

/** The records of whole lines; of a piece that cannot be parsed none, with a complaint. */
function parseRecords(text: string, complain: Complain): string[][] {
  try {
    return parse(text, {
      bom: true,
      record_delimiter: ["\r\n", "\n"],
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const lines = text.split("\n").length - 1;
    complain(`about ${lines} lines cannot be read: ${reason}`);
    return [];
  }
}

/** Cuts a file after line ends that are not inside quotes, and drops a last line without one. */
function* cutPieces(
  bytes: Uint8Array<ArrayBuffer>,
  complain: Complain,
): Generator<string, void, undefined> {
  const decoder = new TextDecoder();
  let start = 0;
  let lastEnd = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) quoted = !quoted;
    else if (byte === NEWLINE && !quoted) {
      lastEnd = at + 1;
      if (lastEnd - start >= PIECE_BYTES) {
        yield decoder.decode(bytes.subarray(start, lastEnd));
        start = lastEnd;
      }
    }
  }
  if (lastEnd > start) yield decoder.decode(bytes.subarray(start, lastEnd));
  if (lastEnd < bytes.length) complain("the last line was cut off and is left out");
}
