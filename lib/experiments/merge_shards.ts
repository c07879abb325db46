/**
 * Finds the shards of a run in a folder, and what is wrong between them.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";
import { changesOf, type Identity, parseProgress, PROGRESS_NAME } from "../results/progress.ts";
import { readRun } from "../results/read.ts";
import type { RunData, ShardFacts, SummaryRow } from "../results/schema.ts";

/** One shard, read: only the rows of cells that it has finished. */
export interface ShardRun {
  readonly facts: ShardFacts;
  readonly data: RunData;
  readonly identity: Identity;
  /** `YYYYMMDD_HHMMSS` of its files. */
  readonly timestamp: string;
  readonly finished: ReadonlySet<string>;
  /** What is added to its instants, in seconds: its clock is provably off. */
  readonly shiftSec: number;
}

/** The shards of a run. */
export interface ShardRuns {
  /** By index, each once. */
  readonly shards: readonly ShardRun[];
  readonly count: number;
  /** Sentences about the run as a whole. */
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

/** The name of a cell, as in `progress.json`. */
export function cellIdOf(
  row: Pick<SummaryRow, "context_size" | "working_set_size" | "cache_hit_rate">,
): string {
  const { context_size, working_set_size, cache_hit_rate } = row;
  return [context_size, working_set_size, cache_hit_rate].filter((one) => one !== undefined)
    .join("_");
}

/**
 * Reads every shard in the folders of `dir`. A shard that is there twice counts once: the copy
 * that has more.
 *
 * @throws {KvmarkError} `io` if there is none; `usage` if they are not of one run.
 */
export async function readShards(files: Files, dir: string): Promise<ShardRuns> {
  const found: Found[] = [];
  for (const name of await files.list(dir)) {
    const path = `${dir.replace(/(?<=.)\/+$/, "")}/${name}`;
    const one = await readShard(files, path);
    if (one !== undefined) found.push(one);
  }
  const kept = onePerIndex(found);
  const [first] = kept;
  if (first === undefined) {
    throw new KvmarkError("io", `${dir} holds no shard of a run`, {
      hint: "give the --output-dir of the shards: the folder that holds shard-0, shard-1, …",
    });
  }
  requireOneRun(kept, first);
  const { count } = first.facts;
  const clocks = clockSkew(kept);
  const warnings = [
    ...missingWarnings(kept, count),
    ...runIdWarnings(kept),
    ...clocks.warnings,
    ...kept.flatMap(({ facts, data }) =>
      data.problems.map((problem) => `Shard ${facts.index}: ${problem}`)
    ),
  ];
  const shards = kept.map((one) => ({ ...one, shiftSec: clocks.shiftSec(one.facts) }));
  return { shards, count, notes: clocks.notes, warnings };
}

type Found = Omit<ShardRun, "shiftSec"> & { readonly runSeed: string };

async function readShard(files: Files, path: string): Promise<Found | undefined> {
  const progressPath = `${path}/${PROGRESS_NAME}`;
  if ((await files.stat(path))?.isDirectory !== true) return undefined;
  if (await files.stat(progressPath) === undefined) return undefined;
  const data = await readRun(files, path);
  const facts = data.config.shard;
  const progress = parseProgress(await files.readText(progressPath));
  if (facts === undefined || progress === undefined) return undefined;
  const { identity, timestamp, runSeed, commits } = progress;
  const finished = new Set(commits.filter((one) => one.redo !== true).map((one) => one.cell));
  // What lies behind the last finished cell was never measured to its end.
  const rowsOf = <R extends SummaryRow>(rows: readonly R[]) =>
    rows.filter((row) => finished.has(cellIdOf(row)));
  const whole = {
    ...data,
    summary: rowsOf(data.summary),
    details: rowsOf(data.details),
    failedWarmUps: rowsOf(data.failedWarmUps ?? []),
    phases: rowsOf(data.phases),
  };
  return { facts, data: whole, identity, timestamp, runSeed, finished };
}

function onePerIndex(found: readonly Found[]): Found[] {
  const byIndex = new Map<number, Found>();
  for (const one of found) {
    const { index } = one.facts;
    const other = byIndex.get(index);
    if (other !== undefined && other.runSeed !== one.runSeed) {
      throw new KvmarkError("usage", `Shard ${index} is there twice, of two runs`, {
        problems: [other.data.dir, one.data.dir],
        hint: "take one of the two folders away",
      });
    }
    if (other === undefined || one.finished.size > other.finished.size) byIndex.set(index, one);
  }
  return [...byIndex.values()].sort((a, b) => a.facts.index - b.facts.index);
}

/** The settings of a run: those that differ from shard to shard by design are left out. */
export function commonIdentity(identity: Identity): Identity {
  const { shard: _, ...common } = identity;
  return common;
}

function requireOneRun(all: readonly Found[], first: Found): void {
  const problems = all.flatMap((one) => {
    const where = `shard ${one.facts.index}`;
    const of = (run: Found) => ({
      experiment: run.data.kind,
      shards: run.facts.count,
      model: run.data.config.model,
      ...commonIdentity(run.identity),
    });
    return changesOf(of(first), of(one)).map(({ name, before, after }) =>
      `${where}: ${name} is ${after}, not ${before} as in shard ${first.facts.index}`
    );
  });
  if (problems.length === 0) return;
  throw new KvmarkError("usage", "These shards are not of one run", {
    problems,
    hint: "shards are merged that ran with the same options",
  });
}

function missingWarnings(all: readonly Found[], count: number): string[] {
  const there = new Set(all.map((one) => one.facts.index));
  const missing = Array.from({ length: count }, (_, i) => i).filter((i) => !there.has(i));
  if (missing.length === 0) return [];
  const [what, are] = missing.length === 1 ? ["Shard", "is"] : ["Shards", "are"];
  return [
    `${what} ${missing.join(", ")} of ${count} ${are} missing: what is here is the load of the ` +
    "others alone, and what the server did for the missing ones is in no row.",
  ];
}

function runIdWarnings(all: readonly Found[]): string[] {
  const ids = new Set(all.map((one) => one.facts.runId));
  if (ids.size < 2) return [];
  return [
    `The shards had ${ids.size} run ids (${[...ids].join(", ")}): they did not share the text of ` +
    "one working set.",
  ];
}

/** Differences between the clocks of the shards, each measured against the server's clock. */
function clockSkew(all: readonly Found[]) {
  const known = all.filter(({ facts }) => facts.clockOffsetMs !== undefined);
  const [reference] = known;
  const skewMs = (facts: ShardFacts) =>
    (facts.clockOffsetMs ?? 0) - (reference?.facts.clockOffsetMs ?? 0);
  const doubtMs = (facts: ShardFacts) =>
    (facts.clockPlusMinusMs ?? 0) + (reference?.facts.clockPlusMinusMs ?? 0);
  const isOff = (facts: ShardFacts) =>
    facts.clockOffsetMs !== undefined && Math.abs(skewMs(facts)) > doubtMs(facts);
  const most = Math.max(0, ...known.map(({ facts }) => Math.abs(skewMs(facts))));
  const doubt = Math.max(0, ...known.map(({ facts }) => doubtMs(facts)));
  const notes = known.length < 2 ? [] : [
    `Clock skew between the shards, by the server's Date: at most ${most.toFixed(0)} ms, ` +
    `± ${doubt.toFixed(0)} ms.`,
  ];
  const unknown = all.length - known.length;
  if (unknown > 0) notes.push(`The clock skew of ${unknown} shards is not known.`);
  const warnings = known.filter(({ facts }) => isOff(facts)).map(({ facts }) =>
    `The clock of shard ${facts.index} was ${skewMs(facts).toFixed(0)} ms off (± ` +
    `${doubtMs(facts).toFixed(0)} ms); its instants were corrected by that.`
  );
  return {
    notes,
    warnings,
    shiftSec: (facts: ShardFacts) => isOff(facts) ? skewMs(facts) / 1000 : 0,
  };
}
