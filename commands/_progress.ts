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
import { promptTokens, ttftMs } from "../lib/metrics/durations.ts";
import { percentile, sortedCopy } from "../lib/metrics/intervals.ts";
import type { RequestRecord } from "../lib/record.ts";
import type { SummaryRow } from "../lib/results/schema.ts";
import { formatCount, formatMs, formatPercent, formatShort } from "../lib/units.ts";

/** How much is said. */
export interface ProgressOptions {
  /** Only warnings. */
  readonly quiet: boolean;
  /** One line for each request. */
  readonly verbose?: boolean;
  readonly ttftLimitMs?: number;
}

/** A listener that writes to stderr. */
export function progressListener(host: Host, options: ProgressOptions): RunListener & Disposable {
  return new Progress(host, options);
}

class Progress implements RunListener, Disposable {
  readonly #host: Host;
  readonly #options: ProgressOptions;
  /** When the first cell of this attempt started, and how many have started since. */
  #firstCellAtMs: number | undefined;
  #cellsStarted = 0;
  #cell: CellPosition | undefined;
  #bar: SingleBar | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #period: LivePeriod = newPeriod(0);

  constructor(host: Host, options: ProgressOptions) {
    this.#host = host;
    this.#options = options;
  }

  note(text: string): void {
    if (!this.#options.quiet) this.#line(text);
  }

  warning(text: string): void {
    this.#line(`warning: ${text}`);
  }

  cellStarted(position: CellPosition): void {
    this.#cell = position;
    this.#firstCellAtMs ??= this.#host.clock.nowMs();
    this.#cellsStarted++;
    if (!this.#options.quiet) {
      this.#line(`cell ${position.index} of ${position.count}: ${position.title}${this.#eta()}`);
    }
  }

  warmUpStarted(prompts: number): void {
    this.#begin(`warm-up, ${formatCount(prompts)} prompts`, { of: prompts });
  }

  warmUpFinished(prompts: number, failed: number, elapsedMs: number): void {
    this.#end();
    const failures = failed > 0 ? `, ${failed} failed` : "";
    this.note(`  warm-up: ${formatCount(prompts)} prompts in ${formatMs(elapsedMs)}${failures}`);
  }

  periodStarted(planned: PlannedPeriod): void {
    const { periodId, durationMs, concurrency } = planned;
    const cell = this.#cell === undefined ? "" : `${this.#cell.index}/${this.#cell.count} `;
    this.#begin(`${cell}${periodId}`, { durationMs, concurrency });
  }

  record(record: RequestRecord): void {
    addTo(this.#period, record);
    if (this.#options.verbose) this.#line(`    ${requestText(record)}`);
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
      `  ${position.title}: hit rate ${
        formatPercent(row.observed_hit_rate ?? row.counter_hit_rate)
      } of ` +
        `${formatPercent(row.achievable_hit_rate)} achievable: ${verdict}`,
    );
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  /** A rough guess from the cells of this attempt so far. */
  #eta(): string {
    const done = this.#cellsStarted - 1;
    if (done === 0) return "";
    const elapsedMs = this.#host.clock.nowMs() - this.#firstCellAtMs!;
    return ` (about ${formatMs(elapsedMs / done * this.#cell!.remaining)} to go)`;
  }

  #line(text: string): void {
    this.#bar?.stop();
    this.#host.stderr.write(`${text}\n`);
  }

  #begin(title: string, plan: BarPlan): void {
    this.#period = newPeriod(this.#host.clock.nowMs());
    if (!this.#host.stderr.isTerminal || this.#options.quiet || this.#options.verbose) return;
    const bar = new SingleBar({
      format: "  {title} [{bar}] {live}",
      clearOnComplete: true,
      hideCursor: true,
      barsize: 16,
      fps: 5,
    });
    bar.start(plan.of ?? plan.durationMs ?? 1, 0, { title, live: "" });
    this.#bar = bar;
    this.#timer = setInterval(() => {
      const elapsedMs = this.#host.clock.nowMs() - this.#period.startAtMs;
      const done = this.#period.done + this.#period.failed;
      bar.update(plan.of === undefined ? Math.min(elapsedMs, plan.durationMs ?? 0) : done, {
        live: liveText(this.#period, elapsedMs, plan.concurrency, this.#options.ttftLimitMs),
      });
    }, 200);
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

/** How far a bar goes: to a time, or to a number of requests. */
interface BarPlan {
  readonly of?: number;
  readonly durationMs?: number | undefined;
  readonly concurrency?: number;
}

/** What is known of the requests of the period that runs. */
interface LivePeriod {
  readonly startAtMs: number;
  done: number;
  failed: number;
  promptTokens: number;
  readonly ttftsMs: number[];
}

function newPeriod(startAtMs: number): LivePeriod {
  return { startAtMs, done: 0, failed: 0, promptTokens: 0, ttftsMs: [] };
}

function addTo(period: LivePeriod, record: RequestRecord): void {
  if (record.failure !== undefined) {
    period.failed++;
    return;
  }
  period.done++;
  period.promptTokens += promptTokens(record);
  const ttft = ttftMs(record);
  if (ttft !== undefined) period.ttftsMs.push(ttft);
}

/** For the eye only: the rates of the finished requests so far. */
function liveText(
  period: LivePeriod,
  elapsedMs: number,
  concurrency: number | undefined,
  limitMs: number | undefined,
): string {
  const p95 = percentile(sortedCopy(period.ttftsMs), 95);
  const parts = [`${period.done} done`];
  if (concurrency !== undefined) parts.push(`${concurrency} in flight`);
  if (p95 !== undefined) {
    parts.push(`p95 ${formatMs(p95)}${limitMs === undefined ? "" : `/${formatMs(limitMs)}`}`);
  }
  if (period.done > 0) {
    parts.push(`${formatShort(period.promptTokens / elapsedMs * 1000)} tok/s`);
  }
  if (period.failed > 0) parts.push(`${period.failed} failed`);
  return parts.join(", ");
}

function requestText(record: RequestRecord): string {
  const { usage, failure } = record;
  if (failure !== undefined) return `${record.requestId}: ${failure.kind}: ${failure.message}`;
  return `${record.requestId}: TTFT ${formatMs(ttftMs(record))}, ` +
    `${formatCount(usage?.cachedTokens)} of ${formatCount(promptTokens(record))} tokens cached, ` +
    `${formatCount(record.outputTokens)} out`;
}
