/**
 * The word list that prompts are made of: entries that encode to exactly one token each.
 *
 * @module
 */

import type { Files } from "../host.ts";
import { seedFor } from "../random.ts";
import { encodeAndTrim } from "./encode_and_trim.ts";
import { ENGLISH_WORDS } from "./english_words.ts";
import { renderIds, renderText } from "./generator.ts";
import { type Ask, findOneTokenWords, type OneTokenWords } from "./one_token.ts";
import { type Encoder, findTokenizer } from "./tokenizer.ts";

/**
 * Words in a list. 1024 of them make a block of 16 tokens one of 2^160, and three are drawn from
 * each random number.
 */
const WANTED_WORDS = 1024;
/** With fewer words, blocks of random text would be too much alike. */
const LEAST_WORDS = 256;
/** Words in one question to a server; small enough for a model with a short context. */
const SERVER_GROUP_WORDS = 256;

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
  /** Tokens that the server counts in each prompt, and nothing explains. */
  readonly surplusTokens?: number;
  /** Lines for stderr: which source was taken and why, which was not. */
  readonly notes: readonly string[];
  /**
   * Present if the one-token rule does not hold for this tokenizer. Gives a text of exactly
   * `tokens` tokens that begins like `text`; `text` must have at least that many.
   */
  readonly encodeAndTrim?: (text: string, tokens: number) => string;
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

/**
 * The word list for a served model, from the first source that gives one: the tokenizer that the
 * user named, the served model's in the Hugging Face cache, the server's `/tokenize`, the hub, and
 * at last a built-in list that is compared with the server's own counts.
 *
 * A tokenizer from a file is compared with the server (by `/tokenize`, else by counts) where that
 * is possible, and is not used if the server tokenizes differently: prompts would have the wrong
 * size.
 *
 * @throws {KvmarkError} Only if a tokenizer was named by the user and cannot be used at all.
 */
export async function resolveVocabulary(options: VocabularyOptions): Promise<Vocabulary> {
  const notes: string[] = [];
  for (const source of [namedSource, cacheSource, serverSource, hubSource]) {
    const vocabulary = await source(options, notes);
    if (vocabulary !== undefined) return { ...vocabulary, notes };
  }
  return { ...await builtInVocabulary(options, notes), notes };
}

async function namedSource(
  options: VocabularyOptions,
  notes: string[],
): Promise<Vocabulary | undefined> {
  if (options.tokenizer === undefined) return undefined;
  const { encoder } = await findTokenizer(options);
  return encoder && await fromFile(encoder, options, notes);
}

function cacheSource(
  options: VocabularyOptions,
  notes: string[],
): Promise<Vocabulary | undefined> {
  return fromPlace("local", options, notes);
}

function hubSource(options: VocabularyOptions, notes: string[]): Promise<Vocabulary | undefined> {
  return fromPlace("hub", options, notes);
}

async function fromPlace(
  place: "local" | "hub",
  options: VocabularyOptions,
  notes: string[],
): Promise<Vocabulary | undefined> {
  const { tokenizer: _named, ...rest } = options;
  const found = await findTokenizer({ ...rest, places: [place] });
  notes.push(...found.notes);
  return found.encoder && await fromFile(found.encoder, options, notes);
}

async function serverSource(
  { serverEncoder }: VocabularyOptions,
  notes: string[],
): Promise<Vocabulary | undefined> {
  if (serverEncoder === undefined) return undefined;
  try {
    return await encodedVocabulary(serverEncoder, notes, {
      candidates: ENGLISH_WORDS,
      wanted: WANTED_WORDS,
      groupWords: SERVER_GROUP_WORDS,
      wantedStarters: 8,
      maxQuestions: 512,
      samples: 4,
      sampleTokens: 1024,
    });
  } catch (error) {
    notes.push(`prompts: ${serverEncoder.source} does not answer: ${messageOf(error)}`);
    return undefined;
  }
}

/** The list of a tokenizer on this machine, unless the server is seen to tokenize differently. */
async function fromFile(
  encoder: Encoder,
  options: VocabularyOptions,
  notes: string[],
): Promise<Vocabulary | undefined> {
  const own = new Set(ENGLISH_WORDS);
  const more = (encoder.vocabularyWords?.() ?? []).filter((word) => !own.has(word));
  const lines: string[] = [];
  const vocabulary = await encodedVocabulary(encoder, lines, {
    candidates: [...ENGLISH_WORDS, ...more],
    wanted: WANTED_WORDS,
    groupWords: 64,
    wantedStarters: WANTED_WORDS,
    maxQuestions: Infinity,
    samples: 4,
    sampleTokens: 2048,
  });
  if (vocabulary === undefined) {
    notes.push(...lines);
    return undefined;
  }
  const difference = await differenceFromServer(vocabulary, encoder, options);
  if (difference !== undefined) {
    notes.push(`prompts: the ${encoder.source} is not used: ${difference}`);
    return undefined;
  }
  notes.push(...lines);
  return vocabulary;
}

async function encodedVocabulary(
  encoder: Encoder,
  notes: string[],
  options: Parameters<typeof findOneTokenWords>[1],
): Promise<Vocabulary | undefined> {
  const ask: Ask = async (text) => {
    const ids = await encoder.encode(text);
    return { count: ids.length, ids };
  };
  const found = await findOneTokenWords(ask, options);
  if (found === undefined || found.words.length < LEAST_WORDS) {
    const { encodeNow } = encoder;
    const few = `the ${encoder.source} has ${found?.words.length ?? "no"} one-token words`;
    if (encodeNow === undefined) {
      notes.push(`prompts: ${few}, and it is too far away to encode each prompt by it`);
      return undefined;
    }
    notes.push(`prompts: warning: ${few}: each prompt is encoded and trimmed, which is slow`);
    return {
      words: ENGLISH_WORDS.slice(0, WANTED_WORDS).map((word) => ` ${word}`),
      starters: ENGLISH_WORDS.slice(0, WANTED_WORDS),
      source: encoder.source,
      proof: "encoded",
      notes: [],
      encodeAndTrim: (text, tokens) => encodeAndTrim(encodeNow, text, tokens),
    };
  }
  notes.push(
    `prompts: ${found.words.length} one-token words by the ${encoder.source}, checked on random ` +
      `texts of ${found.checkedTokens} tokens`,
  );
  return { ...wordsOf(found), source: encoder.source, proof: "encoded", notes: [] };
}

function wordsOf(
  found: OneTokenWords,
): Pick<Vocabulary, "words" | "ids" | "starters" | "starterIds"> {
  const { words, ids, starters, starterIds } = found;
  return {
    words,
    starters,
    ...(ids === undefined || starterIds === undefined ? {} : { ids, starterIds }),
  };
}

/** What the server makes differently of a random text; `undefined` if nothing, or not known. */
async function differenceFromServer(
  vocabulary: Vocabulary,
  encoder: Encoder,
  options: VocabularyOptions,
): Promise<string | undefined> {
  const segments = [{ seed: seedFor("compare with the server"), tokens: SERVER_GROUP_WORDS }];
  const text = renderText(vocabulary, segments);
  const { serverEncoder, countPromptTokens } = options;
  const ours = vocabulary.ids ? renderIds(vocabulary, segments) : await encoder.encode(text);
  try {
    if (serverEncoder !== undefined) {
      const theirs = await serverEncoder.encode(text);
      if (theirs.length !== ours.length) {
        return `the server makes ${theirs.length} tokens of a text of ${ours.length}`;
      }
      const same = theirs.every((id, i) => id === ours[i]);
      return same ? undefined : "the server gives the same words other token ids";
    }
    const first = text.slice(0, text.indexOf(" "));
    const one = await countPromptTokens?.(first);
    const all = await countPromptTokens?.(text);
    if (one === undefined || all === undefined) return undefined;
    const expected = ours.length - (await encoder.encode(first)).length;
    if (all - one === expected) return undefined;
    return `the server counts ${all - one} tokens where it counts ${expected}`;
  } catch {
    // A server that does not answer here proves nothing against the tokenizer.
    return undefined;
  }
}

/** The list that needs no tokenizer, compared with the server's counts where it gives any. */
async function builtInVocabulary(options: VocabularyOptions, notes: string[]): Promise<Vocabulary> {
  const source = "built-in English list";
  const { countPromptTokens } = options;
  let reason = "the server reports no prompt tokens";
  if (countPromptTokens !== undefined) {
    try {
      const found = await calibrate(countPromptTokens);
      if (found !== undefined && found.words.length >= LEAST_WORDS) {
        notes.push(...calibrationNotes(found));
        const { surplusTokens } = found;
        return { ...wordsOf(found), surplusTokens, source, proof: "calibrated", notes: [] };
      }
      reason = "its words are not one token each for this server";
    } catch (error) {
      if (!(error instanceof NoCount)) reason = `counting failed: ${messageOf(error)}`;
    }
  }
  notes.push(
    `prompts: warning: sizes are a guess: no tokenizer was found, and the ${source} could not be ` +
      `checked (${reason}); name the model's tokenizer by --tokenizer`,
  );
  const words = ENGLISH_WORDS.slice(0, WANTED_WORDS);
  return {
    words: words.map((word) => ` ${word}`),
    starters: words,
    source,
    proof: "assumed",
    notes: [],
  };
}

/** Thrown where a count was hoped for and the server gave none. */
class NoCount extends Error {}

function calibrate(
  countPromptTokens: NonNullable<VocabularyOptions["countPromptTokens"]>,
): Promise<OneTokenWords | undefined> {
  const ask: Ask = async (text) => {
    const count = await countPromptTokens(text);
    if (count === undefined) throw new NoCount();
    return { count };
  };
  return findOneTokenWords(ask, {
    candidates: ENGLISH_WORDS,
    wanted: WANTED_WORDS,
    groupWords: SERVER_GROUP_WORDS,
    wantedStarters: 4,
    maxQuestions: 400,
    samples: 2,
    sampleTokens: SERVER_GROUP_WORDS,
  });
}

function calibrationNotes(found: OneTokenWords): string[] {
  const notes = [
    `prompts: ${found.words.length} words of the built-in English list, one token each by the ` +
    "server's own counts",
  ];
  if (found.surplusTokens !== 0) {
    notes.push(
      `prompts: warning: the server counts ${found.surplusTokens} tokens more than the measured ` +
        "overhead explains: prompts are that much longer than planned",
    );
  }
  return notes;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
