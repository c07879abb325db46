/**
 * Tables of values: cells as a person reads them, and as a program reads them (CSV).
 *
 * @module
 */

import { formatCount, formatMs, formatPercent, formatShort } from "../units.ts";
import type { CellKind, GraphTable } from "./figure.ts";
import { formatRatio } from "./ratios.ts";

const UNIT: Readonly<Record<CellKind, string>> = {
  text: "",
  count: "",
  rate: "",
  seconds: "s",
  ms: "ms",
  percent: "%",
  ratio: "",
};

/** A value with its unit and sensible digits; a dash where there is none. */
export function formatCell(kind: CellKind, value: number | string | undefined): string {
  if (value === undefined || value === "") return kind === "text" ? "" : "–";
  if (typeof value === "string") return value;
  switch (kind) {
    case "count":
      return formatCount(value);
    case "rate":
      return formatShort(value);
    case "seconds":
      return formatMs(value * 1000);
    case "ms":
      return formatMs(value);
    case "percent":
      return formatPercent(value);
    case "ratio":
      return formatRatio(value);
    case "text":
      return String(value);
  }
}

/** The table with raw values and units in its header, for a CSV download. */
export function csvOf(table: GraphTable): {
  readonly header: readonly string[];
  readonly rows: readonly (readonly (number | string | null)[])[];
} {
  return {
    header: table.columns.map(({ label, kind }) => UNIT[kind] ? `${label} (${UNIT[kind]})` : label),
    rows: table.rows.map((row) => row.map((value) => value ?? null)),
  };
}

/** A table of names and values. Columns: what, value, and evidence where given. */
export function factTable(
  rows: readonly (readonly [string, string] | readonly [string, string, string])[],
): GraphTable {
  const evidence = rows.some((row) => row.length > 2);
  return {
    columns: [
      { label: "What", kind: "text" },
      { label: "Value", kind: "text" },
      ...(evidence ? [{ label: "Evidence", kind: "text" as const }] : []),
    ],
    rows: rows.map((row) => [row[0], row[1], ...(evidence ? [row[2] ?? ""] : [])]),
  };
}

/** An option's value as one line: lists with commas, the rest as JSON would write it. */
export function formatParameter(value: unknown): string {
  if (value === null || value === undefined || value === "") return "–";
  if (Array.isArray(value)) {
    return value.length === 0 ? "–" : value.map(formatParameter).join(", ");
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The table without columns in which no row has a value. */
export function withoutEmptyColumns({ columns, rows }: GraphTable): GraphTable {
  const isEmpty = (value: number | string | undefined) => value === undefined || value === "";
  const kept = columns.map((_, at) => rows.length === 0 || rows.some((row) => !isEmpty(row[at])));
  return {
    columns: columns.filter((_, at) => kept[at]),
    rows: rows.map((row) => row.filter((_, at) => kept[at])),
  };
}
