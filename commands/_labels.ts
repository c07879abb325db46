/**
 * Which folders measured which configuration: `--output-dirs` and `--labels` of `combine`.
 *
 * @module
 */

import { basename, dirname, resolve } from "node:path";
import type { Files } from "../lib/host.ts";
import { replicateFolders } from "../lib/results/replicates.ts";

/** A results folder, and the configuration that it measured. */
export interface LabelledFolder {
  readonly label: string;
  readonly dir: string;
}

/** `A=dir1,dir2`. A path with a slash before the sign is a path. */
export const LABELLED = /^([^=/\\]+)=(.+)$/;

/** The folders in the order in which they were given, each with its label. */
export function labelledFolders(
  { outputDirs, labels }: {
    readonly outputDirs: readonly string[];
    readonly labels: readonly string[];
  },
): LabelledFolder[] {
  const plain = outputDirs.filter((dir) => !LABELLED.test(dir));
  const names = defaultLabels(plain);
  return outputDirs.flatMap((given, i): LabelledFolder[] => {
    const match = LABELLED.exec(given);
    if (match === null) {
      return [{ label: labels[i] ?? names[plain.indexOf(given)] ?? given, dir: given }];
    }
    const [, label = "", dirs = ""] = match;
    return dirs.split(",").filter((dir) => dir !== "").map((dir) => ({ label, dir }));
  });
}

/** A folder of replicates stands for its runs. */
export async function withReplicates(
  files: Files,
  folders: readonly LabelledFolder[],
): Promise<LabelledFolder[]> {
  const each = await Promise.all(folders.map(async ({ label, dir }) => {
    const names = await replicateFolders(files, dir);
    if (names.length === 0) return [{ label, dir }];
    return names.map((name) => ({ label, dir: `${dir.replace(/\/+$/, "")}/${name}` }));
  }));
  return each.flat();
}

/** The name of each folder, or of its parent where it is called `output`; unlike each other. */
function defaultLabels(dirs: readonly string[]): string[] {
  const names = dirs.map((dir) => {
    const path = resolve(dir);
    return basename(path) === "output" ? basename(dirname(path)) : basename(path);
  });
  return names.map((name, i) =>
    names.indexOf(name) === names.lastIndexOf(name) ? name : `${name} (${dirs[i]})`
  );
}
