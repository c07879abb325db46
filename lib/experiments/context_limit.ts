/**
 * How long a prompt may be: as the server states it, or as it says when it refuses one.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Failure } from "../record.ts";
import { formatCount } from "../units.ts";
import type { RunListener } from "./listener.ts";

/** A refusal that is about the length, in the words of vLLM, SGLang, llama.cpp and TGI. */
const TOO_LONG =
  /context (?:length|size|window)|too long|too large|(?:input|prompt|token)[^.]* exceeds? the maximum|longer than the maximum|inputs?`? tokens|max_(?:model|seq)_len|n_ctx/i;

/** Where such a refusal names its limit, in the order in which the names are looked for. */
const LIMITS = [
  /(?:context (?:length|size|window)|max_model_len|n_ctx)\D{0,24}(\d{2,9})/i,
  /maximum (?:model|input|allowed)(?: input)? length\D{0,12}(\d{2,9})/i,
  /must be <= (\d{2,9})/i,
];

/** Prompt tokens that fit; `Infinity` until something is known. */
export class ContextLimit {
  #tokens: number;
  readonly #outputTokens: number;
  readonly #listener: RunListener;

  /** @param contextTokens Prompt and output together, where the server states it. */
  constructor(contextTokens: number | undefined, outputTokens: number, listener: RunListener) {
    this.#tokens = contextTokens === undefined ? Infinity : contextTokens - outputTokens;
    this.#outputTokens = outputTokens;
    this.#listener = listener;
  }

  /**
   * The sizes that fit. A warning names the others.
   *
   * @throws {KvmarkError} `usage`, if none fits.
   */
  within(asked: readonly number[]): readonly number[] {
    return this.#within(asked, `the server takes prompts of ${this.#most()}`);
  }

  /**
   * Learns from how the requests of a size ended.
   *
   * @returns The sizes that still fit, where the server refused this one as too long; `undefined`
   *   where it did not.
   * @throws {KvmarkError} `usage`, if none fits.
   */
  learn(
    sizeTokens: number,
    failures: readonly (Failure | undefined)[],
    sizes: readonly number[],
  ): readonly number[] | undefined {
    const refused = failures.find((one) => one !== undefined && isTooLong(one));
    if (refused === undefined) return undefined;
    const stated = statedLimit(refused.message);
    this.#tokens = Math.min(
      this.#tokens,
      sizeTokens - 1,
      stated === undefined ? Infinity : stated - this.#outputTokens,
    );
    const most = stated === undefined
      ? `fewer than ${formatCount(this.#tokens + 1)} tokens`
      : this.#most();
    return this.#within(
      sizes,
      `the server refused ${formatCount(sizeTokens)} tokens as too long (${refused.message}), so ` +
        `it takes prompts of ${most}`,
    );
  }

  #most(): string {
    return `at most ${formatCount(this.#tokens)} tokens beside the output`;
  }

  #within(asked: readonly number[], why: string): readonly number[] {
    const sizes = asked.filter((size) => size <= this.#tokens);
    if (sizes.length === asked.length) return sizes;
    if (sizes.length === 0) {
      throw new KvmarkError("usage", `No context size is left: ${why}`, {
        hint: `use --max-tokens or --context-sizes of at most ${this.#tokens}, a smaller ` +
          "--min-tokens, or start the server with a longer context",
      });
    }
    const left = asked.filter((size) => size > this.#tokens).map(formatCount);
    this.#listener.warning(`${why}: the sizes ${left.join(", ")} are left out`);
    return sizes;
  }
}

/** Whether a server refused a request because of its length. */
export function isTooLong({ kind, status, message }: Failure): boolean {
  return kind === "http_status" && status !== undefined && status >= 400 && status < 500 &&
    TOO_LONG.test(message);
}

/** The limit that a refusal names, in tokens; `undefined` where it names none. */
export function statedLimit(message: string): number | undefined {
  for (const pattern of LIMITS) {
    const stated = pattern.exec(message)?.[1];
    if (stated !== undefined) return Number(stated);
  }
  return undefined;
}
