/**
 * The simulated model's tokenizer: common words are one token (with or without the space before
 * them, in three capitalisations), everything else is one token for each UTF-8 byte.
 *
 * Text comes back unchanged from its ids. Ids come back from their text where each word token
 * stands where it would be put, which is the case for words joined with their leading space.
 *
 * @module
 */

import { VOCABULARY_WORDS } from "./english.ts";

/** Tokens that no text encodes to. */
export const SPECIAL_TOKENS = [
  "<|begin|>",
  "<|end|>",
  "<|turn|>",
  "<|assistant|>",
  "<|template|>",
] as const;
const [BEGIN, END, TURN, ASSISTANT, TEMPLATE] = [256, 257, 258, 259, 260] as const;
/** Ids of {@linkcode SPECIAL_TOKENS}. */
export const SPECIAL_IDS = {
  begin: BEGIN,
  end: END,
  turn: TURN,
  assistant: ASSISTANT,
  template: TEMPLATE,
} as const;
const FIRST_WORD_ID = 256 + SPECIAL_TOKENS.length;

const VOCABULARY = wordTokens();
/** All words end to end, and where each begins: comparing numbers is faster than strings. */
const LETTERS = new TextEncoder().encode(VOCABULARY.join(""));
const WORD_STARTS = wordStarts();
const HASH_START = 0x811c9dc5;
const WORD_TABLE = wordTable();
/** Number of ids; the largest id is one less. */
export const VOCABULARY_SIZE = FIRST_WORD_ID + VOCABULARY.length;

function wordTokens(): string[] {
  const forms = new Set<string>();
  for (const word of VOCABULARY_WORDS) {
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    for (const form of [word, capital, word.toUpperCase()]) forms.add(" " + form).add(form);
  }
  // Single letters without a space are bytes already: one id for one text.
  return [...forms].filter((form) => form.length > 1);
}

/** All word tokens, those with a leading space included, in the order of their ids. */
export function vocabularyWords(): readonly { readonly id: number; readonly text: string }[] {
  return VOCABULARY.map((text, i) => ({ id: FIRST_WORD_ID + i, text }));
}

function wordStarts(): Int32Array {
  const starts = new Int32Array(VOCABULARY.length + 1);
  VOCABULARY.forEach((word, i) => starts[i + 1] = (starts[i] as number) + word.length);
  return starts;
}

/**
 * An open-addressing table from the hash of a word to its index plus one, 0 = empty. Prompts of
 * 100,000 tokens are encoded between two chunks of other requests: a `Map` would need a substring
 * for each word.
 */
function wordTable(): Int32Array {
  const table = new Int32Array(2 ** Math.ceil(Math.log2(VOCABULARY.length * 3)));
  VOCABULARY.forEach((word, i) => {
    let hash = HASH_START;
    for (let at = 0; at < word.length; at++) hash = hashStep(hash, word.charCodeAt(at));
    let slot = hash & (table.length - 1);
    while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1);
    table[slot] = i + 1;
  });
  return table;
}

function hashStep(hash: number, code: number): number {
  const mixed = Math.imul(hash ^ code, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** Id of the word in `[from, end)`, whose hash is known; 0 if it is none. */
function findWord(text: string, from: number, end: number, hash: number): number {
  const mask = WORD_TABLE.length - 1;
  for (let slot = hash & mask;; slot = (slot + 1) & mask) {
    const entry = WORD_TABLE[slot] as number;
    if (entry === 0) return 0;
    if (isWord(entry - 1, text, from, end)) return FIRST_WORD_ID + entry - 1;
  }
}

function isWord(index: number, text: string, from: number, end: number): boolean {
  const start = WORD_STARTS[index] as number;
  const length = end - from;
  if ((WORD_STARTS[index + 1] as number) - start !== length) return false;
  for (let i = 0; i < length; i++) {
    if (LETTERS[start + i] !== text.charCodeAt(from + i)) return false;
  }
  return true;
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90);
}

/**
 * The ids of a text, without special tokens.
 *
 * @example
 * ```ts
 * import { decode, encode } from "./tokenizer.ts";
 * console.log(encode("The house on the hill").length); // 5
 * console.log(decode(encode("Zürich, 2026")) === "Zürich, 2026"); // true
 * ```
 */
export function encode(text: string): Int32Array<ArrayBuffer> {
  const ids = new Int32Array(text.length * 3);
  let count = 0;
  for (let at = 0; at < text.length;) {
    const code = text.charCodeAt(at);
    const lettersFrom = code === 32 ? at + 1 : at;
    let end = lettersFrom;
    let hash = code === 32 ? hashStep(HASH_START, code) : HASH_START;
    for (; end < text.length; end++) {
      const letter = text.charCodeAt(end);
      if (!isLetter(letter)) break;
      hash = hashStep(hash, letter);
    }
    const id = end > lettersFrom ? findWord(text, at, end, hash) : 0;
    if (id !== 0) {
      ids[count++] = id;
      at = end;
    } else if (end > lettersFrom) {
      for (; at < end; at++) ids[count++] = text.charCodeAt(at);
    } else if (code < 128) {
      ids[count++] = code;
      at++;
    } else {
      const character = String.fromCodePoint(text.codePointAt(at) as number);
      for (const byte of new TextEncoder().encode(character)) ids[count++] = byte;
      at += character.length;
    }
  }
  return ids.slice(0, count);
}

/** The text of one id; a lone byte above 127 has none of its own and gives U+FFFD. */
export function tokenText(id: number): string {
  if (id < 128) return String.fromCharCode(id);
  if (id < 256) return "\ufffd";
  return SPECIAL_TOKENS[id - 256] ?? VOCABULARY[id - FIRST_WORD_ID] ?? "";
}

/** The text of ids. Bytes that are no UTF-8 become U+FFFD; special tokens their names. */
export function decode(ids: ArrayLike<number>): string {
  const encoder = new TextEncoder();
  const parts: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (id < 256) parts.push(id);
    else for (const byte of encoder.encode(tokenText(id))) parts.push(byte);
  }
  // The default decoder would drop a byte-order mark at the start, which is text here.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(parts));
}

/** True if the model has a token of this id. */
export function isTokenId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) < VOCABULARY_SIZE;
}

/** How many tokens the server itself puts around a prompt. */
export interface TemplateSettings {
  /** Tokens before the text of `/v1/completions`; token-id prompts get none. 0 or 1. */
  readonly beginTokens: number;
  /** Tokens before the first message of a chat, and after the last. */
  readonly chatTokensBefore: number;
  readonly chatTokensAfter: number;
}

/** A chat message; content is text or the text parts of it. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** The ids of a text prompt, with the begin token where the server adds one. */
export function encodePrompt(text: string, settings: TemplateSettings): Int32Array<ArrayBuffer> {
  return joined([new Array(settings.beginTokens).fill(BEGIN), encode(text)]);
}

/**
 * The ids of a chat: template, messages with one turn token between two, template.
 *
 * The numbers of tokens before and after are exactly those of the settings.
 */
export function encodeChat(
  messages: readonly ChatMessage[],
  settings: TemplateSettings,
): Int32Array<ArrayBuffer> {
  const before: number[] = new Array(settings.chatTokensBefore).fill(TEMPLATE);
  if (before.length > 0) before[0] = BEGIN;
  if (before.length > 1) before[before.length - 1] = TURN;
  const after: number[] = new Array(settings.chatTokensAfter).fill(TEMPLATE);
  if (after.length > 0) after[0] = END;
  if (after.length > 1) after[after.length - 1] = ASSISTANT;
  const turns = messages.flatMap(({ content }, i) =>
    i === 0 ? [encode(content)] : [[TURN], encode(content)]
  );
  return joined([before, ...turns, after]);
}

function joined(parts: readonly ArrayLike<number>[]): Int32Array<ArrayBuffer> {
  const ids = new Int32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    ids.set(part, at);
    at += part.length;
  }
  return ids;
}
