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
import { redactorOf } from "../lib/redaction.ts";
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
export function positive(most = 1e9) {
  return v.pipe(
    v.string(),
    v.transform(numberIn),
    v.check((value) => value > 0 && value <= most, `must be a number above 0, at most ${most}`),
  );
}

/** A share in percent. */
export function percent() {
  return v.pipe(
    v.string(),
    v.transform(numberIn),
    v.check((value) => value >= 0 && value <= 100, "must be a number from 0 to 100"),
  );
}

function numberIn(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}

/** More tokens than any context or cache holds: a slip of the keyboard. */
const MOST_TOKENS = 1e12;

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
    v.maxValue(MOST_TOKENS, `must be at most ${MOST_TOKENS} tokens`),
  );
}

/** Timers take no more: 24 days. */
const MOST_MS = 2 ** 31 - 1;

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
    v.maxValue(MOST_MS, `must be at most ${Math.floor(MOST_MS / 1000)} s`),
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

/** Options of which some may be missing, because their values cannot be read. */
export type Readable<Options> = { readonly [Name in keyof Options]?: Options[Name] | undefined };

/**
 * Checks options.
 *
 * @param across Problems between options. It gets those that can be read, so that all problems are
 *   told at once.
 * @throws {KvmarkError} `usage`, with every problem.
 */
export function checkOptions<Schema extends v.GenericSchema>(
  schema: Schema,
  raw: unknown,
  across: (options: Readable<v.InferOutput<Schema>>) => readonly string[] = () => [],
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw);
  const readable = { ...result.output as object } as Record<string, unknown>;
  for (const issue of result.issues ?? []) delete readable[String(issue.path?.[0]?.key)];
  const problems = [
    ...new Set((result.issues ?? []).map(describe)),
    ...across(readable as Readable<v.InferOutput<Schema>>),
  ];
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
  const given = withoutSecrets(key, JSON.stringify(issue.input));
  return [option, given].filter((part) => part !== "").join(" ") + `: ${issue.message}`;
}

/** A value as it may be repeated: no header, and nothing that stands before an @ in a URL. */
function withoutSecrets(key: string, value: string): string {
  return key === "header" ? "" : value.replaceAll(/\/\/[^/?#"]*@/g, "//***@");
}

/** Adds the options that say how a server is reached; {@linkcode TARGET_OPTIONS} checks them. */
// deno-lint-ignore no-explicit-any
export function addServerOptions(command: Command<any, any, any>): void {
  command
    .option("--model <id>", "served model; the server's first if absent")
    .option("--api <name>", "auto, completions or chat", "auto")
    .option("--metrics-url <url...>", "where metrics are, if not at the endpoint; of each worker")
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

/** The address of a server, left as it is: `targetFrom` tidies it. */
export function endpoint() {
  return v.pipe(
    v.string(),
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed) return;
      try {
        normaliseEndpoint(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
      }
    }),
  );
}

/** An address that is asked as it is. A password in it would land in results. */
function url() {
  return v.pipe(
    v.string(),
    v.check((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""), "is not a http(s) URL"),
    v.check((text) => {
      const { username = "", password = "" } = URL.parse(text) ?? {};
      return username + password === "";
    }, "holds a user name or a password; use --api-key-env or --header"),
  );
}

/** A name of RFC 9110 and a value that can be sent: printable, on one line. */
const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*:[\t\x20-\x7e\x80-\xff]*$/;

/** Checks of the options that say which server is measured. */
export const TARGET_OPTIONS = {
  apiEndpoint: v.array(endpoint()),
  endpointSelection: oneOf("round-robin", "pinned"),
  api: oneOf("auto", "completions", "chat"),
  promptFormat: oneOf("text", "token-ids"),
  model: v.optional(v.string()),
  tokenizer: v.optional(v.string()),
  apiKeyEnv: v.optional(v.string()),
  apiKeyFile: v.optional(v.string()),
  header: v.array(
    v.pipe(v.string(), v.regex(HEADER, "must look like 'Name: value'")),
  ),
  timeout: duration(100),
  serverWait: v.optional(duration(0)),
  insecure: v.optional(v.boolean(), false),
  ca: v.optional(v.string()),
  metricsUrl: v.optional(v.array(url())),
};

type TargetOptions = v.InferOutput<v.ObjectSchema<typeof TARGET_OPTIONS, undefined>>;

/** Problems between the options that say which server is measured. */
export function targetProblems(options: Readable<TargetOptions>): string[] {
  const problems: string[] = [];
  if (options.apiKeyEnv !== undefined && options.apiKeyFile !== undefined) {
    problems.push("--api-key-env and --api-key-file exclude each other");
  }
  if (options.insecure && options.ca !== undefined) {
    problems.push("--insecure and --ca exclude each other");
  }
  if (options.promptFormat === "token-ids" && options.api === "chat") {
    problems.push("--prompt-format token-ids needs --api completions: the chat route takes none");
  }
  return problems;
}

/** Reads keys and certificates, and tidies the endpoints. */
export async function targetFrom(
  host: Host,
  options: TargetOptions,
): Promise<TargetConfig> {
  const headers: Record<string, string> = {};
  for (const text of options.header) {
    const at = text.indexOf(":");
    headers[text.slice(0, at).trim().toLowerCase()] = text.slice(at + 1).trim();
  }
  const key = await apiKey(host, options);
  if (key !== undefined) headers["authorization"] ??= `Bearer ${key}`;
  // Whatever a server repeats: no key is said. Results on stdout are cleaned where they are made.
  host.stderr.filter?.(redactorOf(headers));
  const { model, tokenizer, ca } = options;
  const [metricsUrl, ...moreMetricsUrls] = options.metricsUrl ?? [];
  return {
    endpoints: options.apiEndpoint.map(normaliseEndpoint),
    endpointSelection: options.endpointSelection,
    api: options.api,
    promptFormat: options.promptFormat,
    ...(model === undefined ? {} : { model }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    ...(metricsUrl === undefined ? {} : { metricsUrl, moreMetricsUrls }),
    headers,
    timeoutMs: options.timeout,
    ...(options.serverWait === undefined ? {} : { serverWaitMs: options.serverWait }),
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
