/**
 * Tokenizers: from a file, the Hugging Face cache or the hub.
 *
 * @module
 */

import { Tokenizer } from "@huggingface/tokenizers";
import { KvmarkError } from "../errors.ts";
import { type HubOptions, isHubId } from "../hugging_face.ts";
import {
  downloadTokenizer,
  readCachedTokenizer,
  readTokenizerDir,
  type TokenizerFiles,
} from "./hugging_face.ts";

/** Turns text into token ids, without special tokens. */
export interface Encoder {
  /** Where it comes from, for messages: `tokenizer.json of Qwen/Qwen3-8B (Hugging Face cache)`. */
  readonly source: string;
  encode(text: string): Promise<number[]>;
  /** The same without waiting; absent where a server has to be asked. */
  readonly encodeNow?: (text: string) => number[];
  /** Lowercase ASCII words that the vocabulary has as one entry; absent where it is not known. */
  readonly vocabularyWords?: () => string[];
}

/**
 * A tokenizer from the parsed `tokenizer.json` and `tokenizer_config.json` of a model.
 *
 * @param config May be `undefined`: only its cleaning options matter here.
 * @param source Where the files come from, for messages.
 * @throws {KvmarkError} `io`, if they are not what these files should be.
 */
export function loadTokenizerJson(json: unknown, config: unknown, source: string): Encoder {
  let tokenizer: Tokenizer;
  try {
    // Files of old versions leave these two out; the tokenizer asks for them.
    const whole = { added_tokens: [], ...json as object };
    requireSaneIds(whole);
    tokenizer = new Tokenizer(whole, (config ?? {}) as object);
    if (tokenizer.encode("a b", { add_special_tokens: false }).ids.length === 0) {
      throw new Error("it encodes text to nothing");
    }
  } catch (error) {
    throw damaged(source, error instanceof Error ? error.message : String(error), error);
  }
  const encodeNow = (text: string) =>
    Array.from(tokenizer.encode(text, { add_special_tokens: false }).ids);
  return {
    source,
    encode: (text) => Promise.resolve(encodeNow(text)),
    encodeNow,
    vocabularyWords: () => wordsOf(tokenizer),
  };
}

/** The largest vocabularies have 300,000 entries. */
const MOST_IDS = 2 ** 24;

/** The tokenizer makes a list as long as the largest id: one that is damaged would take all memory. */
function requireSaneIds(json: { readonly model?: unknown; readonly added_tokens?: unknown }): void {
  const { vocab } = (json.model ?? {}) as { readonly vocab?: unknown };
  const added = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  const ids = [
    // A list of pieces (Unigram) has its ids by position.
    ...typeof vocab === "object" && vocab !== null && !Array.isArray(vocab)
      ? Object.values(vocab)
      : [],
    ...added.map((token) => (token as { readonly id?: unknown } | null)?.id),
  ];
  const odd = ids.findIndex((id) =>
    !(Number.isInteger(id) && Number(id) >= 0 && Number(id) < MOST_IDS)
  );
  if (odd >= 0) throw new Error(`${JSON.stringify(ids[odd])} is no id of a token`);
}

/** Vocabulary entries that are a word with the marker for a space before it, in id order. */
function wordsOf(tokenizer: Tokenizer): string[] {
  const words: string[] = [];
  for (const token of tokenizer.get_vocab(false).keys()) {
    const word = /^(?:Ġ|▁| )?([a-z]{3,8})$/.exec(token)?.[1];
    if (word !== undefined) words.push(word);
  }
  return [...new Set(words)];
}

function damaged(source: string, reason: string, cause?: unknown): KvmarkError {
  return new KvmarkError("io", `The ${source} cannot be used: ${reason}`, {
    hint: "download the file again, or name another tokenizer by --tokenizer (a folder, a " +
      "tokenizer.json or a hub id)",
    cause,
  });
}

function parseTokenizer(found: TokenizerFiles): Encoder {
  const { source } = found;
  if (found.tokenizer.startsWith("version https://git-lfs")) {
    throw damaged(source, "it is a Git LFS pointer, not the file itself (git lfs pull)");
  }
  const parse = (text: string, name: string): unknown => {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw damaged(source, `${name} is not valid JSON`, error);
    }
  };
  const config = found.config === undefined
    ? undefined
    : parse(found.config, "tokenizer_config.json");
  return loadTokenizerJson(parse(found.tokenizer, "tokenizer.json"), config, source);
}

/** Options of {@linkcode findTokenizer}. */
export interface TokenizerOptions extends HubOptions {
  /** `--tokenizer`: a folder, a `tokenizer.json` file or a hub id. */
  readonly tokenizer?: string;
  /** The served model's id, whose tokenizer is looked for without `tokenizer`. */
  readonly model: string;
  /** Where to look for the served model's tokenizer, in this order. @default {["local", "hub"]} */
  readonly places?: readonly ("local" | "hub")[];
}

/** A tokenizer, if there is one, and what was tried. */
export interface FoundTokenizer {
  readonly encoder?: Encoder;
  /** Lines for stderr. */
  readonly notes: readonly string[];
}

/**
 * The tokenizer that the user named, or that of the served model.
 *
 * @throws {KvmarkError} Only if the user named one and it cannot be used. The served model's own
 *   tokenizer is a matter of luck: what stood in the way is a note.
 */
export async function findTokenizer(options: TokenizerOptions): Promise<FoundTokenizer> {
  const { tokenizer, model, places = ["local", "hub"] } = options;
  if (tokenizer !== undefined) {
    return { encoder: await namedTokenizer(tokenizer, options), notes: [] };
  }
  const notes: string[] = [];
  for (const place of places) {
    try {
      const found = place === "local"
        ? await localTokenizer(model, options)
        : await hubTokenizer(model, options);
      if (found !== undefined) return { encoder: parseTokenizer(found), notes };
    } catch (error) {
      notes.push(`tokenizer: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { notes };
}

/** The served model may be named by its folder (vLLM does so), or be in the cache. */
async function localTokenizer(
  model: string,
  options: TokenizerOptions,
): Promise<TokenizerFiles | undefined> {
  if (/^([/~.]|[A-Za-z]:[\\/])/.test(model)) {
    return await readTokenizerDir(options.files, model, `tokenizer.json in ${model}`);
  }
  return await readCachedTokenizer(model, options);
}

/** Only for `org/name`: a bare name is more often an alias of the server than a hub id. */
async function hubTokenizer(
  model: string,
  options: TokenizerOptions,
): Promise<TokenizerFiles | undefined> {
  if (!isHubId(model) || !model.includes("/")) return undefined;
  return await downloadTokenizer(model, options);
}

async function namedTokenizer(name: string, options: TokenizerOptions): Promise<Encoder> {
  const { files } = options;
  try {
    const info = await files.stat(name);
    if (info?.isDirectory) {
      const found = await readTokenizerDir(files, name, `tokenizer.json in ${name}`);
      if (found === undefined) throw noSuchTokenizer(`The folder ${name} has no tokenizer.json`);
      return parseTokenizer(found);
    }
    if (info !== undefined) {
      const config = name.replace(/[^/\\]*$/, "tokenizer_config.json");
      const hasConfig = config !== name && await files.stat(config) !== undefined;
      return parseTokenizer({
        tokenizer: await files.readText(name),
        ...(hasConfig ? { config: await files.readText(config) } : {}),
        source: `tokenizer file ${name}`,
      });
    }
    if (!isHubId(name)) {
      throw noSuchTokenizer(`There is no file or folder ${name}, and it is no hub id`);
    }
    const cached = await readCachedTokenizer(name, options);
    return parseTokenizer(cached ?? await downloadTokenizer(name, options));
  } catch (error) {
    if (error instanceof KvmarkError) throw error;
    throw new KvmarkError("io", `Cannot read the tokenizer ${name}: ${(error as Error).message}`, {
      hint: "check the path and its permissions",
      cause: error,
    });
  }
}

function noSuchTokenizer(message: string): KvmarkError {
  return new KvmarkError("usage", message, {
    hint: "--tokenizer takes a folder with a tokenizer.json, such a file, or a hub id (org/name)",
  });
}
