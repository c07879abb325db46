/**
 * In which order the prompts of a working set were used: as the options say, else by the rows.
 *
 * @module
 */

import type { DetailRow } from "../results/schema.ts";
import type { MapAccessOrder } from "../results/tier_map_file.ts";

/** Steps from one prompt to the next that have to be by one for the order to be cyclic. */
const CYCLIC_SHARE = 0.9;
const FEWEST_STEPS = 20;

/**
 * The access order of a run, and how it is known.
 *
 * @param parameters Options of kvmark (`access-order`) or of the Python suite (`random_selection`).
 * @param rows Requests of one context size and hit rate.
 */
export function accessOrderOf(
  parameters: Readonly<Record<string, unknown>> | undefined,
  rows: readonly DetailRow[],
): { readonly order: MapAccessOrder; readonly evidence: string } {
  const option = (name: string) => parameters?.[name] ?? parameters?.[name.replaceAll("-", "_")];
  const order = option("access-order");
  if (order === "cyclic" || order === "random" || order === "zipf") {
    return { order, evidence: `option access-order is ${order}` };
  }
  for (const name of ["random-selection", "random-working-set-selection"]) {
    const random = option(name);
    if (typeof random !== "boolean") continue;
    return {
      order: random ? "random" : "cyclic",
      evidence: `option ${name} is ${random ? "on" : "off"}`,
    };
  }
  return orderOfRows(rows);
}

function orderOfRows(
  rows: readonly DetailRow[],
): { readonly order: MapAccessOrder; readonly evidence: string } {
  let [steps, byOne] = [0, 0];
  const periods = Map.groupBy(rows, (row) => `${row.working_set_size} ${row.phase_id}`);
  for (const period of periods.values()) {
    const indices = period.filter((row) => row.prompt_index !== undefined)
      .sort((a, b) => (a.launch_time ?? 0) - (b.launch_time ?? 0))
      .map((row) => row.prompt_index ?? NaN);
    for (let i = 1; i < indices.length; i++) {
      const [from, to] = [indices[i - 1] ?? NaN, indices[i] ?? NaN];
      steps++;
      if (to === from + 1 || to === 0) byOne++;
    }
  }
  if (steps < FEWEST_STEPS) {
    return { order: "unknown", evidence: "neither the options nor the rows say in which order" };
  }
  const share = byOne / steps;
  return share >= CYCLIC_SHARE
    ? { order: "cyclic", evidence: "the rows use one prompt after the other" }
    : { order: "random", evidence: `only ${Math.round(share * 100)} % of the rows go on by one` };
}
