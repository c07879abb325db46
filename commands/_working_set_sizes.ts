/**
 * The sizes of a working-set sweep: in tokens, or in bytes of the KV cache of the served model.
 *
 * @module
 */

import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import { type KvBytes, kvBytesOf } from "../lib/experiments/kv_bytes.ts";
import { accessTo } from "../lib/experiments/session.ts";
import { workingSetSizes } from "../lib/experiments/working_set.ts";
import type { Host } from "../lib/host.ts";
import { servedKv } from "../lib/server/served_kv.ts";
import { parseBytes, parseTokens } from "../lib/units.ts";
import { ascending } from "./_load_options.ts";
import { oneOf, type Readable, targetFrom, whole } from "./_options.ts";
import type { RunOptions } from "./_run_options.ts";

/** Tokens, or bytes of KV cache; which of them, only the unit says. */
interface Size {
  readonly tokens?: number;
  readonly bytes?: number;
}

/** A working set: `60000`, `2M`, or `40GiB`. */
function size() {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }): Size => {
      const text = dataset.value;
      try {
        const isBytes = /b\s*$/i.test(text);
        const one = isBytes ? { bytes: parseBytes(text) } : { tokens: parseTokens(text) };
        if ((one.bytes ?? one.tokens ?? 0) >= 1) return one;
        addIssue({ message: "must be at least 1 token" });
      } catch {
        addIssue({ message: "write tokens (60000, 60k, 2M) or bytes of KV cache (40GiB, 512MB)" });
      }
      return NEVER;
    }),
  );
}

/** Checks of the options that say which sizes are measured. */
export const SIZE_OPTIONS = {
  minWorkingSetSize: v.optional(size()),
  maxWorkingSetSize: v.optional(size()),
  workingSetIncrements: v.optional(whole(1, 10_000)),
  workingSetScale: oneOf("linear", "log"),
  workingSetSizes: v.optional(v.array(size())),
};

/** Values of {@linkcode SIZE_OPTIONS}. */
export type SizeOptions = v.InferOutput<v.ObjectSchema<typeof SIZE_OPTIONS, undefined>>;

/** Options as given: those that cannot be read are not missing. */
export type RawSizes = Readonly<Partial<Record<keyof SizeOptions, unknown>>>;

/** Problems between the options of the sizes. */
export function sizeProblems(options: Readable<SizeOptions>, raw: RawSizes): string[] {
  const range = {
    "--min-working-set-size": raw.minWorkingSetSize,
    "--max-working-set-size": raw.maxWorkingSetSize,
    "--working-set-increments": raw.workingSetIncrements,
  };
  const names = (isGiven: boolean) =>
    Object.entries(range).filter(([, value]) => (value !== undefined) === isGiven)
      .map(([name]) => name);
  if (raw.workingSetSizes !== undefined) {
    const given = names(true);
    return given.length === 0
      ? []
      : [`--working-set-sizes and ${given.join(", ")} exclude each other`];
  }
  const problems = names(false).map((name) => `${name} is required`);
  const { minWorkingSetSize: min, maxWorkingSetSize: max } = options;
  const reversed = (unit: keyof Size) => (min?.[unit] ?? -Infinity) > (max?.[unit] ?? Infinity);
  if (reversed("tokens") || reversed("bytes")) problems.push(REVERSED);
  return problems;
}

const REVERSED = "--min-working-set-size must be at most --max-working-set-size";

/** The working sets of a run. */
export interface ResolvedSizes {
  /** In tokens, ascending. */
  readonly workingSets: readonly number[];
  /** What a token takes, where it is known. */
  readonly kv: KvBytes;
}

/**
 * The working sets that were asked for. Sizes in bytes need the KV size of a token: as given, else
 * the server is asked for its model, whose config is looked up.
 *
 * @throws {KvmarkError} `usage` if it is not known or a size cannot be; `unreachable`.
 */
export async function resolveSizes(
  host: Host,
  options: SizeOptions & RunOptions,
): Promise<ResolvedSizes> {
  const { minWorkingSetSize: min, maxWorkingSetSize: max, workingSetSizes: listed } = options;
  const given = listed ?? [min ?? [], max ?? []].flat();
  const kv = await kvBytes(host, options, given.some(({ bytes }) => bytes !== undefined));
  const tokens = given.map((one) => one.tokens ?? (one.bytes ?? 0) / (kv.kvBytesPerToken ?? NaN))
    .map(Math.floor);
  const problems: string[] = [];
  if (tokens.some((one) => one < 1)) problems.push("a working set in bytes holds no token");
  const [minTokens = 0, maxTokens = minTokens] = tokens;
  if (listed === undefined && minTokens > maxTokens) problems.push(REVERSED);
  if (problems.length > 0) {
    throw new KvmarkError("usage", "The options cannot be used", { problems, hint: "see --help" });
  }
  const { workingSetIncrements: count = 1, workingSetScale: scale } = options;
  const workingSets = listed === undefined
    ? workingSetSizes({ minTokens, maxTokens, count, scale })
    : ascending(tokens);
  return { workingSets, kv };
}

async function kvBytes(host: Host, options: RunOptions, needed: boolean): Promise<KvBytes> {
  const { kvBytesPerToken } = options;
  if (kvBytesPerToken !== undefined) {
    return { kvBytesPerToken, kvBytesPerTokenSource: "--kv-bytes-per-token" };
  }
  if (!needed) return {};
  const target = await targetFrom(host, options);
  const access = await accessTo(host, target, target.endpoints[0] ?? "");
  const { model, weights, engine, precision } = await servedKv(access, options.model);
  const served = { names: weights, engine, ...(precision === undefined ? {} : { precision }) };
  const found = await kvBytesOf(host, served, true);
  if (found.kvBytesPerToken === undefined) {
    throw new KvmarkError("usage", `The KV size of ${model} is not known`, {
      hint: "give --kv-bytes-per-token (kvmark kv-size tells it), or the sizes in tokens",
    });
  }
  const { kvBytesPerToken: bytes, kvBytesPerTokenSource: source } = found;
  host.stderr.write(`KV cache: ${bytes} bytes a token (${source})\n`);
  return found;
}
