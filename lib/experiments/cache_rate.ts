/**
 * Throughput and latency against hit rate: for each context size the working set is warmed, and
 * each rate is measured at the highest concurrency that meets the limits.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Host } from "../host.ts";
import { fixedPolicy, type Policy, rampPolicy } from "../load/controller.ts";
import { planPrompt, promptCount } from "../prompt/working_set.ts";
import { openRunDir, type RunDir } from "../results/run_dir.ts";
import type { SummaryRow } from "../results/schema.ts";
import { type CellContext, type CellPlan, type CellResult, runCell, warmUp } from "./cell.ts";
import type { LoadConfig, OutputConfig, RunResult, Signals } from "./config.ts";
import { collectWarnings, type RunListener } from "./listener.ts";
import { requestMaker, type TextSeeds } from "./requests.ts";
import { summaryRow } from "./rows.ts";
import { runConfig } from "./run_config.ts";
import { openSession, type Session, type TargetConfig } from "./session.ts";
import { judgeCell } from "./verdict.ts";

/** Settings of {@linkcode runCacheRate}. */
export interface CacheRateConfig extends LoadConfig {
  readonly target: TargetConfig;
  readonly output: OutputConfig;
  readonly contextSizes: readonly number[];
  readonly workingSetTokens: number;
  readonly hitRates: readonly number[];
  readonly reinitStrategy: "once" | "per_cache_rate" | "per_test";
}

/** Runs the experiment; rows are on disk as soon as they are known. */
export async function runCacheRate(
  host: Host,
  config: CacheRateConfig,
  outer: RunListener,
  signals: Signals,
): Promise<RunResult> {
  const listener = collectWarnings(outer);
  const { output } = config;
  const runDir = await openRunDir({
    files: host.files,
    clock: host.clock,
    dir: output.dir,
    experiment: "cache-rate",
    pid: host.pid,
    forceRestart: output.forceRestart,
    version: output.version,
    tryLock: (path) => host.tryLock(path),
  });
  let session: Session | undefined;
  try {
    const { notes } = await runDir.begin(output.identity);
    for (const note of notes) listener.note(note);
    await runDir.writeRunCommand(output.argv);
    session = await openSession(host, config.target, config.workers, listener);
    const about = () => runConfig("cache-rate", session!, output, listener.warnings, host);
    await runDir.writeRunJson(about());
    const result = await sweep(host, config, session, runDir, listener, signals);
    await runDir.writeRunJson(about());
    return { ...result, warnings: listener.warnings };
  } finally {
    await session?.close();
    await runDir.close();
  }
}

async function sweep(
  host: Host,
  config: CacheRateConfig,
  session: Session,
  runDir: RunDir,
  listener: RunListener,
  signals: Signals,
): Promise<Omit<RunResult, "warnings">> {
  const context: CellContext = {
    host,
    session,
    runDir,
    listener,
    judgement: { ...config, cores: host.cores },
    requests: requestMaker(session, textSeeds(config, runDir)),
    ...signals,
  };
  const count = config.contextSizes.length * config.hitRates.length;
  let index = 0;
  let interrupted = false;
  for (const contextSizeTokens of config.contextSizes) {
    let warm = false;
    let previousPeak: number | undefined;
    for (const hitRatePercent of config.hitRates) {
      const plan = planCell(config, session, contextSizeTokens, hitRatePercent, previousPeak);
      const title = `${contextSizeTokens.toLocaleString("en-US")} tokens at ${hitRatePercent} %`;
      const position = { cellId: plan.cellId, index: ++index, count, title };
      if (interrupted || runDir.isFinished(plan.cellId)) continue;
      listener.cellStarted?.(position);
      if (!plan.warmEachPeriod && (!warm || config.reinitStrategy === "per_cache_rate")) {
        interrupted = (await warmUp(context, plan)).interrupted;
        warm = true;
        if (interrupted) continue;
      }
      const result = await runCell(context, plan);
      interrupted = result.interrupted;
      if (interrupted) continue;
      previousPeak = result.peak.withinLimits ? result.peak.concurrency : undefined;
      const row = cellRow(config, session, plan, result, listener);
      await runDir.finishCell(plan.cellId, row);
      listener.cellFinished?.(position, row);
    }
  }
  return { rows: runDir.finishedRows(), interrupted };
}

/** The working set's text survives a resume; unique text never does. */
function textSeeds(config: LoadConfig, runDir: RunDir): TextSeeds {
  const attemptSeed = `${runDir.runSeed}/${runDir.attempt}/${crypto.randomUUID()}`;
  const runSeed = config.reuseCache ? `seed ${config.seed ?? ""}` : runDir.runSeed;
  const idPrefix = runDir.attempt > 1 ? `a${runDir.attempt}_` : "";
  return { runSeed, attemptSeed, idPrefix };
}

function planCell(
  config: CacheRateConfig,
  session: Session,
  contextSizeTokens: number,
  hitRatePercent: number,
  previousPeak: number | undefined,
): CellPlan {
  const facts = session.facts[0]!;
  const limit = facts.maxContextTokens;
  if (limit !== undefined && contextSizeTokens + config.outputTokens > limit) {
    const most = limit - config.outputTokens;
    throw new KvmarkError(
      "usage",
      `A context of ${contextSizeTokens} tokens and ${config.outputTokens} output tokens exceed ` +
        `the ${limit} tokens that the server takes`,
      { hint: `use --context-sizes of at most ${most}, or start the server with a longer context` },
    );
  }
  const shape = planPrompt({
    contextSizeTokens,
    hitRatePercent,
    chunkTokens: config.chunkTokens,
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    overhead: session.overhead,
  });
  return {
    cellId: `${contextSizeTokens}_${hitRatePercent}`,
    contextSizeTokens,
    hitRatePercent,
    shape,
    promptCount: promptCount(config.workingSetTokens, contextSizeTokens),
    accessOrder: config.accessOrder,
    orderSeed: config.seed ?? crypto.randomUUID(),
    outputTokens: config.outputTokens,
    policy: policyOf(config, previousPeak),
    warmEachPeriod: config.reinitStrategy === "per_test",
    initConcurrency: config.initConcurrency,
  };
}

/** The policy of `--mode`. */
function policyOf(config: LoadConfig, previousPeak: number | undefined): Policy {
  if (config.mode === "fixed") {
    return fixedPolicy({
      levels: config.fixedConcurrencyLevels,
      durationMs: config.rampDurationMs,
      retries: config.retries,
      limits: config.limits,
    });
  }
  return rampPolicy({ ...config, ...(previousPeak === undefined ? {} : { previousPeak }) });
}

function cellRow(
  config: CacheRateConfig,
  session: Session,
  plan: CellPlan,
  result: CellResult,
  listener: RunListener,
): SummaryRow {
  const { summary, peak } = result;
  const verdict = judgeCell(session, plan, summary, {
    chunkTokens: config.chunkTokens,
    workingSetTokens: config.workingSetTokens,
  });
  for (const note of verdict.notes) listener.note(note);
  if (verdict.verdict === "differs") listener.warning(`${plan.cellId}: ${verdict.cause}`);
  if (summary?.clientLimited) {
    listener.warning(
      `${plan.cellId}: the client may be the limit: ${summary.clientLimitedReasons[0]}`,
    );
  }
  const { maxTtftMs } = config.limits;
  return summaryRow(plan, summary, {
    model: session.model,
    peakReason: peak.reason,
    ttftMetric: config.ttftMetric,
    ...(maxTtftMs === undefined ? {} : { ttftLimitMs: maxTtftMs }),
    verdict,
  });
}
