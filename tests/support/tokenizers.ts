/**
 * Small tokenizers and files in memory, for tests.
 *
 * @module
 */

import type { Files } from "../../lib/host.ts";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];

/**
 * A `tokenizer.json` of the Unigram kind whose entries are `words` (each with the space before it)
 * and single letters: every other word is as many tokens as it has letters, and one more.
 */
export function unigramTokenizer(words: readonly string[]): unknown {
  const space = "▁";
  return {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: "Metaspace",
      replacement: space,
      add_prefix_space: true,
      prepend_scheme: "first",
    },
    post_processor: null,
    decoder: { type: "Metaspace", replacement: space, add_prefix_space: true },
    model: {
      type: "Unigram",
      unk_id: 0,
      vocab: [
        ["<unk>", 0],
        [space, -10],
        ...LETTERS.map((letter) => [letter, -10]),
        ...words.map((word) => [space + word, -1]),
      ],
    },
  };
}

/** A `tokenizer.json` of the WordPiece kind: a word that is not in the list is one "unknown". */
export function wordPieceTokenizer(words: readonly string[]): unknown {
  return {
    added_tokens: [],
    normalizer: { type: "BertNormalizer", lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: null,
    decoder: { type: "WordPiece", prefix: "##" },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(["[UNK]", ...words].map((word, id) => [word, id])),
    },
  };
}

/** A file system of the given texts, by path. Folders are what the paths imply. */
export function memoryFiles(texts: Record<string, string> = {}): Files & {
  readonly texts: Map<string, string>;
} {
  const files = new Map(Object.entries(texts));
  const read = (path: string) => {
    const text = files.get(path);
    if (text === undefined) throw new Error(`no such file: ${path}`);
    return text;
  };
  const below = (path: string) => [...files.keys()].filter((name) => name.startsWith(`${path}/`));
  return {
    texts: files,
    readText: (path) => Promise.resolve().then(() => read(path)),
    readBytes: (path) => Promise.resolve().then(() => new TextEncoder().encode(read(path))),
    writeText: (path, text) => Promise.resolve(void files.set(path, text)),
    writeBytes: (path, bytes) =>
      Promise.resolve(void files.set(path, new TextDecoder().decode(bytes))),
    appendText: (path, text) =>
      Promise.resolve(void files.set(path, (files.get(path) ?? "") + text)),
    makeDir: () => Promise.resolve(),
    list: (path) =>
      Promise.resolve(
        [...new Set(below(path).map((name) => name.slice(path.length + 1).split("/")[0]!))].sort(),
      ),
    stat(path) {
      const text = files.get(path);
      const isDirectory = below(path).length > 0;
      if (text === undefined && !isDirectory) return Promise.resolve(undefined);
      return Promise.resolve({ sizeBytes: text?.length ?? 0, isDirectory, modifiedMs: 0 });
    },
    remove: (path) => Promise.resolve(void files.delete(path)),
  };
}
