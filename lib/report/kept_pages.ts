/**
 * Pages in a results folder that another program made. A report never replaces them: where it has
 * a page of the same name, theirs is kept under another one.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { RunData } from "../results/schema.ts";

/** A page of another program, under the name that it has now. */
export interface KeptPage {
  readonly name: string;
  readonly sizeBytes: number;
  /** The name that it had; absent where this report left it in its place. */
  readonly was?: string;
}

/** Stands at the foot of every page of ours, of every version. */
const OWN = /Report by kvmark/;
const ORIGINAL = /\.orig(?:-\d+)?\.html$/i;

/**
 * Makes room for a report's pages: a foreign page of one of these names becomes `*.orig.html`.
 *
 * Doing it twice, or again after a kill, changes nothing more: a copy that is there is used.
 *
 * @param names The pages that the report is going to write.
 * @param dropOwn Removes the other pages of ours: the report is to be a single file.
 * @returns All pages that are not ours, by name.
 */
export async function keepForeignPages(
  files: Files,
  run: Pick<RunData, "dir" | "files">,
  names: ReadonlySet<string>,
  dropOwn: boolean,
): Promise<KeptPage[]> {
  const kept = new Map<string, KeptPage>();
  for (const { name, sizeBytes } of run.files) {
    if (!/\.html$/i.test(name)) continue;
    if (ORIGINAL.test(name)) {
      if (!kept.has(name)) kept.set(name, { name, sizeBytes });
      continue;
    }
    const path = `${run.dir}/${name}`;
    const bytes = await files.readBytes(path);
    if (OWN.test(new TextDecoder().decode(bytes))) {
      if (dropOwn && !names.has(name)) await files.remove(path);
    } else if (names.has(name)) {
      const to = await copyAside(files, run.dir, name, bytes);
      await files.remove(path);
      kept.set(to, { name: to, sizeBytes: bytes.length, was: name });
    } else {
      kept.set(name, { name, sizeBytes });
    }
  }
  return [...kept.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Copies a page to the first free `*.orig.html`, or finds the copy that an earlier run made. */
async function copyAside(
  files: Files,
  dir: string,
  name: string,
  bytes: Uint8Array,
): Promise<string> {
  const stem = name.replace(/\.html$/i, "");
  for (let number = 1;; number++) {
    const to = `${stem}.orig${number === 1 ? "" : `-${number}`}.html`;
    if (await files.stat(`${dir}/${to}`) === undefined) {
      await files.writeBytes(`${dir}/${to}`, bytes);
      return to;
    }
    const present = await files.readBytes(`${dir}/${to}`);
    if (present.length === bytes.length && present.every((byte, i) => byte === bytes[i])) return to;
  }
}
