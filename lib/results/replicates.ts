/**
 * The folder of a command with `--replicates`: one results folder a replicate, and nothing else of a
 * run.
 *
 * @module
 */

import type { Files } from "../host.ts";

const NAME = /^replicate_([1-9]\d{0,3})$/;

/** The folder of the n-th replicate, from 1. */
export function replicateFolder(n: number): string {
  return `replicate_${n}`;
}

/** Names of the replicates in a folder, in their order; empty where it holds none. */
export async function replicateFolders(files: Files, dir: string): Promise<string[]> {
  const names = (await files.list(dir)).filter((name) => NAME.test(name));
  return names.sort((a, b) => number(a) - number(b));
}

function number(name: string): number {
  return Number(NAME.exec(name)?.[1] ?? NaN);
}
