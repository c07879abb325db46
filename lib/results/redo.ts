/**
 * Cells in which nothing succeeded: a resume takes their rows out of the files and runs them again.
 *
 * @module
 */

import type { Files } from "../host.ts";
import type { Mended } from "./journal.ts";
import type { Commit } from "./progress.ts";

const NEWLINE = 0x0a;

/** The files of a run without the rows of some cells. */
export interface Remaining {
  /** The other cells, in order, with the lengths that the files now have at their end. */
  readonly commits: readonly Commit[];
  /** The new contents of the files that change. */
  readonly contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/**
 * Takes out the rows of the cells that are marked `redo`. Headers stay.
 *
 * @param contents The files that the cells grew, exactly as long as the last cell says.
 */
export function withoutRedo(
  commits: readonly Commit[],
  contents: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Remaining {
  const kept: Commit[] = [];
  const ends = new Map<string, number>();
  const parts = new Map<string, Uint8Array<ArrayBuffer>[]>();
  const lengths = new Map<string, number>();
  const changed = new Set<string>();
  const keep = (name: string, bytes: Uint8Array<ArrayBuffer>) => {
    parts.set(name, [...(parts.get(name) ?? []), bytes]);
    lengths.set(name, (lengths.get(name) ?? 0) + bytes.length);
  };
  for (const commit of commits) {
    for (const [name, end] of Object.entries(commit.bytes)) {
      const bytes = contents.get(name) ?? new Uint8Array();
      if (!ends.has(name)) {
        const header = bytes.indexOf(NEWLINE) + 1;
        keep(name, bytes.subarray(0, header));
        ends.set(name, header);
      }
      if (commit.redo === true) changed.add(name);
      else keep(name, bytes.subarray(ends.get(name), end));
      ends.set(name, end);
    }
    if (commit.redo === true) continue;
    const names = Object.keys(commit.bytes);
    const now = names.map((name) => [name, lengths.get(name) ?? 0] as const);
    kept.push({ ...commit, bytes: Object.fromEntries(now) });
  }
  return {
    commits: kept,
    contents: new Map([...changed].map((name) => [name, joined(parts.get(name) ?? [])])),
  };
}

/**
 * Does {@linkcode withoutRedo} on disk.
 *
 * @param writeCommits Replaces the cells in `progress.json`. While files change it names only the
 *   cells before the first that is taken out: whatever happens, no length in it is ever that of
 *   another content.
 */
export async function takeOutRedo(
  files: Files,
  dir: string,
  mended: Mended,
  writeCommits: (commits: readonly Commit[]) => Promise<void>,
): Promise<Mended> {
  const first = mended.commits.findIndex((commit) => commit.redo === true);
  if (first < 0) return mended;
  await writeCommits(mended.commits.slice(0, first));
  const before = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of mended.bytes.keys()) {
    before.set(name, await files.readBytes(`${dir}/${name}`));
  }
  const { commits, contents } = withoutRedo(mended.commits, before);
  const bytes = new Map(mended.bytes);
  for (const [name, content] of contents) {
    await files.writeBytes(`${dir}/${name}`, content);
    bytes.set(name, content.length);
  }
  return { ...mended, commits, bytes };
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
