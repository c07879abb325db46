/**
 * `kvmark index`: the dashboard of a results folder.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import type { Host } from "../lib/host.ts";
import { drawFolder } from "./_draw.ts";

const EXAMPLES = `
Pages of graphs that are in the folder stay as they are; those that are missing are drawn.
"kvmark regenerate" draws all of them anew.

Examples:
  kvmark index ./output
  kvmark index ./output 2.1
  kvmark index ./output --single-file
`;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  return new Command("kvmark index")
    .description(
      "Write index.html, the dashboard of a results folder of kvmark or of the Python suite: " +
        "cache-rate, working-set, single-prompt or a comparison. The type is detected.",
    )
    .argument("[dir]", "results folder", "./output")
    .argument("[version]", "a version of your report, printed at its foot")
    .option("--single-file", "one index.html with all graphs inside, and nothing beside it")
    .option("--strict", "refuse a folder of the Python suite with missing or damaged rows")
    .option("--json", "one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action((dir, version, options) =>
      drawFolder(host, dir, {
        keepPages: true,
        json: options.json ?? false,
        strict: options.strict ?? false,
        singleFile: options.singleFile ?? false,
        ...(version === undefined ? {} : { version }),
      })
    ) as unknown as Command;
}
