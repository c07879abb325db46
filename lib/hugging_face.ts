/**
 * Files of models in the Hugging Face cache, and their download into it.
 *
 * The layout is the one that `huggingface_hub` uses where links are not possible: plain files in
 * `models--org--name/snapshots/<commit>/`, so that Python finds what was downloaded here.
 *
 * @module
 */

import { KvmarkError } from "./errors.ts";
import type { Files } from "./host.ts";

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
  /** Branch, tag or commit. Without it `main`, or in the cache the newest commit. */
  readonly revision?: string;
}

/** Which files of a model are wanted, in the words of the messages about them. */
export interface WantedFiles {
  /** What they are: `tokenizer`. */
  readonly subject: string;
  /** The file that must be there. */
  readonly required: string;
  /** Files that are taken too, where the model has them. */
  readonly optional?: readonly string[];
  /** What the user can do without the hub: `give a folder with a config.json`. */
  readonly instead: string;
  /** What the user can do if the model has no such file. */
  readonly without: string;
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

/**
 * The folders of a model in the cache: that of the wanted revision; without one that of `main`
 * first, then the others, newest first.
 */
export async function cachedSnapshots(id: string, options: HubOptions): Promise<string[]> {
  const repo = repoDir(id, options);
  if (repo === undefined) return [];
  const { files, revision } = options;
  const wanted = await cachedCommit(files, repo, revision ?? "main");
  const snapshots: { commit: string; modifiedMs: number }[] = [];
  for (const commit of await files.list(`${repo}/snapshots`)) {
    const info = await files.stat(`${repo}/snapshots/${commit}`);
    if (info?.isDirectory) snapshots.push({ commit, modifiedMs: info.modifiedMs });
  }
  snapshots.sort((a, b) =>
    Number(b.commit === wanted) - Number(a.commit === wanted) || b.modifiedMs - a.modifiedMs
  );
  return snapshots
    .filter(({ commit }) => revision === undefined || commit === (wanted ?? revision))
    .map(({ commit }) => `${repo}/snapshots/${commit}`);
}

/**
 * Downloads files of a model from the hub into the cache.
 *
 * A commit that the cache already has under the wanted revision is kept, so that a server which
 * loads its weights from the same cache still finds them. A cache that cannot be written does no
 * harm.
 *
 * @returns The texts of the files by name; `required` is among them.
 * @throws {KvmarkError} `usage` if the hub has no such file or refuses it, `io` if the hub cannot
 *   be reached or must not be asked.
 */
export async function downloadFromHub(
  id: string,
  wanted: WantedFiles,
  options: HubOptions,
): Promise<ReadonlyMap<string, string>> {
  const { env, files, revision = "main" } = options;
  if (options.offline || /^(1|true|yes|on)$/i.test(env("HF_HUB_OFFLINE") ?? "")) {
    throw new KvmarkError(
      "io",
      `Cannot download the ${wanted.subject} of ${id}: offline mode is on`,
      { hint: `unset HF_HUB_OFFLINE, or ${wanted.instead}` },
    );
  }
  try {
    const repo = repoDir(id, options);
    const known = repo === undefined ? undefined : await cachedCommit(files, repo, revision);
    const commit = known ?? await askCommit(id, options);
    const texts = new Map<string, string>();
    for (const path of [wanted.required, ...wanted.optional ?? []]) {
      const text = await downloadText(id, path, commit, options);
      if (text !== undefined) texts.set(path, text);
      else if (path === wanted.required) throw withoutFile(id, wanted);
    }
    if (repo !== undefined) {
      await keep(files, repo, commit, texts, known === undefined ? revision : undefined);
    }
    return texts;
  } catch (error) {
    throw hubError(id, wanted, error);
  }
}

function repoDir(id: string, options: HubOptions): string | undefined {
  const cache = hubCacheDir(options.env);
  if (cache === undefined || !isHubId(id)) return undefined;
  return `${cache}/models--${id.replaceAll("/", "--")}`;
}

/** The commit that a branch or tag had when it was last downloaded. */
async function cachedCommit(
  files: Files,
  repo: string,
  revision: string,
): Promise<string | undefined> {
  if (!isRevision(revision)) return undefined;
  const path = `${repo}/refs/${revision}`;
  const info = await files.stat(path);
  if (info === undefined || info.isDirectory) return undefined;
  const commit = (await files.readText(path)).trim();
  return /^[\w.-]+$/.test(commit) ? commit : undefined;
}

/** Branches may have slashes; none leads out of its folder. */
function isRevision(text: string): boolean {
  return /^\w[\w./-]*$/.test(text) && !text.includes("..");
}

async function askCommit(id: string, options: HubOptions): Promise<string> {
  const { revision = "main" } = options;
  const { modelInfo } = await import("@huggingface/hub");
  const info = await within(
    INFO_TIMEOUT_MS,
    options,
    (access) => modelInfo({ name: id, revision, additionalFields: ["sha"], ...access }),
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
  texts: ReadonlyMap<string, string>,
  newRef: string | undefined,
): Promise<void> {
  const dir = `${repo}/snapshots/${commit}`;
  try {
    await files.makeDir(dir);
    for (const [path, text] of texts) await files.writeText(`${dir}/${path}`, text);
    if (newRef !== undefined && newRef !== commit && isRevision(newRef)) {
      await files.makeDir(`${repo}/refs/${newRef}`.replace(/\/[^/]*$/, ""));
      await files.writeText(`${repo}/refs/${newRef}`, commit);
    }
  } catch {
    // The cache saves the next download; this run has what it needs.
  }
}

function withoutFile(id: string, wanted: WantedFiles): KvmarkError {
  return new KvmarkError("usage", `The hub's model ${id} has no ${wanted.required}`, {
    hint: wanted.without,
  });
}

/** What a failed call to the hub means. The error itself may name an address: it is not printed. */
function hubError(id: string, wanted: WantedFiles, error: unknown): KvmarkError {
  if (error instanceof KvmarkError) return error;
  const { subject, instead } = wanted;
  if (error instanceof Error && error.name === "NotCapable") {
    // `Requires net access to "…", run again with the --allow-net flag`
    return new KvmarkError(
      "io",
      `Cannot ask the hub for the ${subject} of ${id}: ${error.message}`,
      {
        hint: `give kvmark --allow-net, or ${instead}`,
        cause: error,
      },
    );
  }
  const status = (error as { statusCode?: unknown } | undefined)?.statusCode;
  if (status === 401 || status === 403) {
    return new KvmarkError(
      "usage",
      `The hub refuses the ${subject} of ${id} (${status}): gated, private or no such model`,
      {
        hint: `accept the licence on the model's page and set HF_TOKEN, or ${instead}`,
        cause: error,
      },
    );
  }
  if (status === 404) {
    return new KvmarkError("usage", `The hub has no model ${id}`, {
      hint: `check the name, or ${instead}`,
      cause: error,
    });
  }
  if (error instanceof TypeError && error.message.includes("access token")) {
    return new KvmarkError("usage", "HF_TOKEN is not an access token of the hub", {
      hint: "such a token begins with hf_; correct or unset it",
    });
  }
  const reason = typeof status === "number" ? `status ${status}` : "no answer";
  return new KvmarkError("io", `Cannot reach the hub for the ${subject} of ${id}: ${reason}`, {
    hint: `check the network or HF_ENDPOINT, or ${instead}`,
    cause: error,
  });
}
