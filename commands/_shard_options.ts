/**
 * Options of a run that several load hosts make together.
 *
 * @module
 */

import type { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import type { LoadConfig } from "../lib/experiments/config.ts";
import { name, runIdOf, shardDir, shardOf } from "../lib/experiments/shard.ts";
import type { Host } from "../lib/host.ts";
import { duration, oneOf, whole } from "./_options.ts";

/** A date of ISO 8601 with its time zone: every host has to read the same instant. */
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/;

/** An instant in milliseconds since the Unix epoch: ISO 8601 with a zone, or Unix seconds. */
function instant() {
  return v.pipe(
    v.string(),
    v.trim(),
    v.transform((text) => {
      if (/^\d{9,11}$/.test(text)) return Number(text) * 1000;
      return ISO_DATE.test(text) ? Date.parse(text) : NaN;
    }),
    v.check(
      (value) => Number.isFinite(value),
      "must be an instant with its time zone (2030-01-31T09:30:00Z) or Unix seconds " +
        "($(date -d '+2 min' +%s))",
    ),
  );
}

/** Checks of the options of {@linkcode addShardOptions}. */
export const SHARD_OPTIONS = {
  shard: v.optional(v.string()),
  shards: v.optional(whole(1, 10_000)),
  shardWorkingSet: v.optional(oneOf("split", "shared")),
  startAt: v.optional(instant()),
  warmUpTime: v.optional(duration(0)),
  periodGap: v.optional(duration(0)),
  runId: v.optional(v.string()),
};

type ShardOptions = v.InferOutput<v.ObjectSchema<typeof SHARD_OPTIONS, undefined>>;

/** Options that do not change results: a resume may have others. */
export const NOT_SHARD_IDENTITY = ["shards", "start_at", "warm_up_time", "period_gap", "run_id"];

/** Adds the options; {@linkcode SHARD_OPTIONS} checks them. */
// deno-lint-ignore no-explicit-any
export function addShardOptions(command: Command<any, any, any>): void {
  command
    .option("--shard <i/n>", "part of the run, from 0/N; found by itself under srun and mpirun")
    .option("--shards <n>", "parts, where the rank is that of an Indexed Job or a job array")
    .option("--shard-working-set <name>", "split (each its own prompts, if absent) or shared")
    .option("--start-at <time>", "start of the timetable of all shards: ISO 8601 or Unix seconds")
    .option("--warm-up-time <s>", "time for each warm-up in the timetable (300 if absent)")
    .option("--period-gap <s>", "time between two periods in the timetable (15 if absent)")
    .option("--run-id <text>", "known to all shards, new for each run; Slurm's job id if absent");
}

const WARM_UP_MS = 300_000;
const GAP_MS = 15_000;

/**
 * Finds out which shard this is. Its options are those of the run, with a folder of its own.
 *
 * @returns The options, and the shard for the configuration; unchanged and empty for a run in one
 *   piece.
 * @throws {KvmarkError} `usage`
 */
export function dealtOut<Options extends ShardOptions & { readonly outputDir: string }>(
  host: Pick<Host, "env">,
  options: Options,
): readonly [Options, Pick<LoadConfig, "shard">] {
  const env = (variable: string) => host.env(variable);
  const shard = shardOf(options, env);
  const { outputDir, startAt } = options;
  if (shard === undefined) {
    requireNoTimetable(options);
    return [{ ...options, shard: undefined }, {}];
  }
  if (startAt === undefined) {
    throw new KvmarkError("usage", `Shard ${name(shard)} needs --start-at`, {
      hint: "all shards start the first warm-up at the same instant: give all of them the same " +
        "--start-at, some time after the last of them is started; --shard 0/1 is a run in one piece",
    });
  }
  const workingSet = options.shardWorkingSet ?? "split";
  const own = {
    ...options,
    shard: name(shard),
    shardWorkingSet: workingSet,
    outputDir: shardDir(outputDir, shard.index),
  };
  return [own, {
    shard: {
      shard,
      runId: runIdOf(options.runId, env),
      workingSet,
      outputDir,
      startAtWallMs: startAt,
      warmUpMs: options.warmUpTime ?? WARM_UP_MS,
      gapMs: options.periodGap ?? GAP_MS,
    },
  }];
}

/** A timetable without a shard is a rank that was not found. */
function requireNoTimetable({ shard, shards, startAt }: ShardOptions): void {
  if (startAt === undefined || shard !== undefined || shards !== undefined) return;
  throw new KvmarkError("usage", "--start-at is for shards, and this is a run in one piece", {
    hint: "give --shard I/N; under an Indexed Job or a job array give --shards N",
  });
}
