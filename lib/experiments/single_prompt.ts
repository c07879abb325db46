/**
 * Cold against cached: at each context size a prompt that was never sent, then the same one again.
 *
 * @module
 */

import type { Host } from "../host.ts";
import { Breaker } from "../load/breaker.ts";
import { isAnswered } from "../metrics/durations.ts";
import { planPrompt, type PromptShape } from "../prompt/working_set.ts";
import type { Failure, PeriodOutcome, RequestLabels, RequestRecord } from "../record.ts";
import { coldAndCached } from "../report/cold_and_cached.ts";
import { readRun } from "../results/read.ts";
import type { SinglePromptRow, SummaryRow } from "../results/schema.ts";
import type { HitVerdict } from "../server/verdict.ts";
import { formatCount, formatMs, formatShort } from "../units.ts";
import type { CellContext } from "./cell.ts";
import type { OutputConfig, RunEnd, RunResult, Signals } from "./config.ts";
import { ContextLimit, isTooLong } from "./context_limit.ts";
import { cellProblem, type ErrorHandling } from "./error_handling.ts";
import { runExperiment } from "./experiment.ts";
import type { RunListener } from "./listener.ts";
import type { ProofConfig } from "./proof.ts";
import { singlePromptRow } from "./rows.ts";
import { sendPeriod } from "./sending.ts";
import type { Session, TargetConfig } from "./session.ts";
import { judgeRequest } from "./verdict.ts";

/** Settings of {@linkcode runSinglePrompt}. */
export interface SinglePromptConfig {
  readonly target: TargetConfig;
  readonly output: OutputConfig;
  /** Tokens of a prompt, ascending. Those that the server does not take are left out. */
  readonly contextSizes: readonly number[];
  /** Prompts that are sent cold, then cached, at each size. */
  readonly iterations: number;
  /** Distinct prompts that are sent at the same time. */
  readonly concurrentPrompts: number;
  /** How often each prompt is sent again. */
  readonly cachedRepeats: number;
  readonly outputTokens: number;
  readonly workers: number;
  readonly seed?: string;
  readonly errors?: ErrorHandling;
  readonly proof?: ProofConfig;
}

/** The sizes of the Python suite: `min`, 2 `min`, 4 `min`, … as far as `max`. */
export function doublingSizes(minTokens: number, maxTokens: number): number[] {
  const sizes: number[] = [];
  for (let size = minTokens; size <= maxTokens; size *= 2) sizes.push(size);
  return sizes;
}

/**
 * Runs the experiment; rows are on disk as soon as their batch is over.
 *
 * @returns One row for each context size, with counts and the verdict; the requests are in
 *   `single_prompt_results_{time}.csv`.
 */
export async function runSinglePrompt(
  host: Host,
  config: SinglePromptConfig,
  listener: RunListener,
  signals: Signals,
): Promise<RunResult> {
  const frame = {
    ...config,
    workers: Math.min(config.workers, config.concurrentPrompts),
    // Cold text is new in every attempt, whatever the seed.
    reuseCache: false,
    judgement: {
      limits: {},
      ttftMetric: "avg",
      tokensPerReqMetric: "avg",
      strictTimeWindow: false,
    } as const,
  };
  const result = await runExperiment(
    host,
    "single-prompt",
    frame,
    listener,
    signals,
    (context) => runSizes(context, config),
  );
  const { singlePrompt } = await readRun(host.files, config.output.dir);
  return { ...result, rows: sizeRows(singlePrompt) };
}

/** Counts and verdict of each context size. */
export function sizeRows(rows: readonly SinglePromptRow[]): SummaryRow[] {
  return coldAndCached(rows).flatMap(({ contextSizeTokens, coldTtft, cachedTtft, failed }) => {
    const here = rows.filter((row) => row.context_size === contextSizeTokens);
    const kinds = new Set(here.flatMap((row) => row.error_kind || []));
    const verdicts = here.flatMap((row) => row.hit_verdict || []);
    const verdict = (["differs", "unchecked", "confirmed"] as const)
      .find((one) => verdicts.includes(one));
    // A size that the server refuses for its length is left out of the run, and was said to be.
    if (coldTtft.count + cachedTtft.count === 0 && here.every(isRefusedLength)) return [];
    return [{
      context_size: contextSizeTokens,
      total_requests: coldTtft.count + cachedTtft.count,
      failed_requests: failed,
      ...(kinds.size === 0 ? {} : { failure_kinds: [...kinds].join(" ") }),
      ...(verdict === undefined ? {} : { hit_rate_verdict: verdict }),
    }];
  });
}

function isRefusedLength({ error = "" }: SinglePromptRow): boolean {
  const status = Number(/^HTTP (\d{3})\b/.exec(error)?.[1] ?? NaN);
  return isTooLong({ kind: "http_status", status, message: error });
}

async function runSizes(context: CellContext, config: SinglePromptConfig): Promise<RunEnd> {
  const { listener, runDir, session, errors } = context;
  const limit = new ContextLimit(
    session.facts[0]!.maxContextTokens,
    config.outputTokens,
    listener,
  );
  let sizes = limit.within(config.contextSizes);
  const count = sizes.length;
  for (const [index, size] of sizes.entries()) {
    if (runDir.isFinished(`${size}`) || !sizes.includes(size)) continue;
    const title = `${formatCount(size)} tokens`;
    const remaining = sizes.slice(index).filter((one) => !runDir.isFinished(`${one}`)).length;
    listener.cellStarted?.({ cellId: `${size}`, title, index: index + 1, count, remaining });
    const run = new SizeRun(context, config, size);
    if (await run.toEnd()) return { interrupted: true };
    const shorter = limit.learn(size, run.failures, sizes);
    const problem = shorter === undefined ? cellProblem(run.counts, errors) : undefined;
    // A size that was refused is measured when the server takes more.
    const redo = problem !== undefined || shorter !== undefined;
    await runDir.finishCell(`${size}`, undefined, { redo });
    for (const line of resultLines(run.rows)) listener.note(line);
    sizes = shorter ?? sizes;
    if (problem === undefined) continue;
    listener.warning(`${title} failed: ${problem}; the same command runs it again`);
    if (errors.onError === "stop") return { interrupted: false, stopped: `${size}: ${problem}` };
  }
  return { interrupted: false };
}

/** All requests of one context size. */
class SizeRun {
  readonly rows: SinglePromptRow[] = [];
  readonly counts = { succeeded: 0, failed: 0 };
  /** Of all requests, also of those that are no rows. */
  readonly failures: Failure[] = [];
  readonly #context: CellContext;
  readonly #config: SinglePromptConfig;
  readonly #size: number;
  readonly #breaker: Breaker;
  readonly #warned = new Set<number>();

  constructor(context: CellContext, config: SinglePromptConfig, size: number) {
    this.#context = context;
    this.#config = config;
    this.#size = size;
    const concurrency = config.concurrentPrompts;
    this.#breaker = new Breaker({ ...context.errors, concurrency });
  }

  /** @returns True if a signal cut it short. A size that the server refuses ends early. */
  async toEnd(): Promise<boolean> {
    // Connections, lazily made kernels, the client's own first call: none of it is a cold prompt.
    if ((await this.#send("DISCARD", 0, -1, 1)).interrupted) return true;
    if (this.failures.some(isTooLong)) return false;
    for (let iteration = 0; iteration < this.#config.iterations; iteration++) {
      for (let repeat = 0; repeat <= this.#config.cachedRepeats; repeat++) {
        const type = repeat === 0 ? "unique" : repeat === 1 ? "cached" : `cached_r${repeat}`;
        const rate = repeat === 0 ? 0 : 100;
        const { outputTokens } = this.#config;
        const outcome = await this.#send(`i${iteration}_${type}`, rate, iteration, outputTokens);
        await this.#keep(outcome, iteration, type);
        if (outcome.interrupted) return true;
        if (this.failures.some(isTooLong)) return false;
        if (this.#breaker.isOpen) {
          this.#context.listener.warning(
            `${this.#size} tokens ended early: ${this.#breaker.reason}`,
          );
          return false;
        }
      }
    }
    return false;
  }

  /** Sends the batch of prompts of an iteration once. */
  #send(
    name: string,
    hitRatePercent: number,
    iteration: number,
    outputTokens: number,
  ): Promise<PeriodOutcome> {
    const { session, requests } = this.#context;
    const { concurrentPrompts } = this.#config;
    const shape = shapeOf(session, this.#size, hitRatePercent);
    const labels: RequestLabels = {
      cellId: `${this.#size}`,
      periodId: `${this.#size}_${name}`,
      purpose: iteration < 0 ? "warmup" : "measure",
      contextSizeTokens: this.#size,
      hitRatePercent,
      concurrency: concurrentPrompts,
    };
    let promptIndex = 0;
    const next = () => {
      if (promptIndex === concurrentPrompts) return undefined;
      const number = (iteration + 1) * concurrentPrompts + promptIndex;
      const own = { ...labels, promptIndex: promptIndex++ };
      return requests.repeatable(shape, own, outputTokens, number);
    };
    return sendPeriod(
      this.#context,
      { cellId: labels.cellId, periodId: labels.periodId, concurrency: concurrentPrompts },
      next,
      {
        onRecord: ({ failure }) => {
          if (failure !== undefined) this.failures.push(failure);
          this.#breaker.record(failure);
        },
      },
    );
  }

  async #keep(outcome: PeriodOutcome, iteration: number, promptType: string): Promise<void> {
    const { host, runDir } = this.#context;
    const wallOffsetMs = host.clock.wallMs() - host.clock.nowMs();
    const rows = outcome.records.map((record) => {
      this.counts[isAnswered(record) ? "succeeded" : "failed"]++;
      const verdict = isAnswered(record) ? judgeRequest(this.#context, record, outcome) : undefined;
      if (verdict?.verdict === "differs") this.#warn(record, promptType, verdict);
      return singlePromptRow(record, {
        wallOffsetMs,
        iteration,
        promptType,
        ...(verdict === undefined ? {} : { verdict: verdict.verdict }),
      });
    });
    this.rows.push(...rows);
    await runDir.appendSinglePrompt(rows);
  }

  /** Once for cold and once for cached prompts: the rows have the rest. */
  #warn({ labels }: RequestRecord, promptType: string, verdict: HitVerdict): void {
    if (this.#warned.has(labels.hitRatePercent)) return;
    this.#warned.add(labels.hitRatePercent);
    this.#context.listener.warning(`${this.#size} tokens, ${promptType}: ${verdict.cause}`);
  }
}

function shapeOf(
  { facts: [first], overhead }: Session,
  contextSizeTokens: number,
  hitRatePercent: number,
): PromptShape {
  const { blockTokens } = first!;
  return planPrompt({
    contextSizeTokens,
    hitRatePercent,
    chunkTokens: 1,
    ...(blockTokens === undefined ? {} : { blockTokens }),
    overhead,
  });
}

/** What a size came to, for stderr. */
function resultLines(rows: readonly SinglePromptRow[]): string[] {
  return coldAndCached(rows).map((point) => {
    const ms = (seconds: number | undefined) =>
      formatMs(seconds === undefined ? undefined : seconds * 1000);
    const { speedup, speedupInterval: interval, failed } = point;
    const range = interval === undefined
      ? ""
      : ` (${formatShort(interval.low)} to ${formatShort(interval.high)})`;
    return `  TTFT cold ${ms(point.coldTtft.mean)}, cached ${ms(point.cachedTtft.mean)}: ` +
      `${formatShort(speedup)}x${range}${failed > 0 ? `, ${failed} failed` : ""}`;
  });
}
