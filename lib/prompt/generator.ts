/**
 * Prompts of exactly n tokens, as a pure function of seeds: no tokenizer runs, nothing is kept.
 *
 * A prompt is a concatenation of segments, and a segment is a prefix-stable stream of random words.
 * Words are chosen by the bits of a random number, so the list is used up to the largest power of
 * two that it holds.
 *
 * @module
 */

import { randomStream } from "../random.ts";
import type { Vocabulary } from "./words.ts";

/** A stretch of random words: the first `tokens` words of the stream that `seed` names. */
export interface Segment {
  readonly seed: bigint;
  readonly tokens: number;
}

/** A word list laid out for speed. Each entry takes `stride` bytes (a multiple of 4), padded. */
interface WordTable {
  /** Bits of a random number that choose one word. */
  readonly bits: number;
  /** A starter is chosen by the first word's bits under this mask. */
  readonly starterMask: number;
  /** Words first, then starters (from index `2 ** bits`). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The same bytes as little-endian words of four. */
  readonly words32: Uint32Array;
  readonly lengths: Uint8Array;
  readonly stride: number;
  readonly ids: Float64Array | undefined;
}

const tables = new WeakMap<Vocabulary, WordTable>();

/**
 * The text of a prompt: exactly as many tokens as its segments ask for, if the vocabulary's
 * one-token rule holds.
 *
 * A segment `{seed, 100}` is the beginning of `{seed, 200}` at the same place. The text is ASCII
 * without a character that JSON escapes; its first word has no leading space.
 *
 * @throws {RangeError} If a length is not a whole number, or the vocabulary is too small.
 * @example
 * ```ts
 * import { renderText } from "./generator.ts";
 * const vocabulary = {
 *   words: [" red", " green", " blue", " black"],
 *   starters: ["red", "green"],
 *   source: "example",
 *   proof: "assumed",
 *   notes: [],
 * } as const;
 * console.log(renderText(vocabulary, [{ seed: 1n, tokens: 3 }]).split(" ").length); // 3
 * ```
 */
export function renderText(vocabulary: Vocabulary, segments: readonly Segment[]): string {
  return new TextDecoder().decode(renderBytes(vocabulary, segments));
}

/**
 * The same as {@linkcode renderText} as UTF-8 bytes, which can be put between the quotes of a JSON
 * string as they are. The faster of the two.
 */
export function renderBytes(
  vocabulary: Vocabulary,
  segments: readonly Segment[],
): Uint8Array<ArrayBuffer> {
  const table = tableOf(vocabulary);
  const picks = pickWords(table, segments);
  const { bytes, words32, lengths, stride } = table;
  let size = 0;
  for (let i = 0; i < picks.length; i++) size += lengths[picks[i]!]!;
  const text = new Uint8Array(size);
  const view = new DataView(text.buffer);
  const [stride32, safe] = [stride / 4, size - stride];
  let [i, at] = [0, 0];
  // Four bytes at a time: the padding after a word is overwritten by the next word.
  for (; i < picks.length && at <= safe; i++) {
    const length = lengths[picks[i]!]!;
    const from = picks[i]! * stride32;
    for (let k = 0; k * 4 < length; k++) view.setUint32(at + k * 4, words32[from + k]!, true);
    at += length;
  }
  for (; i < picks.length; i++) {
    const from = picks[i]! * stride;
    const length = lengths[picks[i]!]!;
    text.set(bytes.subarray(from, from + length), at);
    at += length;
  }
  return text;
}

/**
 * The token ids of the same prompt, for `/v1/completions`.
 *
 * @throws {RangeError} If the vocabulary has no ids.
 */
export function renderIds(vocabulary: Vocabulary, segments: readonly Segment[]): number[] {
  const table = tableOf(vocabulary);
  const ids = table.ids;
  if (ids === undefined) throw new RangeError("Cannot render token ids: the vocabulary has none");
  const picks = pickWords(table, segments);
  const prompt: number[] = new Array(picks.length);
  for (let i = 0; i < picks.length; i++) prompt[i] = ids[picks[i]!]!;
  return prompt;
}

/**
 * The text of a prompt for any vocabulary: {@linkcode renderText}, or its slow and exact stand-in
 * where the one-token rule does not hold.
 *
 * With the stand-in, the total is exact; where a segment ends within a word, the token there may
 * differ from the one that the longer segment has at that place.
 *
 * @throws {RangeError} If a text of exactly this size does not exist for the tokenizer.
 */
export function renderExactText(
  vocabulary: Vocabulary,
  segments: readonly Segment[],
): string {
  const { encodeAndTrim } = vocabulary;
  if (encodeAndTrim === undefined) return renderText(vocabulary, segments);
  let [text, tokens] = ["", 0];
  for (const segment of segments) {
    tokens += segment.tokens;
    const more = renderText(vocabulary, [segment]);
    text = encodeAndTrim(text === "" ? more : `${text} ${more}`, tokens);
  }
  return text;
}

/** The table index of each word of the prompt. */
function pickWords(table: WordTable, segments: readonly Segment[]): Uint32Array {
  let total = 0;
  for (const { tokens } of segments) {
    if (!Number.isSafeInteger(tokens) || tokens < 0) {
      throw new RangeError(`Cannot render a segment of ${tokens} tokens: not a whole number`);
    }
    total += tokens;
  }
  const picks = new Uint32Array(total);
  const { bits, starterMask } = table;
  const mask = 2 ** bits - 1;
  const perDraw = Math.floor(32 / bits);
  let at = 0;
  for (const { seed, tokens } of segments) {
    const stream = randomStream(seed);
    const end = at + tokens;
    while (at < end) {
      let draw = stream.nextUint32();
      const stop = Math.min(at + perDraw, end);
      for (; at < stop; at++) {
        picks[at] = draw & mask;
        draw >>>= bits;
      }
    }
  }
  if (total > 0) picks[0] = mask + 1 + (picks[0]! & starterMask);
  return picks;
}

function tableOf(vocabulary: Vocabulary): WordTable {
  let table = tables.get(vocabulary);
  if (table === undefined) {
    table = makeTable(vocabulary);
    tables.set(vocabulary, table);
  }
  return table;
}

function makeTable(vocabulary: Vocabulary): WordTable {
  const bits = Math.min(16, Math.floor(Math.log2(vocabulary.words.length)));
  const starterBits = Math.min(bits, Math.floor(Math.log2(vocabulary.starters.length)));
  if (!(bits >= 1) || !(starterBits >= 0)) {
    throw new RangeError("Cannot render prompts: the vocabulary needs two words and a starter");
  }
  const [wordCount, starterCount] = [2 ** bits, 2 ** starterBits];
  const entries = [
    ...vocabulary.words.slice(0, wordCount),
    ...vocabulary.starters.slice(0, starterCount),
  ];
  const stride = Math.ceil(Math.max(...entries.map((entry) => entry.length)) / 4) * 4;
  const bytes = new Uint8Array(entries.length * stride);
  const lengths = new Uint8Array(entries.length);
  entries.forEach((entry, index) => {
    if (!/^[ !#-[\]-~]+$/.test(entry) || entry.length > 255) {
      throw new RangeError(`Cannot render the word ${JSON.stringify(entry)}: not JSON-safe ASCII`);
    }
    for (let k = 0; k < entry.length; k++) bytes[index * stride + k] = entry.charCodeAt(k);
    lengths[index] = entry.length;
  });
  const { ids, starterIds } = vocabulary;
  return {
    bits,
    starterMask: starterCount - 1,
    bytes,
    words32: fourBytes(bytes),
    lengths,
    stride,
    ids: ids === undefined || starterIds === undefined
      ? undefined
      : Float64Array.from([...ids.slice(0, wordCount), ...starterIds.slice(0, starterCount)]),
  };
}

function fourBytes(bytes: Uint8Array<ArrayBuffer>): Uint32Array {
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true));
}
