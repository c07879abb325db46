/**
 * What the user is told when a run goes on.
 *
 * @module
 */

import type { Change } from "./progress.ts";

/** What became of the cells of a run that goes on. */
export interface Resumed {
  readonly timestamp: string;
  /** Finished cells, as `progress.json` had them. */
  readonly stored: number;
  /** Of these, the cells whose rows are all there. */
  readonly whole: number;
  /** Of these, the cells that are not run again. */
  readonly kept: number;
  /** True if finished cells were asked for again. */
  readonly again: boolean;
  readonly droppedLines: number;
}

/** For a run without a single row, which needs no other folder to be corrected. */
export function startedAnew(timestamp: string, changes: readonly Change[]): string {
  const what = changes.map(({ name, before, after }) => `${name} was ${before}, now ${after}`);
  return `The run of ${timestamp} had measured nothing: started anew with the settings of this ` +
    `command (${what.join("; ")})`;
}

/** One line for each thing that happened. */
export function resumeNotes(
  { timestamp, stored, whole, kept, again, droppedLines }: Resumed,
): string[] {
  const cells = (count: number) => `${count} finished ${count === 1 ? "cell" : "cells"}`;
  const notes = [`Resuming the run of ${timestamp}`];
  if (kept > 0) notes.push(`${cells(kept)} kept`);
  const why = again ? "not every shard has them" : "they had failed or were cut short";
  if (whole > kept) notes.push(`${cells(whole - kept)} run again: ${why}`);
  if (stored > whole) {
    notes.push(`${cells(stored - whole)} run again: rows are missing or damaged`);
  }
  if (droppedLines > 0) {
    notes.push(`${droppedLines} rows of an unfinished cell dropped; it is run again`);
  }
  return notes;
}
