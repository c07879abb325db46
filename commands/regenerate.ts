/**
 * `kvmark regenerate`: every page of a results folder, drawn anew from the stored rows.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import type { Host } from "../lib/host.ts";
import type { ExperimentKind } from "../lib/results/schema.ts";
import { drawFolder } from "./_draw.ts";
import { checkOptions } from "./_options.ts";

const EXAMPLES = `
Only HTML and the assets folder are written; rows stay as they are. A folder that is damaged is
drawn as far as it goes, and what could not be read is told file by file.

Examples:
  kvmark regenerate ./output
  kvmark regenerate ./output --tool working_set
  kvmark regenerate ./output --single-file
`;

const KINDS: Readonly<Record<string, ExperimentKind>> = {
  cache_rate: "cache-rate",
  working_set: "working-set",
  single_prompt: "single-prompt",
};

const OPTIONS = v.object({
  tool: v.optional(v.pipe(
    v.string(),
    v.transform((name) => name.replaceAll("-", "_")),
    v.picklist(Object.keys(KINDS), `must be one of ${Object.keys(KINDS).join(", ")}`),
  )),
  singleFile: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
  strict: v.optional(v.boolean(), false),
});

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  return new Command("kvmark regenerate")
    .description(
      "Draw every page of a results folder anew from its rows: of kvmark or of the Python suite, " +
        "of every experiment, or a comparison.",
    )
    .argument("[dir]", "results folder", "./output")
    .option("--tool <name>", "cache_rate, working_set or single_prompt; detected if absent")
    .option("--single-file", "one index.html with all graphs inside, and nothing beside it")
    .option("--strict", "refuse a folder of the Python suite with missing or damaged rows")
    .option("--json", "one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action((dir, raw) => {
      const { tool, singleFile, json, strict } = checkOptions(OPTIONS, raw);
      const kind = tool === undefined ? undefined : KINDS[tool];
      return drawFolder(host, dir, {
        singleFile,
        json,
        strict,
        ...(kind === undefined ? {} : { kind }),
      });
    }) as unknown as Command;
}
