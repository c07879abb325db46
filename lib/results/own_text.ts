/**
 * Reads the small files that kvmark writes beside its tables, and no larger ones.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";

/** A `progress.json` of 100,000 cells has 20 MB. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * The text of a small file.
 *
 * @throws {KvmarkError} `io` for a folder, and for a file that is longer than any of kvmark's.
 */
export async function readOwnText(files: Files, path: string): Promise<string> {
  const found = await files.stat(path);
  const isTooLong = (found?.sizeBytes ?? 0) > MOST_BYTES;
  if (found?.isDirectory !== true && !isTooLong) return await files.readText(path);
  const what = isTooLong ? `has ${found?.sizeBytes} bytes` : "is a folder";
  throw new KvmarkError("io", `${path} ${what}: kvmark did not write it`, {
    hint: "give --force-restart to start over (the CSV files stay), or another --output-dir",
  });
}
