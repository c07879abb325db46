/**
 * The folder of a run while it is written: lock, journal, resume.
 *
 * @module
 */

import type { Clock, Files } from "../host.ts";
import type {
  DetailRow,
  ExperimentKind,
  PhaseRow,
  RunConfig,
  SinglePromptRow,
  SummaryRow,
} from "./schema.ts";

/** What {@linkcode openRunDir} needs. */
export interface RunDirOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** `--output-dir`; made if it is not there. */
  readonly dir: string;
  readonly experiment: ExperimentKind;
  /** `host.pid`. */
  readonly pid: number;
  /** `--force-restart`. */
  readonly forceRestart: boolean;
  /** kvmark's version, kept in `progress.json`. */
  readonly version?: string;
  /** Name of this machine, for the lock; read from the system where it is not given. */
  readonly hostName?: string;
  /** Whether a process of this machine runs; by default, whether `/proc/{pid}` is there. */
  readonly isAlive?: (pid: number) => Promise<boolean | undefined>;
  /** A string that no other run has; by default 128 random bits. */
  readonly nonce?: () => string;
  /** How often the lock is refreshed; 0 for never. 30 s by default. */
  readonly heartbeatMs?: number;
}

/** A results folder that is held by this process. */
export interface RunDir {
  readonly dir: string;
  /** `YYYYMMDD_HHMMSS` in the names of the files; kept over a resume. Set by `begin`. */
  readonly timestamp: string;
  /** Run id and nonce, kept over a resume. Set by `begin`. */
  readonly runSeed: string;
  /**
   * 1 for a new run, one more for each resume. It has to be part of the seed of unique text: the
   * cell that was cut off is run again, and its first try may still be in the server's cache.
   */
  readonly attempt: number;
  /**
   * Starts a run or goes on with it, and creates the output files.
   *
   * @param identity What changes results, by option name (`context_sizes`, `max_ttft`, …).
   * @returns Whether finished cells are kept, and what the user should know.
   * @throws {KvmarkError} `usage` if the folder holds a run with other settings; `io` if a file
   *   cannot be written.
   */
  begin(
    identity: Readonly<Record<string, unknown>>,
  ): Promise<{ readonly resumed: boolean; readonly notes: readonly string[] }>;
  isFinished(cellId: string): boolean;
  /** Summary rows of the finished cells, those of earlier attempts included. */
  finishedRows(): readonly SummaryRow[];
  /** Rows are buffered and written in whole lines, at the latest by `finishCell` and `close`. */
  appendDetails(contextSizeTokens: number, rows: readonly DetailRow[]): Promise<void>;
  appendPhase(row: PhaseRow): Promise<void>;
  appendSinglePrompt(rows: readonly SinglePromptRow[]): Promise<void>;
  /** Everything that was appended so far becomes permanent, and the cell is finished. */
  finishCell(cellId: string, row?: SummaryRow): Promise<void>;
  writeRunJson(config: RunConfig): Promise<void>;
  /** Writes `run_command_{time}.sh`. @param argv The whole command line. Secrets are left out. */
  writeRunCommand(argv: readonly string[]): Promise<void>;
  /** Writes what is buffered and gives the folder free. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Makes the folder and locks it.
 *
 * @throws {KvmarkError} `io` if it cannot be written or another kvmark holds it.
 */
export function openRunDir(_options: RunDirOptions): Promise<RunDir> {
  throw new Error("unfinished");
}
