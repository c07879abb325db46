/**
 * The frame of every experiment: a results folder that is held and can be resumed, a server that
 * was probed, workers that are ready, and `run.json` before and after.
 *
 * @module
 */

import type { Host } from "../host.ts";
import type { Judgement } from "../load/runner.ts";
import { openRunDir, type RunDir } from "../results/run_dir.ts";
import type { ExperimentKind, RunConfig } from "../results/schema.ts";
import { measureClockOffset } from "../server/clock_offset.ts";
import { mapStrings, redactorOf } from "../redaction.ts";
import type { CellContext } from "./cell.ts";
import { cleanText, withCleanRows } from "./clean_rows.ts";
import { coldNote, REUSED_START, startCold } from "./cold.ts";
import type { OutputConfig, RunEnd, RunResult, Signals } from "./config.ts";
import { DEFAULT_ERROR_HANDLING, type ErrorHandling } from "./error_handling.ts";
import { type KvBytes, kvBytesOf } from "./kv_bytes.ts";
import { collectWarnings, type RunListener } from "./listener.ts";
import { clockNote, shardFacts } from "./pace.ts";
import { DEFAULT_PROOF, type ProofConfig } from "./proof.ts";
import { requestMaker, type TextSeeds } from "./requests.ts";
import { runConfig } from "./run_config.ts";
import { SentRequests } from "./sent_requests.ts";
import { type ServerWatch, watchServers } from "./server_watch.ts";
import type { ShardConfig } from "./shard.ts";
import { openSession, type Session, type TargetConfig } from "./session.ts";

/** What the frame needs of an experiment's settings. */
export interface ExperimentConfig {
  readonly target: TargetConfig;
  readonly output: OutputConfig;
  readonly workers: number;
  readonly seed?: string;
  /** Lets the working set of an earlier run with the same seed count as warm. */
  readonly reuseCache: boolean;
  readonly judgement: Judgement;
  readonly errors?: ErrorHandling;
  readonly proof?: ProofConfig;
  readonly shard?: ShardConfig;
  /** Finished cells that are measured again. */
  readonly again?: ReadonlySet<string>;
}

/**
 * Opens everything, lets `body` measure, and closes everything, whatever happens.
 *
 * @param body Sends the requests; resolves to how they ended, or to true if a signal cut them
 *   short. Its rows are on disk as soon as they are known.
 * @throws {KvmarkError} `usage`, `io` or `unreachable` before the first request; whatever `body`
 *   throws.
 */
export async function runExperiment(
  host: Host,
  experiment: ExperimentKind,
  config: ExperimentConfig,
  outer: RunListener,
  signals: Signals,
  body: (context: CellContext) => Promise<boolean | RunEnd>,
): Promise<RunResult> {
  const redact = redactorOf(config.target.headers);
  const listener = collectWarnings(outer, cleanText(redact));
  const startedAt = new Date(host.clock.wallMs());
  const { output } = config;
  const runDir = withCleanRows(await openOutput(host, experiment, output), redact);
  let session: Session | undefined;
  let watch: ServerWatch | undefined;
  try {
    const { notes } = await runDir.begin(output.identity, config.again);
    for (const note of notes) listener.note(note);
    await runDir.writeRunCommand(output.argv);
    const { signal, opened } = opening(signals);
    session = await openSession(host, config.target, config.workers, listener, signal);
    const proof = config.proof ?? DEFAULT_PROOF;
    const cold = config.reuseCache
      ? REUSED_START
      : await startCold(session, proof.cold, crypto.randomUUID(), listener);
    const more = await factsOfRun(host, config, session, listener);
    const about = () => {
      const base = runConfig(experiment, session!, output, listener.warnings, startedAt);
      const all = { ...base, ...more, cold, notes: [...base.notes ?? [], coldNote(cold)] };
      return mapStrings(all, cleanText(redact));
    };
    watch = watchSession(host, session, runDir, proof, listener, signals);
    await runDir.writeRunJson(about());
    opened();
    const end = await body({
      host,
      session,
      runDir,
      watch,
      sent: new SentRequests(session.facts),
      listener,
      judgement: config.judgement,
      errors: config.errors ?? DEFAULT_ERROR_HANDLING,
      requests: requestMaker(session, textSeeds(config, runDir)),
      ...signals,
    });
    await runDir.writeRunJson(about());
    const how = typeof end === "boolean" ? { interrupted: end } : end;
    return { rows: runDir.finishedRows(), warnings: listener.warnings, ...how };
  } finally {
    await watch?.close();
    await session?.close();
    await runDir.close();
  }
}

function openOutput(host: Host, experiment: ExperimentKind, output: OutputConfig): Promise<RunDir> {
  return openRunDir({
    files: host.files,
    clock: host.clock,
    dir: output.dir,
    experiment,
    pid: host.pid,
    forceRestart: output.forceRestart,
    version: output.version,
    tryLock: (path) => host.tryLock(path),
  });
}

/**
 * A signal for what is asked of the servers besides the measurement. Until `opened()` nothing is in
 * flight that is worth waiting for, so that the first interrupt ends it; then the second one does.
 */
function opening({ drain, abort }: Signals): { signal: AbortSignal; opened: () => void } {
  const early = new AbortController();
  const stop = () => early.abort();
  if (drain.aborted) stop();
  drain.addEventListener("abort", stop, { once: true });
  return {
    signal: AbortSignal.any([abort, early.signal]),
    opened: () => drain.removeEventListener("abort", stop),
  };
}

function watchSession(
  { clock }: Host,
  { access, facts, presences, config: { moreMetricsUrls = [] } }: Session,
  runDir: RunDir,
  { metricsIntervalMs }: ProofConfig,
  listener: RunListener,
  { drain, abort }: Signals,
): ServerWatch {
  const servers = access.flatMap((one, index) => {
    const { baseUrl, metricsUrl } = facts[index]!;
    const workers = moreMetricsUrls.map((url) => ({ endpoint: url, metricsUrl: url }));
    const own = { endpoint: baseUrl, ...(metricsUrl === undefined ? {} : { metricsUrl }) };
    return [own, ...workers].map((server) => ({ ...server, access: one }));
  });
  return watchServers({
    servers: metricsIntervalMs === 0 ? [] : servers,
    runDir,
    clock,
    intervalMs: metricsIntervalMs,
    onWarning: (text) => listener.warning(text),
    signal: abort,
    presences,
    drain,
  });
}

/** What takes a while to find out, for `run.json`. */
async function factsOfRun(
  host: Host,
  config: ExperimentConfig,
  session: Session,
  listener: RunListener,
): Promise<Pick<RunConfig, "shard"> & KvBytes> {
  const kv = await kvOfRun(host, config.output, session);
  return { ...kv, ...await shardOfRun(host, config, session, listener) };
}

/** As it was told, else from the config of the model, if that is on this machine. */
async function kvOfRun(host: Host, output: OutputConfig, { facts }: Session): Promise<KvBytes> {
  const { kvBytesPerToken, kvBytesPerTokenSource = "--kv-bytes-per-token" } = output;
  if (kvBytesPerToken !== undefined) return { kvBytesPerToken, kvBytesPerTokenSource };
  const { engine, model, modelRoot } = facts[0]!;
  return await kvBytesOf(host, { engine, names: [modelRoot, model] }, false);
}

async function shardOfRun(
  { clock }: Host,
  { shard }: ExperimentConfig,
  { access }: Session,
  listener: RunListener,
): Promise<Pick<RunConfig, "shard">> {
  if (shard === undefined) return {};
  const offset = await measureClockOffset(access[0]!, clock);
  listener.note(clockNote(offset));
  return { shard: shardFacts(shard, offset) };
}

/**
 * The working set's text survives a resume; unique text never does. The shards of a run have the
 * same working set, and ids and unique text of their own.
 */
function textSeeds(config: ExperimentConfig, runDir: RunDir): TextSeeds {
  const { shard } = config;
  const index = shard?.shard.index;
  const own = `${runDir.runSeed}/${runDir.attempt}/${crypto.randomUUID()}`;
  const attemptSeed = index === undefined ? own : `shard ${index}/${own}`;
  const common = shard === undefined ? runDir.runSeed : `run ${shard.runId}`;
  const runSeed = config.reuseCache ? `seed ${config.seed ?? ""}` : common;
  const idPrefix = (index === undefined ? "" : `s${index}_`) +
    (runDir.attempt > 1 ? `a${runDir.attempt}_` : "");
  return { runSeed, attemptSeed, idPrefix };
}
