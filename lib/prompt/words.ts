/**
 * The word list that prompts are made of: entries that encode to exactly one token each.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { Encoder } from "./tokenizer.ts";

/** Words whose tokens are known, so that text of exactly n tokens needs no encoding. */
export interface Vocabulary {
  /** With a leading space; one token each, and still one token each when joined. */
  readonly words: readonly string[];
  /** The token ids of `words`, in the same order; absent where only counts are known. */
  readonly ids?: readonly number[];
  /** Without a leading space; one token each at the start of a prompt. */
  readonly starters: readonly string[];
  /** The token ids of `starters`, in the same order. */
  readonly starterIds?: readonly number[];
  /** Where the list comes from, for instance `server /tokenize` or `built-in English list`. */
  readonly source: string;
  /**
   * How sure the one-token rule is: `encoded` by the tokenizer as a whole sample, `calibrated`
   * against the server's own prompt token counts, or `assumed`.
   */
  readonly proof: "encoded" | "calibrated" | "assumed";
  /** Lines for stderr: which source was taken and why, which was not. */
  readonly notes: readonly string[];
  /**
   * Present if the one-token rule does not hold for this tokenizer. Resolves to a text of exactly
   * `tokens` tokens that begins like `text`; `text` must have at least that many.
   */
  readonly encodeAndTrim?: (text: string, tokens: number) => Promise<string>;
}

/** Options of {@linkcode resolveVocabulary}. */
export interface VocabularyOptions {
  /** `--tokenizer`: a folder, a `tokenizer.json` file or a hub id. */
  readonly tokenizer?: string;
  /** The served model's id. */
  readonly model: string;
  readonly files: Files;
  readonly env: (name: string) => string | undefined;
  /** The server's `/tokenize`, without special tokens. */
  readonly serverEncoder?: Encoder;
  /** The server's count for a prompt of this text (`usage.prompt_tokens`), less the overhead. */
  readonly countPromptTokens?: (text: string) => Promise<number | undefined>;
  /** Replaces the global `fetch` for hub downloads. */
  readonly fetchHub?: typeof fetch;
  /** True if the hub must not be asked. @default {false} */
  readonly offline?: boolean;
}

/** The word list for a served model, from the first source that gives one. */
export function resolveVocabulary(_options: VocabularyOptions): Promise<Vocabulary> {
  return Promise.reject(new Error("resolveVocabulary() is not written yet"));
}
