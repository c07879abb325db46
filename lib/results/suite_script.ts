/**
 * The options of a run of the Python suite from the script that it leaves beside its results.
 *
 * @module
 */

import type { JsonObject } from "./folder.ts";

/** Options that the suite keeps under another name in `progress.json`. */
const STORED_NAMES: Readonly<Record<string, string>> = {
  api_endpoint: "api_endpoints",
  tokenizer: "tokenizer_id",
  random_working_set_selection: "random_selection",
};
const LISTS = new Set(["context_sizes", "cache_hit_rates", "api_endpoints"]);
/** What the suite takes where the script, which leaves out defaults, does not say it. */
const DEFAULT_MAX_TTFT_SEC = 2;

/**
 * Options under the names of `progress.json`; `undefined` for a command of another program.
 *
 * @param command The command line, on one line.
 */
export function parametersOfCommand(command: string): JsonObject | undefined {
  const tool = /\b(working_set|cache_rate)_tester\.py\b/.exec(command)?.[1];
  if (tool === undefined) return undefined;
  const parameters: Record<string, unknown> = { max_ttft: DEFAULT_MAX_TTFT_SEC };
  const words = command.slice(command.indexOf("_tester.py") + "_tester.py".length)
    .split(/\s+/).filter((word) => word !== "");
  for (let at = 0; at < words.length; at++) {
    const given = /^--([a-z][a-z-]*)$/.exec(words[at] ?? "")?.[1]?.replaceAll("-", "_");
    if (given === undefined) continue;
    const values: unknown[] = [];
    while (at + 1 < words.length && !/^--/.test(words[at + 1] ?? "")) {
      values.push(valueOf(words[++at] ?? ""));
    }
    const name = STORED_NAMES[given] ?? given;
    parameters[name] = LISTS.has(name) ? values : values.length === 0 ? true : values[0];
  }
  const { min_working_set_size: least, max_working_set_size: most } = parameters;
  if (tool === "working_set") {
    parameters["working_set_sizes"] = [least, most].filter((size) => size !== undefined);
  }
  return parameters;
}

function valueOf(word: string): unknown {
  if (word === "None") return null;
  return /^-?\d+(?:\.\d+)?$/.test(word) ? Number(word) : word;
}
