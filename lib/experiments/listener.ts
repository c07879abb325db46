/**
 * What an experiment says while it runs. The commands turn it into a progress bar or plain lines;
 * the library itself never prints.
 *
 * @module
 */

import type { Decision, PlannedPeriod } from "../load/controller.ts";
import type { RunPeriod } from "../load/runner.ts";
import type { RequestRecord } from "../record.ts";
import type { SummaryRow } from "../results/schema.ts";

/** Where the run stands, for a line such as `cell 3 of 12`. */
export interface CellPosition {
  readonly cellId: string;
  /** From 1. */
  readonly index: number;
  readonly count: number;
  /** Cells that are not finished, this one included; a resume skips the others. */
  readonly remaining: number;
  /** For people: `8,000 tokens at 50 %`. */
  readonly title: string;
}

/** Receives the events of a run, in order, on the main thread. */
export interface RunListener {
  /** A fact that the user should be able to read once: which tokenizer, which server. */
  note(text: string): void;
  /** Something that makes a result doubtful or incomplete. */
  warning(text: string): void;
  cellStarted?(position: CellPosition): void;
  /** A period is about to start; `target` is the number of requests, where it is known. */
  periodStarted?(planned: PlannedPeriod, reason: string): void;
  /** Warm-up progress: prompts that were sent of those to send. */
  warmUpStarted?(prompts: number): void;
  warmUpFinished?(prompts: number, failed: number, elapsedMs: number): void;
  record?(record: RequestRecord): void;
  periodFinished?(period: RunPeriod, next: Decision): void;
  cellFinished?(position: CellPosition, row: SummaryRow): void;
}

/**
 * A listener that keeps the warnings and passes everything on.
 *
 * @param clean Makes text that may come from a server fit to be said.
 */
export function collectWarnings(
  listener: RunListener,
  clean: (text: string) => string = (text) => text,
): RunListener & { warnings: string[] } {
  const warnings: string[] = [];
  return {
    warnings,
    note: (text) => listener.note(clean(text)),
    warning(said) {
      const text = clean(said);
      if (warnings.includes(text)) return;
      warnings.push(text);
      listener.warning(text);
    },
    cellStarted: (position) => listener.cellStarted?.(position),
    periodStarted: (planned, reason) => listener.periodStarted?.(planned, reason),
    warmUpStarted: (prompts) => listener.warmUpStarted?.(prompts),
    warmUpFinished: (...args) => listener.warmUpFinished?.(...args),
    record: (record) => listener.record?.(record),
    periodFinished: (period, next) => listener.periodFinished?.(period, next),
    cellFinished: (position, row) => listener.cellFinished?.(position, row),
  };
}
