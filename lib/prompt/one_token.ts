/**
 * Which words are exactly one token each, alone and joined, according to a tokenizer.
 *
 * A tokenizer is asked about many words at once: a group that comes out as one token a word is
 * taken as a whole, another one is halved until the offenders stand alone. So a server's
 * `/tokenize` needs a few requests, not thousands.
 *
 * @module
 */

import { seedFor } from "../random.ts";
import { renderIds, renderText } from "./generator.ts";

/** What a tokenizer says of a text: how many tokens, and where it is known, which. */
export interface Tokens {
  readonly count: number;
  readonly ids?: readonly number[];
}

/** A tokenizer as something that answers one question at a time. */
export type Ask = (text: string) => Promise<Tokens>;

/** Options of {@linkcode findOneTokenWords}. */
export interface OneTokenOptions {
  /** Bare words to choose from, in order of preference. */
  readonly candidates: readonly string[];
  /** Stop when this many words are found. */
  readonly wanted: number;
  /** Words in one question. */
  readonly groupWords: number;
  /** Starters to look for. */
  readonly wantedStarters: number;
  /** Give up looking for more words after this many questions. */
  readonly maxQuestions: number;
  /** Random texts that the result is checked on as a whole, and the tokens of each. */
  readonly samples: number;
  readonly sampleTokens: number;
}

/** Words that were found to be one token each. */
export interface OneTokenWords {
  readonly words: readonly string[];
  readonly ids?: readonly number[];
  readonly starters: readonly string[];
  readonly starterIds?: readonly number[];
  /** Tokens that every count has too many: a count of one word is `1 + surplusTokens`. */
  readonly surplusTokens: number;
  readonly checkedTokens: number;
}

interface Word {
  readonly text: string;
  readonly id?: number;
}

/** The word that all questions begin with, and how it is counted alone. */
interface Anchor extends Word {
  readonly count: number;
}

/** Bare words that are tried as the anchor before the rule is said not to hold. */
const ANCHOR_TRIES = 16;
/** If not one word was found after so many questions, none will be: a tokenizer of letters, say. */
const HOPELESS_QUESTIONS = 64;
/** Rounds of checking the whole and dropping the offenders. */
const CHECK_ROUNDS = 8;

/**
 * Words that are one token each for a tokenizer, proved on random texts of all of them.
 *
 * @returns `undefined` if fewer than two words qualify, or the random texts do not come out right.
 */
export async function findOneTokenWords(
  ask: Ask,
  options: OneTokenOptions,
): Promise<OneTokenWords | undefined> {
  const anchor = await findAnchor(ask, options.candidates);
  if (anchor === undefined) return undefined;
  let words = await siftWords(ask, anchor, options);
  const starters = await findStarters(ask, anchor, words, options);
  for (let round = 0; round < CHECK_ROUNDS; round++) {
    if (words.length < 2) return undefined;
    const found = assemble(words, starters, anchor.count - 1);
    const offenders = await checkSamples(ask, found, options);
    if (offenders === undefined) return undefined;
    if (offenders.size === 0) {
      return { ...found, checkedTokens: options.samples * options.sampleTokens };
    }
    words = words.filter((word) => !offenders.has(word.text));
  }
  return undefined;
}

/**
 * A word that is one token without a leading space. Counts may all have a surplus (BOS, or an
 * overhead that was measured wrongly): then it is the word with the lowest of four counts.
 */
async function findAnchor(ask: Ask, candidates: readonly string[]): Promise<Anchor | undefined> {
  let lowest: Anchor | undefined;
  for (const [tries, text] of candidates.slice(0, ANCHOR_TRIES).entries()) {
    const { count, ids } = await ask(text);
    if (count === 1) return { text, count, ...(ids === undefined ? {} : { id: ids[0]! }) };
    if (ids !== undefined) continue;
    if (lowest === undefined || count < lowest.count) lowest = { text, count };
    if (tries === 3) return lowest;
  }
  return lowest;
}

async function siftWords(ask: Ask, anchor: Anchor, options: OneTokenOptions): Promise<Word[]> {
  const { candidates, wanted, groupWords, maxQuestions } = options;
  const groups: (readonly string[])[] = [];
  for (let at = 0; at < candidates.length; at += groupWords) {
    groups.push(candidates.slice(at, at + groupWords).map((word) => ` ${word}`));
  }
  const words: Word[] = [];
  // Whole groups without an offender may be all that is needed. Then the halves, depth first, so
  // that words come of it even if the questions run out.
  const halves: (readonly string[])[] = [];
  for (let asked = 0; asked < maxQuestions && words.length < wanted; asked++) {
    const group = groups[asked] ?? halves.pop();
    if (group === undefined || (asked >= HOPELESS_QUESTIONS && words.length === 0)) break;
    const { count, ids } = await ask(anchor.text + group.join(""));
    if (count === anchor.count + group.length && ids?.[0] === anchor.id) {
      group.forEach((text, i) =>
        words.push(ids === undefined ? { text } : { text, id: ids[i + 1]! })
      );
    } else if (group.length > 1) {
      const half = Math.ceil(group.length / 2);
      halves.push(group.slice(half), group.slice(0, half));
    }
  }
  return withOwnIds(words).slice(0, wanted);
}

/** Words that share an id (with "unknown", say) cannot be told apart by the server: none is kept. */
function withOwnIds(words: readonly Word[]): Word[] {
  const uses = new Map<number, number>();
  for (const { id } of words) if (id !== undefined) uses.set(id, (uses.get(id) ?? 0) + 1);
  return words.filter(({ id }) => id === undefined || uses.get(id) === 1);
}

/** Bare words that are one token at the start of a text, also with a word after them. */
async function findStarters(
  ask: Ask,
  anchor: Anchor,
  words: readonly Word[],
  options: OneTokenOptions,
): Promise<Word[]> {
  const starters: Word[] = [anchor];
  const next = words[0];
  if (next === undefined) return starters;
  const most = Math.min(words.length, options.wantedStarters * 2);
  for (const word of words.slice(0, most)) {
    if (starters.length >= options.wantedStarters) break;
    const text = word.text.trimStart();
    if (text === anchor.text) continue;
    const { count, ids } = await ask(text + next.text);
    if (count !== anchor.count + 1) continue;
    if (ids === undefined) starters.push({ text });
    else if (ids[1] === next.id) starters.push({ text, id: ids[0]! });
  }
  return withOwnIds(starters);
}

type Unchecked = Omit<OneTokenWords, "checkedTokens">;

function assemble(
  words: readonly Word[],
  starters: readonly Word[],
  surplusTokens: number,
): Unchecked {
  const known = [...words, ...starters].every(({ id }) => id !== undefined);
  return {
    words: words.map(({ text }) => text),
    starters: starters.map(({ text }) => text),
    ...(known
      ? { ids: words.map(({ id }) => id!), starterIds: starters.map(({ id }) => id!) }
      : {}),
    surplusTokens,
  };
}

/**
 * Renders random texts as prompts are rendered, and compares what the tokenizer makes of each as a
 * whole with what was meant.
 *
 * @returns The words at the first difference of each text; `undefined` if there is a difference
 *   and only counts are known, which do not say where.
 */
async function checkSamples(
  ask: Ask,
  found: Unchecked,
  options: OneTokenOptions,
): Promise<Set<string> | undefined> {
  const vocabulary = { ...found, source: "", proof: "assumed", notes: [] } as const;
  const offenders = new Set<string>();
  for (let sample = 0; sample < options.samples; sample++) {
    const half = Math.ceil(options.sampleTokens / 2);
    const segments = [
      { seed: seedFor("check", sample), tokens: half },
      { seed: seedFor("check", sample, "rest"), tokens: options.sampleTokens - half },
    ];
    const text = renderText(vocabulary, segments);
    const { count, ids } = await ask(text);
    if (ids === undefined || found.ids === undefined) {
      if (count !== options.sampleTokens + found.surplusTokens) return undefined;
      continue;
    }
    const meant = renderIds(vocabulary, segments);
    const at = meant.findIndex((id, i) => ids[i] !== id);
    if (at === -1 && ids.length === meant.length) continue;
    const texts = text.split(/(?= )/);
    for (const word of texts.slice(Math.max(0, at - 1), at + 1)) offenders.add(word);
  }
  return offenders;
}
