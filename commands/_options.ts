/**
 * Option groups that commands share, and the one place where option values are checked: every
 * problem is reported at once.
 *
 * @module
 */

import type { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { normaliseEndpoint } from "../lib/client/openai.ts";
import { KvmarkError } from "../lib/errors.ts";
import type { TargetConfig } from "../lib/experiments/session.ts";
import type { Host } from "../lib/host.ts";
import { parseDurationMs, parseTokens } from "../lib/units.ts";

/** A whole number in a range. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER) {
  return v.pipe(
    v.string(),
    v.trim(),
    v.regex(/^-?\d+$/, "must be a whole number"),
    v.transform(Number),
    v.minValue(least, `must be at least ${least}`),
    v.maxValue(most, `must be at most ${most}`),
  );
}

/** A number above zero. */
export function positive() {
  return v.pipe(
    v.string(),
    v.transform((text) => text.trim() === "" ? NaN : Number(text)),
    v.check((value) => Number.isFinite(value) && value > 0, "must be a number above 0"),
  );
}

/** Tokens: `60000`, `60k`, `2M`. */
export function tokens(least: number) {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parseTokens(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
        return NEVER;
      }
    }),
    v.minValue(least, `must be at least ${least} tokens`),
  );
}

/** A duration in milliseconds, from `60`, `90s`, `5m`. */
export function duration(leastMs: number) {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parseDurationMs(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
        return NEVER;
      }
    }),
    v.minValue(leastMs, `must be at least ${leastMs / 1000} s`),
  );
}

/** One of given words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(...words: Words) {
  return v.picklist(words, `must be one of ${words.join(", ")}`);
}

/** `--mode`; says what became of the mode that the Python suite had last. */
export function modeOption() {
  return v.picklist(
    ["ramp", "fixed"],
    ({ input }) =>
      input === "sustained"
        ? "sustained is not a mode here: ramp searches the highest level that meets the limits"
        : "must be one of ramp, fixed",
  );
}

/** Checks options. @throws {KvmarkError} `usage`, with every problem. */
export function checkOptions<Schema extends v.GenericSchema>(
  schema: Schema,
  raw: unknown,
  across: (options: v.InferOutput<Schema>) => readonly string[] = () => [],
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw);
  const problems = result.success
    ? across(result.output)
    : [...new Set(result.issues.map(describe))];
  if (problems.length > 0 || !result.success) {
    throw new KvmarkError("usage", "The options cannot be used", {
      problems,
      hint: "see --help",
    });
  }
  return result.output;
}

function describe(issue: v.BaseIssue<unknown>): string {
  const key = String(issue.path?.[0]?.key ?? "");
  const option = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  if (issue.input === undefined) return `${option} is required`;
  return `${option} ${JSON.stringify(issue.input)}: ${issue.message}`;
}

/** Adds the options that say how a server is reached; {@linkcode TARGET_OPTIONS} checks them. */
// deno-lint-ignore no-explicit-any
export function addServerOptions(command: Command<any, any, any>): void {
  command
    .option("--model <id>", "served model; the server's first if absent")
    .option("--api <name>", "auto, completions or chat", "auto")
    .option("--metrics-url <url>", "where metrics are, if not at the endpoint")
    .option("--api-key-env <name>", "variable that holds the key (default: OPENAI_API_KEY)")
    .option("--api-key-file <file>", "file that holds the key")
    .option("--header <text...>", "further header, 'Name: value'", [])
    .option("--insecure", "do not verify the server's certificate")
    .option("--ca <file>", "further certificate authority, PEM");
}

/** Sending threads without `--workers`: one per core, less one for the main thread. */
export function defaultWorkers(host: Host): number {
  return Math.max(1, host.cores - 1);
}

/** Checks of the options that say which server is measured. */
export const TARGET_OPTIONS = {
  apiEndpoint: v.array(v.string()),
  endpointSelection: oneOf("round-robin", "pinned"),
  api: oneOf("auto", "completions", "chat"),
  promptFormat: oneOf("text", "token-ids"),
  model: v.optional(v.string()),
  tokenizer: v.optional(v.string()),
  apiKeyEnv: v.optional(v.string()),
  apiKeyFile: v.optional(v.string()),
  header: v.array(
    v.pipe(v.string(), v.regex(/^[^:\s]+\s*:/, "must look like 'Name: value'")),
  ),
  timeout: duration(100),
  insecure: v.optional(v.boolean(), false),
  ca: v.optional(v.string()),
  metricsUrl: v.optional(v.string()),
};

/** Reads keys and certificates, and tidies the endpoints. */
export async function targetFrom(
  host: Host,
  options: v.InferOutput<v.ObjectSchema<typeof TARGET_OPTIONS, undefined>>,
): Promise<TargetConfig> {
  const headers: Record<string, string> = {};
  for (const text of options.header) {
    const at = text.indexOf(":");
    headers[text.slice(0, at).trim().toLowerCase()] = text.slice(at + 1).trim();
  }
  const key = await apiKey(host, options);
  if (key !== undefined) headers["authorization"] ??= `Bearer ${key}`;
  const { model, tokenizer, metricsUrl, ca } = options;
  return {
    endpoints: options.apiEndpoint.map(normaliseEndpoint),
    endpointSelection: options.endpointSelection,
    api: options.api,
    promptFormat: options.promptFormat,
    ...(model === undefined ? {} : { model }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(metricsUrl === undefined ? {} : { metricsUrl }),
    headers,
    timeoutMs: options.timeout,
    insecure: options.insecure,
    ...(ca === undefined ? {} : { caPem: await readFile(host, ca, "--ca") }),
  };
}

async function apiKey(
  host: Host,
  options: { readonly apiKeyEnv?: string | undefined; readonly apiKeyFile?: string | undefined },
): Promise<string | undefined> {
  if (options.apiKeyFile !== undefined) {
    return (await readFile(host, options.apiKeyFile, "--api-key-file")).trim();
  }
  const key = host.env(options.apiKeyEnv ?? "OPENAI_API_KEY")?.trim();
  if (options.apiKeyEnv !== undefined && (key === undefined || key === "")) {
    throw new KvmarkError("usage", `The variable ${options.apiKeyEnv} is not set`, {
      hint: "--api-key-env takes the name of an environment variable that holds the key",
    });
  }
  return key === "" ? undefined : key;
}

async function readFile(host: Host, path: string, option: string): Promise<string> {
  try {
    return await host.files.readText(path);
  } catch (error) {
    throw new KvmarkError("io", `Cannot read ${path}: ${(error as Error).message}`, {
      hint: `check the path that ${option} names`,
      cause: error,
    });
  }
}
