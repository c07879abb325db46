/**
 * Tokenizer files: in a folder, in the Hugging Face cache, on the hub.
 *
 * @module
 */

import type { Files } from "../host.ts";
import { cachedSnapshots, downloadFromHub, type HubOptions } from "../hugging_face.ts";

/** The two files that a tokenizer is made from, unparsed. */
export interface TokenizerFiles {
  readonly tokenizer: string;
  readonly config?: string;
  /** For messages. */
  readonly source: string;
}

const TOKENIZER = "tokenizer.json";
const CONFIG = "tokenizer_config.json";

/** The tokenizer files in a folder, or `undefined` if it has no `tokenizer.json`. */
export async function readTokenizerDir(
  files: Files,
  dir: string,
  source: string,
): Promise<TokenizerFiles | undefined> {
  const path = `${dir}/${TOKENIZER}`;
  if (await files.stat(path) === undefined) return undefined;
  const configPath = `${dir}/${CONFIG}`;
  const hasConfig = await files.stat(configPath) !== undefined;
  return {
    tokenizer: await files.readText(path),
    ...(hasConfig ? { config: await files.readText(configPath) } : {}),
    source,
  };
}

/** The tokenizer files of a model in the cache: of its `main` commit, else of the newest one. */
export async function readCachedTokenizer(
  id: string,
  options: HubOptions,
): Promise<TokenizerFiles | undefined> {
  for (const dir of await cachedSnapshots(id, options)) {
    const source = `${TOKENIZER} of ${id} (Hugging Face cache)`;
    const found = await readTokenizerDir(options.files, dir, source);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Downloads the tokenizer files of a model from the hub into the cache.
 *
 * @throws {KvmarkError} `usage` if the hub has no such tokenizer or refuses it, `io` if the hub
 *   cannot be reached or must not be asked.
 */
export async function downloadTokenizer(id: string, options: HubOptions): Promise<TokenizerFiles> {
  const texts = await downloadFromHub(id, {
    subject: "tokenizer",
    required: TOKENIZER,
    optional: [CONFIG],
    instead: "give a folder with its tokenizer.json by --tokenizer",
    without: "name a model with the same tokenizer that has one by --tokenizer",
  }, options);
  const config = texts.get(CONFIG);
  return {
    tokenizer: texts.get(TOKENIZER) ?? "",
    ...(config === undefined ? {} : { config }),
    source: `${TOKENIZER} of ${id} (Hugging Face hub)`,
  };
}
