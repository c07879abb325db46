/**
 * One error type with separable facets (kind, hint), one table of exit codes, one formatter.
 *
 * @module
 */

/**
 * Exit codes of every command. Scripts match on them, so a number never changes its meaning.
 * `docs/exit-codes.md` is printed from this table.
 */
export const EXIT_CODES = {
  ok: { code: 0, meaning: "The command did what was asked." },
  internal: { code: 1, meaning: "A defect in kvmark. Please report it with the printed trace." },
  usage: { code: 2, meaning: "The options are wrong; every problem is listed at once." },
  failed: {
    code: 3,
    meaning: "The run ended, but no request (or too few) succeeded; of the demo: its tier map is " +
      "not that of the simulator.",
  },
  unreachable: {
    code: 4,
    meaning: "The server cannot be reached, has no model, or refuses the connection or the key.",
  },
  noCaching: { code: 5, meaning: "The server does not reuse its KV cache (doctor)." },
  unverified: {
    code: 6,
    meaning: "A hit rate was not the one intended and --require-verified was given, or a cold " +
      "cache could not be proved and --cold require was.",
  },
  io: { code: 7, meaning: "A file or folder cannot be read or written, or is locked." },
  damaged: {
    code: 8,
    meaning: "Rows of a results folder are missing or damaged, and --strict was given.",
  },
  threshold: {
    code: 10,
    meaning: "A --fail-if limit was crossed, its interval included, or no point has its figure.",
  },
  interrupted: { code: 130, meaning: "Interrupted; finished rows are kept, rerun to resume." },
} as const;

/** What went wrong, by the exit code that it leads to. */
export type ErrorKind = Exclude<keyof typeof EXIT_CODES, "ok">;

/** Options of {@linkcode KvmarkError}. */
export interface KvmarkErrorOptions {
  /** What the user can do about it. */
  readonly hint?: string;
  /** Several problems that were found together, one line each. */
  readonly problems?: readonly string[];
  readonly cause?: unknown;
}

/**
 * An error that a user can act on: what happened, to what, what to do.
 *
 * @example
 * ```ts
 * import { formatError, KvmarkError } from "./errors.ts";
 * const error = new KvmarkError("unreachable", "Cannot reach http://127.0.0.1:1: refused", {
 *   hint: "start the server, or check --api-endpoint",
 * });
 * console.log(formatError(error));
 * ```
 */
export class KvmarkError extends Error {
  override readonly name = "KvmarkError";
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  readonly problems: readonly string[];

  constructor(kind: ErrorKind, message: string, options: KvmarkErrorOptions = {}) {
    super(oneLine(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint === undefined ? undefined : oneLine(options.hint);
    this.problems = (options.problems ?? []).map(oneLine);
  }
}

// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** Line breaks and control characters become spaces: text of a server must not look like ours. */
export function oneLine(text: string): string {
  return text.replace(CONTROLS, " ");
}

/**
 * An error of the operating system, or a permission that was not given, as one that a user can act
 * on; every other error as it is.
 *
 * @example
 * ```ts
 * import { KvmarkError, userError } from "./errors.ts";
 * const full = Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
 * console.log(userError(full) instanceof KvmarkError); // true
 * ```
 */
export function userError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof KvmarkError) return error;
  if (error.name === "NotCapable") {
    return new KvmarkError("io", error.message, {
      hint: "the README lists the permissions that kvmark needs under deno run",
      cause: error,
    });
  }
  const { code } = error as { code?: unknown };
  if (typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return error;
  return new KvmarkError("io", error.message, {
    hint: "check the path, its permissions and the free space",
    cause: error,
  });
}

/** The exit code that an error leads to. Anything but a {@linkcode KvmarkError} is a defect: 1. */
export function exitCodeOf(error: unknown): number {
  return error instanceof KvmarkError ? EXIT_CODES[error.kind].code : EXIT_CODES.internal.code;
}

/** The text of an error for a terminal: message, problems, hint; a trace only for a defect. */
export function formatError(error: unknown): string {
  if (!(error instanceof KvmarkError)) {
    const trace = error instanceof Error ? error.stack ?? error.message : String(error);
    return `kvmark: internal error\n${trace}`;
  }
  const lines = [`kvmark: ${error.message}`];
  for (const problem of error.problems) lines.push(`  - ${problem}`);
  if (error.hint !== undefined) lines.push(`  hint: ${error.hint}`);
  return lines.join("\n");
}
