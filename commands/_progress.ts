/**
 * The conversation on stderr: a live line on a terminal, plain lines elsewhere.
 *
 * @module
 */

import { SingleBar } from "cli-progress";
import type { CellPosition, RunListener } from "../lib/experiments/listener.ts";
import type { Host } from "../lib/host.ts";
import type { Decision, PlannedPeriod } from "../lib/load/controller.ts";
import type { RunPeriod } from "../lib/load/runner.ts";
import type { RequestRecord } from "../lib/record.ts";
import type { SummaryRow } from "../lib/results/schema.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../lib/units.ts";

/** How much is said. */
export interface ProgressOptions {
  /** Only warnings. */
  readonly quiet: boolean;
  readonly ttftLimitMs?: number;
}

/** A listener that writes to stderr. */
export function progressListener(host: Host, options: ProgressOptions): RunListener & Disposable {
  return new Progress(host, options);
}

class Progress implements RunListener, Disposable {
  readonly #host: Host;
  readonly #options: ProgressOptions;
  readonly #startAtMs: number;
  #cell: CellPosition | undefined;
  #bar: SingleBar | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #done = 0;
  #failed = 0;

  constructor(host: Host, options: ProgressOptions) {
    this.#host = host;
    this.#options = options;
    this.#startAtMs = host.clock.nowMs();
  }

  note(text: string): void {
    if (!this.#options.quiet) this.#line(text);
  }

  warning(text: string): void {
    this.#line(`warning: ${text}`);
  }

  cellStarted(position: CellPosition): void {
    this.#cell = position;
    if (!this.#options.quiet) {
      this.#line(`cell ${position.index} of ${position.count}: ${position.title}${this.#eta()}`);
    }
  }

  warmUpStarted(prompts: number): void {
    this.#begin(`warm-up, ${formatCount(prompts)} prompts`, undefined);
  }

  warmUpFinished(prompts: number, failed: number, elapsedMs: number): void {
    this.#end();
    const failures = failed > 0 ? `, ${failed} failed` : "";
    this.note(`  warm-up: ${formatCount(prompts)} prompts in ${formatMs(elapsedMs)}${failures}`);
  }

  periodStarted(planned: PlannedPeriod): void {
    this.#begin(`${planned.periodId}, concurrency ${planned.concurrency}`, planned.durationMs);
  }

  record(record: RequestRecord): void {
    this.#done++;
    if (record.failure !== undefined) this.#failed++;
  }

  periodFinished({ planned, summary, observation }: RunPeriod, next: Decision): void {
    this.#end();
    const limit = this.#options.ttftLimitMs;
    const against = limit === undefined ? "" : ` (limit ${formatMs(limit)})`;
    const failed = summary.failed > 0 ? `, ${summary.failed} failed` : "";
    const reason = next.action === "stop" ? next.peak.reason : next.step.reason;
    this.note(
      `  ${planned.periodId}: ${formatCount(summary.succeeded)} requests${failed}, TTFT ` +
        `${formatMs(observation.measuredTtftMs)}${against}, ` +
        `${formatShort(summary.inputTokensPerSec)} in / ` +
        `${formatShort(summary.outputTokensPerSec)} out tokens/s -> ${next.action}: ${reason}`,
    );
  }

  cellFinished(position: CellPosition, row: SummaryRow): void {
    const verdict = row.hit_rate_verdict ?? "unchecked";
    this.note(
      `  ${position.title}: hit rate ${formatPercent(row.observed_hit_rate)} of ` +
        `${formatPercent(row.achievable_hit_rate)} achievable: ${verdict}`,
    );
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  /** A rough guess from the cells so far. */
  #eta(): string {
    const { index, count } = this.#cell!;
    if (index < 2) return "";
    const elapsedMs = this.#host.clock.nowMs() - this.#startAtMs;
    return ` (about ${formatMs(elapsedMs / (index - 1) * (count - index + 1))} to go)`;
  }

  #line(text: string): void {
    this.#bar?.stop();
    this.#host.stderr.write(`${text}\n`);
  }

  #begin(title: string, durationMs: number | undefined): void {
    [this.#done, this.#failed] = [0, 0];
    if (!this.#host.stderr.isTerminal || this.#options.quiet) return;
    const startAtMs = this.#host.clock.nowMs();
    const bar = new SingleBar({
      format: "  {title} [{bar}] {done} done{failed}",
      clearOnComplete: true,
      hideCursor: true,
      barsize: 24,
      fps: 5,
    });
    bar.start(durationMs ?? 1, 0, { title, done: 0, failed: "" });
    this.#bar = bar;
    this.#timer = setInterval(() => {
      const elapsedMs = this.#host.clock.nowMs() - startAtMs;
      const failed = this.#failed > 0 ? `, ${this.#failed} failed` : "";
      bar.update(Math.min(elapsedMs, durationMs ?? 0), { done: this.#done, failed });
    }, 200);
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
