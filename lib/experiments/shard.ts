/**
 * Several load hosts as one run: which part of it this process is, and what its share is of every
 * level, of the working set and of the time.
 *
 * kvmark places, starts and restarts nothing: Slurm, Kubernetes or `mpirun` do. What the parts need
 * to agree on, they compute from the same command line; they never talk to each other.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { shares } from "../load/supply.ts";

/** One part of a run. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** Whose prompts a shard asks for. */
export type ShardWorkingSet = "split" | "shared";

/** What all shards of a run have in common, and which of them this one is. */
export interface ShardConfig {
  readonly shard: Shard;
  /** Known to all shards and to no other run: the text of the working set depends on it. */
  readonly runId: string;
  readonly workingSet: ShardWorkingSet;
  /** The folder of all shards; each writes in {@linkcode shardDir}. */
  readonly outputDir: string;
  /** Start of the timetable, milliseconds since the Unix epoch. */
  readonly startAtWallMs: number;
  /** Time in the timetable for each warm-up. */
  readonly warmUpMs: number;
  /** Time in the timetable between two periods, for the drain. */
  readonly gapMs: number;
}

/** Reads a variable of the environment. */
export type Env = (name: string) => string | undefined;

/** Where a rank is found, in the order in which they are asked. */
const RANKED: readonly { rank: string; size?: string; by: string }[] = [
  { rank: "SLURM_PROCID", size: "SLURM_NTASKS", by: "srun" },
  { rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", by: "mpirun" },
  { rank: "JOB_COMPLETION_INDEX", by: "an Indexed Job" },
  { rank: "SLURM_ARRAY_TASK_ID", by: "a job array" },
];

/**
 * The part that this process is; `undefined` for a run in one piece.
 *
 * `--shard I/N` comes first, and `0/1` is the whole. Then the environment: a rank and a size of
 * `srun` or `mpirun` say it by themselves. A rank without a size (Indexed Job, job array) may be
 * about something else, so that it only counts together with `--shards N`.
 *
 * @throws {KvmarkError} `usage` if it cannot be read, or if the rank is missing.
 * @example
 * ```ts
 * import { shardOf } from "./shard.ts";
 * const env = new Map([["SLURM_PROCID", "2"], ["SLURM_NTASKS", "4"]]);
 * console.log(shardOf({}, (name) => env.get(name))); // { index: 2, count: 4 }
 * ```
 */
export function shardOf(
  given: { readonly shard?: string | undefined; readonly shards?: number | undefined },
  env: Env,
): Shard | undefined {
  const shard = given.shard === undefined ? fromEnv(given.shards, env) : parseShard(given.shard);
  if (shard === undefined) return undefined;
  if (given.shards !== undefined && given.shards !== shard.count) {
    throw new KvmarkError("usage", `--shards ${given.shards}, but this is shard ${name(shard)}`);
  }
  return shard.count === 1 ? undefined : shard;
}

function parseShard(text: string): Shard {
  const match = /^\s*(\d{1,6})\s*\/\s*(\d{1,6})\s*$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match !== null && index < count) return { index, count };
  throw new KvmarkError("usage", `--shard ${text} is not a part such as 0/4, 1/4, 2/4, 3/4`, {
    hint: "the first of N parts is 0/N, the last one N-1/N",
  });
}

function fromEnv(shards: number | undefined, env: Env): Shard | undefined {
  for (const { rank, size, by } of RANKED) {
    const index = numberIn(env, rank);
    if (index === undefined) continue;
    const count = size === undefined ? shards : numberIn(env, size);
    // A batch script of Slurm has the variables of its first task, and is none.
    if (rank === "SLURM_PROCID" && isBatchScript(env)) continue;
    if (count === undefined || (count === 1 && shards !== 1)) continue;
    if (index < count) return { index, count };
    throw new KvmarkError("usage", `${rank} is ${index}, but there are only ${count} shards`, {
      hint: `ranks of ${by} have to count from 0; give --shard I/N, or --shard 0/1 for a whole run`,
    });
  }
  if (shards === undefined || shards === 1) return undefined;
  throw new KvmarkError("usage", `Which of the ${shards} shards this is, is not known`, {
    hint: `give --shard I/${shards}, or run it where one of ` +
      `${RANKED.map((one) => one.rank).join(", ")} is set`,
  });
}

/** True in an sbatch script itself, outside of `srun`. */
function isBatchScript(env: Env): boolean {
  return env("SLURM_JOB_ID") !== undefined && env("SLURM_STEP_ID") === undefined;
}

function numberIn(env: Env, name: string): number | undefined {
  const text = env(name)?.trim();
  if (text === undefined || text === "") return undefined;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new KvmarkError("usage", `${name} is not a number: ${text.slice(0, 40)}`, {
    hint: "give --shard I/N, or --shard 0/1 for a run in one piece",
  });
}

/**
 * A name that all shards of this run know and no other run has: `--run-id`, or the id of the job.
 *
 * @throws {KvmarkError} `usage` without one.
 */
export function runIdOf(given: string | undefined, env: Env): string {
  const slurm = env("SLURM_ARRAY_JOB_ID") ?? env("SLURM_JOB_ID");
  const cluster = env("SLURM_CLUSTER_NAME") ?? "slurm";
  const mpi = env("PMIX_NAMESPACE") ?? env("OMPI_MCA_ess_base_jobid");
  const found = given ?? (slurm === undefined ? mpi : `${cluster}-${slurm}`);
  if (found !== undefined && found.trim() !== "") return found.trim();
  throw new KvmarkError("usage", "The shards need a name of their run that they all know", {
    hint: "give all of them the same --run-id, which no earlier run had; Slurm's and Open MPI's " +
      "job ids are found by themselves",
  });
}

/** `1/4`. */
export function name({ index, count }: Shard): string {
  return `${index}/${count}`;
}

/** The folder of a shard. */
export function shardDir(outputDir: string, index: number): string {
  return `${outputDir.replace(/(?<=.)\/+$/, "")}/shard-${index}`;
}

/**
 * What a shard has of a whole number. The shares of all shards add up to it; the remainder goes to
 * the first ones.
 *
 * @throws {KvmarkError} `internal` if they do not add up.
 * @example
 * ```ts
 * import { shareOf } from "./shard.ts";
 * console.log([0, 1, 2, 3].map((index) => shareOf({ index, count: 4 }, 10))); // [ 3, 3, 2, 2 ]
 * ```
 */
export function shareOf({ index, count }: Shard, whole: number): number {
  const all = shares(whole, count);
  const sum = all.reduce((total, share) => total + share, 0);
  const share = all[index];
  if (sum !== whole || share === undefined) {
    throw new KvmarkError("internal", `${whole} in ${count} shares comes out as ${sum}`);
  }
  return share;
}

/** The prompts of a working set that one process sends: `at(0)` to `at(count - 1)`. */
export interface PromptSlice {
  readonly count: number;
  at(n: number): number;
}

/**
 * Every `count`-th prompt, from the shard's own number on. All slices together are the working set,
 * each prompt once. With `cyclic` order the shards go through it together nearly as one process
 * would: 0, 1, 2, … So a prompt comes back after as many others.
 */
export function sliceOf({ index, count }: Shard, promptCount: number): PromptSlice {
  return { count: shareOf({ index, count }, promptCount), at: (n) => index + n * count };
}

/**
 * The whole working set, begun at another place by each shard: they do not all ask for one prompt
 * at the same moment.
 */
export function sharedFrom(shard: Shard, promptCount: number): PromptSlice {
  const first = Math.floor(promptCount * shard.index / shard.count);
  return { count: promptCount, at: (n) => (first + n) % promptCount };
}

/** The whole working set. */
export function wholeSlice(promptCount: number): PromptSlice {
  return { count: promptCount, at: (n) => n };
}
