/**
 * `progress.json`: which cells are finished, and how long each file was when they were.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { seedFor } from "../random.ts";
import type { ExperimentKind } from "./schema.ts";
import { type Settings, storedSettings, unitOf } from "./settings.ts";

/** Name of the file. */
export const PROGRESS_NAME = "progress.json";
/**
 * Of `progress.json` and `run.json`. Raised when an older kvmark cannot go on with the folder:
 * before 2, durations among the settings were in milliseconds.
 */
export const PROGRESS_FORMAT = 2;

/** Settings that change results, by option name; durations in seconds. */
export type Identity = Settings;

/** A finished cell, and the lengths in bytes of the files that grew with it. */
export interface Commit {
  readonly cell: string;
  readonly bytes: Readonly<Record<string, number>>;
  /** True if nothing succeeded in the cell: a resume takes its rows out and runs it again. */
  readonly redo?: boolean;
  /** True if a shard came too late for a part of the cell: a new round measures it again. */
  readonly partial?: boolean;
}

/** A run, as `progress.json` keeps it. */
export interface Progress {
  readonly experiment: ExperimentKind;
  readonly version: string;
  /** `YYYYMMDD_HHMMSS` of the files. */
  readonly timestamp: string;
  readonly runSeed: string;
  /** How often the run was started: 1, and 1 more for each resume. */
  readonly attempt: number;
  readonly identity: Identity;
  readonly commits: readonly Commit[];
}

/** A setting of a stored run that is not the same now. */
export interface Change {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

/** Lists that may grow: the cells that are finished stay what they are. */
const GROWING = ["context_sizes", "cache_hit_rates", "working_set_sizes"];

/**
 * The text of `progress.json`. The keys of the Python suite are kept; kvmark's own are in `kvmark`.
 *
 * @param lastUpdate ISO 8601.
 */
export function progressText(progress: Progress, lastUpdate: string): string {
  const { identity, commits, experiment, version, timestamp, runSeed, attempt } = progress;
  const stored = {
    test_id: seedFor(canonical(identity)).toString(16).padStart(16, "0"),
    parameters: identity,
    completed_tests: commits.filter((one) => one.redo !== true).map((one) => one.cell),
    last_update: lastUpdate,
    kvmark: {
      format: PROGRESS_FORMAT,
      version,
      experiment,
      timestamp,
      run_seed: runSeed,
      attempt,
      commits,
    },
  };
  return JSON.stringify(stored, undefined, 2) + "\n";
}

/**
 * Reads `progress.json`.
 *
 * @returns `undefined` for one that kvmark did not write.
 * @throws {KvmarkError} `io` if it is damaged, or of a later kvmark.
 */
export function parseProgress(text: string): Progress | undefined {
  const damaged = (what: string) =>
    new KvmarkError("io", `${PROGRESS_NAME} cannot be read: ${what}`, {
      hint: "give --force-restart to start over (the CSV files stay), or another --output-dir",
    });
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    throw damaged("it is not JSON");
  }
  if (!isObject(stored)) throw damaged("it is not an object");
  const { kvmark, parameters } = stored;
  if (kvmark === undefined) return undefined;
  if (!isObject(kvmark) || !isObject(parameters)) throw damaged("kvmark or parameters is missing");
  if (!isShallow(parameters, MOST_LEVELS)) throw damaged("parameters is nested too deeply");
  if (typeof kvmark.format === "number" && kvmark.format > PROGRESS_FORMAT) {
    throw damaged(`a later kvmark (${String(kvmark.version)}) wrote it`);
  }
  const { experiment, version, timestamp, run_seed: runSeed, attempt, commits } = kvmark;
  const isWhole = isExperiment(experiment) && typeof version === "string" &&
    typeof timestamp === "string" && /^\d{8}_\d{6}$/.test(timestamp) &&
    typeof runSeed === "string" && Number.isSafeInteger(attempt) && Array.isArray(commits) &&
    commits.every(isCommit);
  if (!isWhole) throw damaged("an entry of kvmark is missing or of the wrong kind");
  return {
    experiment,
    version,
    timestamp,
    runSeed,
    attempt: attempt as number,
    identity: storedSettings(parameters, kvmark.format),
    commits,
  };
}

/** The identity as it is stored: what JSON cannot hold is left out. */
export function storedIdentity(identity: Identity): Identity {
  return JSON.parse(JSON.stringify(identity)) as Identity;
}

/**
 * The settings that keep a run from being resumed. Lists of context sizes, hit rates and working
 * sets may grow.
 */
export function changesOf(before: Identity, after: Identity): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.filter((name) => !isSame(name, before[name], after[name])).map((name) => ({
    name,
    before: shown(name, before[name]),
    after: shown(name, after[name]),
  }));
}

function isSame(name: string, before: unknown, after: unknown): boolean {
  if (GROWING.includes(name.replaceAll("-", "_")) && Array.isArray(before)) {
    const now = new Set(Array.isArray(after) ? after.map(canonical) : []);
    return before.every((value) => now.has(canonical(value)));
  }
  return canonical(before) === canonical(after);
}

/** JSON with sorted keys. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "null";
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

function shown(name: string, value: unknown): string {
  if (value === undefined || value === null) return "not set";
  if (typeof value === "number") return `${value}${unitOf(name)}`;
  const text = Array.isArray(value) ? value.join(" ") : String(
    typeof value === "object" ? canonical(value) : value,
  );
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isExperiment(value: unknown): value is ExperimentKind {
  return value === "cache-rate" || value === "working-set" || value === "single-prompt";
}

function isCommit(value: unknown): value is Commit {
  return isObject(value) && typeof value.cell === "string" && isObject(value.bytes) &&
    Object.entries(value.bytes).every(([name, bytes]) => isFileName(name) && isLength(bytes)) &&
    [value.redo, value.partial].every((flag) => flag === undefined || typeof flag === "boolean");
}

/** The error for a folder whose run has other settings. */
export function otherSettings(dir: string, changes: ReturnType<typeof changesOf>): KvmarkError {
  return new KvmarkError("usage", `The folder ${dir} holds a run with other settings`, {
    problems: changes.map(({ name, before, after }) => `${name} was ${before}, now ${after}`),
    hint: "give --force-restart to start over (the old files stay), or another --output-dir",
  });
}

/** Settings are values and lists; what is deeper is not kvmark's, and may be bottomless. */
const MOST_LEVELS = 10;

function isShallow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((one) => isShallow(one, levels - 1));
}

/** A name of a file in the folder itself: `progress.json` may come from anywhere. */
function isFileName(name: string): boolean {
  return name !== "" && !/[/\\\0]|^\.\.?$/.test(name);
}

function isLength(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
