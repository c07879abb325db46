/**
 * What is wrong with the rows of a folder of the Python suite, as its pages say it.
 *
 * @module
 */

import type { RunData } from "../results/schema.ts";

/** Everything that is missing or damaged, one sentence each, the worst first. */
export function damageOfRun(run: RunData): readonly string[] {
  return [...(run.damage ?? []), ...(run.writtenBy === "python" ? run.problems : [])];
}

/** What is missing comes before any figure; empty where nothing is. */
export function damagePrefix(run: RunData): string {
  const [first, ...more] = damageOfRun(run);
  if (first === undefined) return "";
  return `Incomplete: ${first}${more.length === 0 ? "" : ` (and ${more.length} more)`}. `;
}
