/**
 * Tokenizer files in the Hugging Face cache, and their download into it.
 *
 * The layout is the one that `huggingface_hub` uses where links are not possible: plain files in
 * `models--org--name/snapshots/<commit>/`, so that Python finds what was downloaded here.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { Files } from "../host.ts";

/** Time for the hub to answer a question about a model. */
const INFO_TIMEOUT_MS = 5_000;
/** Time for the download of one file (a large `tokenizer.json` has 30 MB). */
const DOWNLOAD_TIMEOUT_MS = 60_000;

/** What the cache and the hub need of the process. */
export interface HubOptions {
  readonly files: Files;
  /** Reads `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE` and `HOME`. */
  readonly env: (name: string) => string | undefined;
  /** Replaces the global `fetch`. */
  readonly fetchHub?: typeof fetch;
  /** True if the hub must not be asked, as with `HF_HUB_OFFLINE=1`. @default {false} */
  readonly offline?: boolean;
}

/** The two files that a tokenizer is made from, unparsed. */
export interface TokenizerFiles {
  readonly tokenizer: string;
  readonly config?: string;
  /** For messages. */
  readonly source: string;
}

/** True for `name` and `org/name` as the hub allows them. */
export function isHubId(text: string): boolean {
  return /^[A-Za-z0-9][\w.-]*(\/[A-Za-z0-9][\w.-]*)?$/.test(text) && !text.includes("..");
}

/** The folder of the Hugging Face cache, by the rules of `huggingface_hub`. */
export function hubCacheDir(env: HubOptions["env"]): string | undefined {
  const home = env("HOME") || env("USERPROFILE");
  const expand = (path: string) => home ? path.replace(/^~(?=[/\\]|$)/, home) : path;
  const direct = env("HF_HUB_CACHE") || env("HUGGINGFACE_HUB_CACHE");
  if (direct) return expand(direct);
  const hfHome = env("HF_HOME");
  if (hfHome) return `${expand(hfHome)}/hub`;
  const xdg = env("XDG_CACHE_HOME");
  if (xdg) return `${expand(xdg)}/huggingface/hub`;
  return home ? `${home}/.cache/huggingface/hub` : undefined;
}

/** The tokenizer files in a folder, or `undefined` if it has no `tokenizer.json`. */
export async function readTokenizerDir(
  files: Files,
  dir: string,
  source: string,
): Promise<TokenizerFiles | undefined> {
  const path = `${dir}/tokenizer.json`;
  if (await files.stat(path) === undefined) return undefined;
  const configPath = `${dir}/tokenizer_config.json`;
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
  const repo = repoDir(id, options);
  if (repo === undefined) return undefined;
  const { files } = options;
  const main = await mainCommit(files, repo);
  const snapshots: { commit: string; modifiedMs: number }[] = [];
  for (const commit of await files.list(`${repo}/snapshots`)) {
    const info = await files.stat(`${repo}/snapshots/${commit}`);
    if (info?.isDirectory) snapshots.push({ commit, modifiedMs: info.modifiedMs });
  }
  snapshots.sort((a, b) =>
    Number(b.commit === main) - Number(a.commit === main) || b.modifiedMs - a.modifiedMs
  );
  for (const { commit } of snapshots) {
    const source = `tokenizer.json of ${id} (Hugging Face cache)`;
    const found = await readTokenizerDir(files, `${repo}/snapshots/${commit}`, source);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Downloads the tokenizer files of a model from the hub into the cache.
 *
 * A commit that the cache already has as `main` is kept, so that a server which loads its weights
 * from the same cache still finds them. A cache that cannot be written does no harm.
 *
 * @throws {KvmarkError} `usage` if the hub has no such tokenizer or refuses it, `io` if the hub
 *   cannot be reached or must not be asked.
 */
export async function downloadTokenizer(id: string, options: HubOptions): Promise<TokenizerFiles> {
  const { env, files } = options;
  if (options.offline || /^(1|true|yes|on)$/i.test(env("HF_HUB_OFFLINE") ?? "")) {
    throw new KvmarkError("io", `Cannot download the tokenizer of ${id}: offline mode is on`, {
      hint: "unset HF_HUB_OFFLINE, or give its folder by --tokenizer",
    });
  }
  try {
    const repo = repoDir(id, options);
    const known = repo === undefined ? undefined : await mainCommit(files, repo);
    const commit = known ?? await askCommit(id, options);
    const tokenizer = await downloadText(id, "tokenizer.json", commit, options);
    if (tokenizer === undefined) throw withoutTokenizer(id);
    const config = await downloadText(id, "tokenizer_config.json", commit, options);
    const found: TokenizerFiles = {
      tokenizer,
      ...(config === undefined ? {} : { config }),
      source: `tokenizer.json of ${id} (Hugging Face hub)`,
    };
    if (repo !== undefined) await keep(files, repo, commit, found, known === undefined);
    return found;
  } catch (error) {
    throw hubError(id, error);
  }
}

function repoDir(id: string, options: HubOptions): string | undefined {
  const cache = hubCacheDir(options.env);
  if (cache === undefined || !isHubId(id)) return undefined;
  return `${cache}/models--${id.replaceAll("/", "--")}`;
}

async function mainCommit(files: Files, repo: string): Promise<string | undefined> {
  const path = `${repo}/refs/main`;
  if (await files.stat(path) === undefined) return undefined;
  const commit = (await files.readText(path)).trim();
  return /^[\w.-]+$/.test(commit) ? commit : undefined;
}

async function askCommit(id: string, options: HubOptions): Promise<string> {
  const { modelInfo } = await import("@huggingface/hub");
  const info = await within(
    INFO_TIMEOUT_MS,
    options,
    (access) => modelInfo({ name: id, revision: "main", additionalFields: ["sha"], ...access }),
  );
  return info.sha;
}

/** The text of a file of the hub; `undefined` if the model has no such file. */
async function downloadText(
  id: string,
  path: string,
  revision: string,
  options: HubOptions,
): Promise<string | undefined> {
  const { downloadFile } = await import("@huggingface/hub");
  return await within(DOWNLOAD_TIMEOUT_MS, options, async (access) => {
    const blob = await downloadFile({ repo: id, path, revision, xet: false, ...access });
    return await blob?.text();
  });
}

interface HubAccess {
  readonly fetch: typeof fetch;
  readonly hubUrl?: string;
  readonly accessToken?: string;
}

/** Runs a call to the hub; all its requests are cut when the time is over. */
async function within<T>(
  timeoutMs: number,
  options: HubOptions,
  call: (access: HubAccess) => Promise<T>,
): Promise<T> {
  const { env, fetchHub = fetch } = options;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error("timed out")), timeoutMs);
  const hubUrl = env("HF_ENDPOINT")?.replace(/\/+$/, "");
  const accessToken = env("HF_TOKEN");
  try {
    return await call({
      fetch: (input, init) => fetchHub(input, { ...init, signal: controller.signal }),
      ...(hubUrl ? { hubUrl } : {}),
      ...(accessToken ? { accessToken } : {}),
    });
  } finally {
    clearTimeout(timer);
  }
}

async function keep(
  files: Files,
  repo: string,
  commit: string,
  found: TokenizerFiles,
  newRef: boolean,
): Promise<void> {
  const dir = `${repo}/snapshots/${commit}`;
  try {
    await files.makeDir(dir);
    await files.writeText(`${dir}/tokenizer.json`, found.tokenizer);
    if (found.config !== undefined) {
      await files.writeText(`${dir}/tokenizer_config.json`, found.config);
    }
    if (newRef) {
      await files.makeDir(`${repo}/refs`);
      await files.writeText(`${repo}/refs/main`, commit);
    }
  } catch {
    // The cache saves the next download; this run has what it needs.
  }
}

function withoutTokenizer(id: string): KvmarkError {
  return new KvmarkError("usage", `The hub's model ${id} has no tokenizer.json`, {
    hint: "name a model with the same tokenizer that has one by --tokenizer",
  });
}

/** What a failed call to the hub means. The error itself may name an address: it is not printed. */
function hubError(id: string, error: unknown): KvmarkError {
  if (error instanceof KvmarkError) return error;
  const status = (error as { statusCode?: unknown } | undefined)?.statusCode;
  if (status === 401 || status === 403) {
    return new KvmarkError(
      "usage",
      `The hub refuses the tokenizer of ${id} (${status}): gated, private or no such model`,
      {
        hint:
          "accept the licence on the model's page and set HF_TOKEN, or give a folder with its " +
          "tokenizer.json by --tokenizer",
        cause: error,
      },
    );
  }
  if (status === 404) {
    return new KvmarkError("usage", `The hub has no model ${id}`, {
      hint: "check the name, or give a folder with a tokenizer.json by --tokenizer",
      cause: error,
    });
  }
  if (error instanceof TypeError && error.message.includes("access token")) {
    return new KvmarkError("usage", "HF_TOKEN is not an access token of the hub", {
      hint: "such a token begins with hf_; correct or unset it",
    });
  }
  const reason = typeof status === "number" ? `status ${status}` : "no answer";
  return new KvmarkError("io", `Cannot reach the hub for the tokenizer of ${id}: ${reason}`, {
    hint:
      "check the network or HF_ENDPOINT, or give a folder with its tokenizer.json by --tokenizer",
    cause: error,
  });
}
