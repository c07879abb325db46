import { parse } from "csv-parse/sync";

/** Rows of a CSV text by column name; read by the library alone, so that kvmark's reader is not its own judge. */
export function readCsvText(text: string): Record<string, string>[] {
  return parse(text, { columns: true, skip_empty_lines: true }) as Record<string, string>[];
}
