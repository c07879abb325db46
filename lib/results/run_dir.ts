/**
 * The folder of a run while it is written: lock, journal, resume.
 *
 * `progress.json` is the one source of truth. It is replaced as a whole after the rows of a cell
 * are in their files, so a run that is killed at any instant goes on with the cell that was not
 * finished and ends with the same rows as an unbroken one.
 *
 * @module
 */

import type { Clock, Files } from "../host.ts";
import { type AnyRow, readRows } from "./csv.ts";
import { Journal, mendFiles, writeError } from "./journal.ts";
import { type Lock, takeLock } from "./lock.ts";
import {
  changesOf,
  type Commit,
  type Identity,
  otherSettings,
  type Progress,
  PROGRESS_FORMAT,
  PROGRESS_NAME,
  progressText,
  storedIdentity,
} from "./progress.ts";
import { takeOutRedo } from "./redo.ts";
import { resumeNotes, startedAnew } from "./resume_notes.ts";
import { runCommandScript } from "./run_command.ts";
import {
  checkHeaders,
  clearUnmeasured,
  detailsName,
  freeTimestamp,
  storedProgress,
  tableHeaders,
  tablesOf,
} from "./run_files.ts";
import {
  type Column,
  DETAIL_COLUMNS,
  type DetailRow,
  type ExperimentKind,
  PHASE_COLUMNS,
  type PhaseRow,
  type RunConfig,
  SERVER_METRICS_COLUMNS,
  type ServerMetricsRow,
  SINGLE_PROMPT_COLUMNS,
  type SinglePromptRow,
  SUMMARY_COLUMNS,
  type SummaryRow,
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
  /** Name of this machine, for the lock. */
  readonly hostName?: string;
  /** The kernel's file lock; see `lock.ts`. Without it two kvmark on one folder are found late. */
  readonly tryLock?: (path: string) => Promise<(() => Promise<void>) | undefined>;
  /** Whether a process of this machine runs; only asked where there is no kernel lock. */
  readonly isAlive?: (pid: number) => Promise<boolean | undefined>;
  /** A string that no other run has; by default 122 random bits. */
  readonly nonce?: () => string;
}

/** How a cell is finished; see `Commit`. */
export type FinishOptions = { readonly [Name in "redo" | "partial"]?: boolean };

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
   * @param again Finished cells whose rows are taken out, to be run again.
   * @returns Whether finished cells are kept, and what the user should know.
   * @throws {KvmarkError} `usage` if the folder holds a run with other settings; `io` if a file
   *   cannot be read or written.
   */
  begin(identity: Identity, again?: ReadonlySet<string>): Promise<{
    readonly resumed: boolean;
    readonly notes: readonly string[];
  }>;
  isFinished(cellId: string): boolean;
  /** Summary rows of the finished cells, those of earlier attempts included. */
  finishedRows(): readonly SummaryRow[];
  /** Rows are buffered and written in whole lines, at the latest by `finishCell` and `close`. */
  appendDetails(contextSizeTokens: number, rows: readonly DetailRow[]): Promise<void>;
  /** Writes all rows that are buffered as well. */
  appendPhase(row: PhaseRow): Promise<void>;
  appendSinglePrompt(rows: readonly SinglePromptRow[]): Promise<void>;
  appendServerMetrics(rows: readonly ServerMetricsRow[]): Promise<void>;
  /**
   * Everything that was appended so far becomes permanent, and the cell is finished. With `redo`
   * only for this attempt: a resume takes its rows out and runs it again. `partial` is kept.
   */
  finishCell(cellId: string, row?: SummaryRow, options?: FinishOptions): Promise<void>;
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
export async function openRunDir(options: RunDirOptions): Promise<RunDir> {
  const { files, dir } = options;
  const nonce = (options.nonce ?? (() => crypto.randomUUID()))();
  try {
    const there = await files.stat(dir);
    if (there !== undefined && !there.isDirectory) throw new Error("it is a file, not a folder");
    await files.makeDir(dir);
    return new OpenRunDir(options, nonce, await takeLock({ ...options, nonce }));
  } catch (error) {
    throw writeError(dir, error);
  }
}

/** What is known from `begin` on. */
interface Begun {
  readonly progress: Progress;
  readonly journal: Journal;
  readonly rows: SummaryRow[];
}

class OpenRunDir implements RunDir {
  readonly dir: string;
  readonly #options: RunDirOptions;
  readonly #nonce: string;
  readonly #lock: Lock;
  #begun: Begun | undefined;
  #commits: Commit[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: RunDirOptions, nonce: string, lock: Lock) {
    this.dir = options.dir;
    this.#options = options;
    this.#nonce = nonce;
    this.#lock = lock;
  }

  get timestamp(): string {
    return this.#run().progress.timestamp;
  }

  get runSeed(): string {
    return this.#run().progress.runSeed;
  }

  get attempt(): number {
    return this.#run().progress.attempt;
  }

  begin(
    identity: Identity,
    again: ReadonlySet<string> = new Set(),
  ): Promise<{ resumed: boolean; notes: readonly string[] }> {
    return this.#inOrder(async () => {
      const { files, forceRestart } = this.#options;
      const stored = await storedProgress(files, this.dir, forceRestart);
      const kept = storedIdentity(identity);
      if (stored === undefined) return await this.#start(kept);
      const commits = stored.commits.map((commit) =>
        again.has(commit.cell) ? { ...commit, redo: true } : commit
      );
      return await this.#resume({ ...stored, commits }, kept, again.size > 0);
    });
  }

  isFinished(cellId: string): boolean {
    return this.#commits.some((commit) => commit.cell === cellId);
  }

  finishedRows(): readonly SummaryRow[] {
    return this.#run().rows;
  }

  appendDetails(contextSizeTokens: number, rows: readonly DetailRow[]): Promise<void> {
    const name = detailsName(contextSizeTokens, this.timestamp);
    return this.#append(name, DETAIL_COLUMNS, rows);
  }

  appendPhase(row: PhaseRow): Promise<void> {
    return this.#append(`phase_metadata_${this.timestamp}.csv`, PHASE_COLUMNS, [row], true);
  }

  appendSinglePrompt(rows: readonly SinglePromptRow[]): Promise<void> {
    const name = `single_prompt_results_${this.timestamp}.csv`;
    return this.#append(name, SINGLE_PROMPT_COLUMNS, rows, true);
  }

  appendServerMetrics(rows: readonly ServerMetricsRow[]): Promise<void> {
    if (rows.length === 0) return Promise.resolve();
    return this.#append(`server_metrics_${this.timestamp}.csv`, SERVER_METRICS_COLUMNS, rows);
  }

  finishCell(cellId: string, row?: SummaryRow, options: FinishOptions = {}): Promise<void> {
    const { redo = false, partial = false } = options;
    return this.#inOrder(async () => {
      const { journal, progress, rows } = this.#run();
      if (this.isFinished(cellId)) throw new Error(`Cell ${cellId} is finished already`);
      if (row !== undefined) {
        await journal.append(`summary_${progress.timestamp}.csv`, SUMMARY_COLUMNS, [row]);
      }
      await journal.flush();
      const commit = {
        cell: cellId,
        bytes: journal.takeGrown(),
        ...(redo && { redo }),
        ...(partial && { partial }),
      };
      const commits = [...this.#commits, commit];
      try {
        await this.#lock.confirm();
        await this.#write(PROGRESS_NAME, this.#progressText({ ...progress, commits }));
      } catch (error) {
        journal.stop(error);
        throw error;
      }
      this.#commits = commits;
      if (row !== undefined) rows.push(row);
    });
  }

  writeRunJson(config: RunConfig): Promise<void> {
    return this.#inOrder(() => {
      const marks = { format: PROGRESS_FORMAT, timestamp: this.timestamp };
      const text = JSON.stringify({ ...config, ...marks }, undefined, 2);
      return this.#write("run.json", text + "\n");
    });
  }

  writeRunCommand(argv: readonly string[]): Promise<void> {
    return this.#inOrder(() => {
      const script = runCommandScript(argv, this.#now());
      return this.#write(`run_command_${this.timestamp}.sh`, script, 0o755);
    });
  }

  close(): Promise<void> {
    return this.#inOrder(async () => {
      if (this.#closed) return;
      this.#closed = true;
      let failure: unknown;
      await this.#begun?.journal.flush().catch((error) => void (failure = error));
      // A folder that is gone cannot be given free; why it is gone was the first failure.
      await this.#lock.release().catch((error) => void (failure ??= writeError(this.dir, error)));
      if (failure !== undefined) throw failure;
    });
  }

  async #start(identity: Identity): Promise<{ resumed: boolean; notes: readonly string[] }> {
    const { experiment, version = "unknown" } = this.#options;
    const names = await this.#options.files.list(this.dir);
    const timestamp = freeTimestamp(names, this.#options.clock.wallMs());
    const progress: Progress = {
      experiment,
      version,
      timestamp,
      runSeed: `${timestamp}-${this.#nonce}`,
      attempt: 1,
      identity,
      commits: [],
    };
    // First of all files: a folder with CSV files but without it is not kvmark's.
    await this.#write(PROGRESS_NAME, this.#progressText(progress));
    const bytes = new Map<string, number>();
    for (const [name, header] of tableHeaders(experiment, timestamp)) {
      await this.#write(name, header);
      bytes.set(name, new TextEncoder().encode(header).length);
    }
    const journal = new Journal(this.#options.files, this.dir, bytes);
    this.#begun = { progress, journal, rows: [] };
    return { resumed: false, notes: this.#lock.notes };
  }

  async #resume(
    stored: Progress,
    identity: Identity,
    again: boolean,
  ): Promise<{ resumed: boolean; notes: readonly string[] }> {
    const { files, experiment, version = "unknown" } = this.#options;
    const { timestamp } = stored;
    const changes = changesOf(
      { experiment: stored.experiment, ...stored.identity },
      { experiment, ...identity },
    );
    const names = tablesOf(await files.list(this.dir), timestamp);
    if (changes.length > 0) {
      const cleared = await clearUnmeasured(files, this.dir, stored, names);
      if (!cleared) throw otherSettings(this.dir, changes);
      const { notes } = await this.#start(identity);
      return { resumed: false, notes: [...notes, startedAnew(timestamp, changes)] };
    }
    await checkHeaders(files, this.dir, names, stored);
    const whole = await this.#mend(stored, names);
    const mended = await takeOutRedo(
      files,
      this.dir,
      whole,
      (commits) => this.#write(PROGRESS_NAME, this.#progressText({ ...stored, commits })),
    );
    const progress = {
      ...stored,
      version,
      attempt: stored.attempt + 1,
      identity,
      commits: mended.commits,
    };
    await this.#write(PROGRESS_NAME, this.#progressText(progress));
    this.#commits = [...mended.commits];
    const summary = `summary_${timestamp}.csv`;
    const rows = mended.bytes.has(summary)
      ? readRows(await files.readBytes(`${this.dir}/${summary}`), SUMMARY_COLUMNS)
      : [];
    this.#begun = { progress, journal: new Journal(files, this.dir, mended.bytes), rows };
    const notes = resumeNotes({
      timestamp,
      stored: stored.commits.length,
      whole: whole.commits.length,
      kept: mended.commits.length,
      again,
      droppedLines: mended.droppedLines,
    });
    return { resumed: true, notes: [...this.#lock.notes, ...notes] };
  }

  async #mend(stored: Progress, names: readonly string[]) {
    const headers = tableHeaders(stored.experiment, stored.timestamp);
    try {
      return await mendFiles(this.#options.files, this.dir, stored.commits, names, headers);
    } catch (error) {
      throw writeError(this.dir, error);
    }
  }

  #append(name: string, columns: readonly Column[], rows: readonly AnyRow[], flush = false) {
    return this.#inOrder(async () => {
      const { journal } = this.#run();
      await journal.append(name, columns, rows);
      if (flush) await journal.flush();
    });
  }

  #progressText(progress: Progress): string {
    return progressText(progress, this.#now());
  }

  async #write(name: string, text: string, mode?: number): Promise<void> {
    try {
      await this.#options.files.writeText(`${this.dir}/${name}`, text, mode);
    } catch (error) {
      throw writeError(`${this.dir}/${name}`, error);
    }
  }

  #now(): string {
    return new Date(this.#options.clock.wallMs()).toISOString();
  }

  #run(): Begun {
    if (this.#begun === undefined) throw new Error("The run has not begun");
    return this.#begun;
  }

  /** Runs one call after the other, in the order in which they were made. */
  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
