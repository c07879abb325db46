/**
 * Where a model's config comes from: a file, a folder, the Hugging Face cache, the hub.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { cachedSnapshots, downloadFromHub, type HubOptions, isHubId } from "../hugging_face.ts";
import { readConfig } from "./config.ts";
import { readGguf } from "./gguf.ts";
import type { ModelShape } from "./shape.ts";

/** Largest `config.json` that is read; those of real models have some kilobytes. */
const MOST_CONFIG_BYTES = 10_000_000;

const CONFIG = "config.json";
const LOCAL_HINT = "give a local file instead: a config.json, the folder that has it, or a .gguf";

/** Options of {@linkcode findModel}. */
export interface ModelOptions extends HubOptions {
  /** Take an unknown architecture for what its config looks like. @default {false} */
  readonly assume?: boolean;
}

/** A model whose config was found. */
export interface FoundModel {
  readonly shape: ModelShape;
  /** For people: `config.json of Qwen/Qwen3-8B (Hugging Face cache)`. */
  readonly source: string;
  /** True if it is a GGUF file, which llama.cpp serves. */
  readonly isGguf: boolean;
}

/**
 * The model that a user names: a folder, a `config.json`, a `.gguf` file or a hub id, which is
 * looked up in the cache first.
 *
 * @throws {KvmarkError} `usage` or `io`: each says how to give a local file.
 */
export async function findModel(name: string, options: ModelOptions): Promise<FoundModel> {
  const local = await localModel(name, options);
  if (local !== undefined) return local;
  if (/^([/~.]|[A-Za-z]:[\\/])|\.(json|gguf)$/i.test(name) || !isHubId(name)) {
    throw new KvmarkError("usage", `There is no file or folder ${name}, and it is no hub id`, {
      hint: "give a hub id (org/name), a config.json, the folder that has it, or a .gguf file",
    });
  }
  return await cachedModel(name, options) ?? await hubModel(name, options);
}

/** As {@linkcode findModel} without the hub; `undefined` if nothing is found. */
export async function findLocalModel(
  name: string,
  options: ModelOptions,
): Promise<FoundModel | undefined> {
  return await localModel(name, options) ?? await cachedModel(name, options);
}

async function localModel(name: string, options: ModelOptions): Promise<FoundModel | undefined> {
  const info = await stat(options, name);
  if (info === undefined) return undefined;
  if (!info.isDirectory) {
    return /\.gguf$/i.test(name)
      ? await ggufModel(name, options)
      : await configModel(name, `config ${name}`, options);
  }
  const found = await folderModel(name, `${CONFIG} in ${name}`, options);
  if (found !== undefined) return found;
  throw new KvmarkError("usage", `The folder ${name} has no ${CONFIG} and no .gguf file`, {
    hint: "give the folder of a Hugging Face model, its config.json, or a .gguf file",
  });
}

/** A folder's config, else its first GGUF file that is a language model. */
async function folderModel(
  dir: string,
  source: string,
  options: ModelOptions,
): Promise<FoundModel | undefined> {
  const names = await options.files.list(dir);
  if (names.includes(CONFIG)) return await configModel(`${dir}/${CONFIG}`, source, options);
  const gguf = names.find((name) => /\.gguf$/i.test(name) && !/^mmproj/i.test(name));
  return gguf === undefined ? undefined : await ggufModel(`${dir}/${gguf}`, options);
}

async function stat(options: ModelOptions, path: string) {
  try {
    return await options.files.stat(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): KvmarkError {
  return new KvmarkError("io", `Cannot read ${path}: ${(error as Error).message}`, {
    hint: "check the path and its permissions",
    cause: error,
  });
}

async function cachedModel(id: string, options: ModelOptions): Promise<FoundModel | undefined> {
  if (!isHubId(id)) return undefined;
  for (const dir of await cachedSnapshots(id, options)) {
    const found = await folderModel(dir, `${CONFIG} of ${id} (Hugging Face cache)`, options);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function hubModel(id: string, options: ModelOptions): Promise<FoundModel> {
  const texts = await downloadFromHub(id, {
    subject: CONFIG,
    required: CONFIG,
    instead: LOCAL_HINT,
    without: LOCAL_HINT,
  }, options);
  return parse(texts.get(CONFIG) ?? "", `${CONFIG} of ${id} (Hugging Face hub)`, options);
}

async function configModel(
  path: string,
  source: string,
  options: ModelOptions,
): Promise<FoundModel> {
  const size = (await stat(options, path))?.sizeBytes ?? 0;
  if (size > MOST_CONFIG_BYTES) {
    throw new KvmarkError("usage", `The ${source} cannot be used: it has ${size} bytes`, {
      hint: "give the config.json of a model, which has some kilobytes, or a .gguf file",
    });
  }
  let text: string;
  try {
    text = await options.files.readText(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  return parse(text, source, options);
}

function parse(text: string, source: string, options: ModelOptions): FoundModel {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new KvmarkError("usage", `The ${source} cannot be used: it is not valid JSON`, {
      hint: text.startsWith("version https://git-lfs")
        ? "it is a Git LFS pointer, not the file itself (git lfs pull)"
        : "download the file again",
      cause: error,
    });
  }
  return { shape: readConfig(config, { source, ...assume(options) }), source, isGguf: false };
}

async function ggufModel(path: string, options: ModelOptions): Promise<FoundModel> {
  const source = `GGUF file ${path}`;
  const config = await readGguf(path);
  return { shape: readConfig(config, { source, ...assume(options) }), source, isGguf: true };
}

function assume(options: ModelOptions): { readonly assume?: boolean } {
  return options.assume === undefined ? {} : { assume: options.assume };
}
