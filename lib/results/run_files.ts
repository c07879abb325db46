/**
 * Names and headers of the files of a run.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { headerLine } from "./csv.ts";
import { readOwnText } from "./own_text.ts";
import { parseProgress, type Progress, PROGRESS_NAME } from "./progress.ts";
import {
  DETAIL_COLUMNS,
  type ExperimentKind,
  PHASE_COLUMNS,
  SERVER_METRICS_COLUMNS,
  SINGLE_PROMPT_COLUMNS,
  SUMMARY_COLUMNS,
} from "./schema.ts";

const RESULT_FILE =
  /^(?:summary|server_metrics|detailed_results|phase_metadata|single_prompt_results|sustained_periods)_(?:.*_)?\d{8}_\d{6}\.csv$/;

/** True for the CSV files of kvmark and of the Python suite. */
export function isResultFile(name: string): boolean {
  return RESULT_FILE.test(name);
}

/**
 * The run in a folder that may be resumed; with `--force-restart` there is none.
 *
 * @throws {KvmarkError} `usage` for results that kvmark cannot go on with; `io` if `progress.json`
 *   is damaged.
 */
export async function storedProgress(
  files: Files,
  dir: string,
  forceRestart: boolean,
): Promise<Progress | undefined> {
  const names = await files.list(dir);
  const foreign = (what: string) =>
    new KvmarkError("usage", `The folder ${dir} holds ${what}`, {
      hint: "give another --output-dir; kvmark index and kvmark regenerate read this one",
    });
  if (!names.includes(PROGRESS_NAME)) {
    const found = names.find(isResultFile);
    if (found === undefined) return undefined;
    throw foreign(`results (${found}) without kvmark's ${PROGRESS_NAME}`);
  }
  let stored: Progress | undefined;
  try {
    stored = parseProgress(await readOwnText(files, `${dir}/${PROGRESS_NAME}`));
  } catch (error) {
    if (forceRestart) return undefined;
    throw error;
  }
  if (stored === undefined) throw foreign("a run of the Python suite");
  return forceRestart ? undefined : stored;
}

/** The tables of a run among the names in its folder. */
export function tablesOf(names: readonly string[], timestamp: string): string[] {
  return names.filter((name) => isResultFile(name) && name.endsWith(`_${timestamp}.csv`));
}

/**
 * Removes the files of a run that has no row at all, of an unfinished cell neither: its server was
 * not reached, or it was stopped before the first answer.
 *
 * @param names The run's tables.
 * @returns False, with all files in place, if the run has rows.
 */
export async function clearUnmeasured(
  files: Files,
  dir: string,
  stored: Progress,
  names: readonly string[],
): Promise<boolean> {
  if (stored.commits.length > 0) return false;
  for (const name of names) {
    // Rows of the servers' metrics are of no request.
    if (name.startsWith("server_metrics_")) continue;
    const bytes = await files.readBytes(`${dir}/${name}`);
    const end = bytes.indexOf(0x0a);
    if (end >= 0 && end < bytes.length - 1) return false;
  }
  for (const name of [...names, `run_command_${stored.timestamp}.sh`]) {
    if (await files.stat(`${dir}/${name}`) !== undefined) await files.remove(`${dir}/${name}`);
  }
  return true;
}

/** The file of the request rows of a context size. */
export function detailsName(contextSizeTokens: number, timestamp: string): string {
  return `detailed_results_${contextSizeTokens}_${timestamp}.csv`;
}

/** The files that are made before the first request, with their header lines. */
export function tableHeaders(
  experiment: ExperimentKind,
  timestamp: string,
): ReadonlyMap<string, string> {
  if (experiment === "single-prompt") {
    const name = `single_prompt_results_${timestamp}.csv`;
    return new Map([[name, headerLine(SINGLE_PROMPT_COLUMNS)]]);
  }
  return new Map([
    [`summary_${timestamp}.csv`, headerLine(SUMMARY_COLUMNS)],
    [`phase_metadata_${timestamp}.csv`, headerLine(PHASE_COLUMNS)],
  ]);
}

/**
 * Rows of another kvmark may have other columns: they cannot stand in one file.
 *
 * @throws {KvmarkError} `usage` if a file of the run has another header.
 */
export async function checkHeaders(
  files: Files,
  dir: string,
  names: readonly string[],
  stored: Progress,
): Promise<void> {
  const expected = tableHeaders(stored.experiment, stored.timestamp);
  for (const name of names) {
    const header = expected.get(name) ?? lazyHeader(name);
    const bytes = await files.readBytes(`${dir}/${name}`);
    const end = bytes.indexOf(0x0a);
    // Without a line end it was cut off before any row, and is made anew.
    if (header === undefined || end < 0) continue;
    if (new TextDecoder().decode(bytes.subarray(0, end + 1)) === header) continue;
    throw new KvmarkError(
      "usage",
      `${dir}/${name} was written by kvmark ${stored.version} with other columns`,
      { hint: "give --force-restart to start over (the old files stay), or another --output-dir" },
    );
  }
}

/** The header of a file that is made with its first row. */
function lazyHeader(name: string): string | undefined {
  if (name.startsWith("detailed_results_")) return headerLine(DETAIL_COLUMNS);
  return name.startsWith("server_metrics_") ? headerLine(SERVER_METRICS_COLUMNS) : undefined;
}

/** `YYYYMMDD_HHMMSS` in local time. */
export function timestampOf(wallMs: number): string {
  const at = new Date(wallMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  return `${day}_${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
}

/** The time, or the first second after it that no file has in its name. */
export function freeTimestamp(names: readonly string[], nowMs: number): string {
  for (let wallMs = nowMs;; wallMs += 1000) {
    const timestamp = timestampOf(wallMs);
    if (!names.some((name) => name.includes(timestamp))) return timestamp;
  }
}
