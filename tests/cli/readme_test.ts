/**
 * Runs the commands of README.md, so that a newcomer's first lines work.
 *
 * An HTML comment on the line before a fenced block says that the block is run:
 *
 * - `run`: every line, in one new folder, as it stands;
 * - `run: simulator`: the same, with the address `http://localhost:8000` answered by a simulator;
 * - `run: plan`: as `simulator`, but only the plan is made (`--dry-run` is added): for commands that
 *   take an hour.
 *
 * Lines that begin with `kvmark` run the command under test; `npx -y deno@… task demo` and
 * `deno task demo` run the same command. Lines of `task test` run this very suite and are left out.
 */

import assert from "node:assert/strict";
import { fencedBlocks } from "../../scripts/markdown.ts";
import { kvmark, withTempDir } from "../support/command.ts";
import { startSimulateCommand } from "../support/simulator.ts";

const MARKERS = /^run(: (simulator|plan))?$/;
const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url)).catch(() => "");
const blocks = fencedBlocks(readme).filter(({ marker }) => MARKERS.test(marker ?? ""));
const PLACEHOLDER_URL = /http:\/\/(localhost|127\.0\.0\.1):8000/g;

/** Words of a command line; continuation lines are joined before, quotes keep words together. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
}

/** Arguments of kvmark in a command line of the README; `undefined` for this suite itself. */
function argumentsIn(line: string): string[] | undefined {
  const task = /^(?:npx -y )?deno(?:@[\d.]+)? task (\S+)\s*(.*)$/.exec(line);
  if (task?.[1] === "test") return undefined;
  if (task?.[1] === "demo") return ["demo", ...words(task[2] ?? "")];
  if (task?.[1] === "kvmark") return words(task[2] ?? "");
  const [program, ...rest] = words(line);
  assert.equal(program, "kvmark", `README: a marked block may only run kvmark: ${line}`);
  return rest;
}

function commandLines(code: string): string[] {
  const joined = code.replaceAll(/\\\n\s*/g, " ");
  const lines = joined.split("\n").map((line) => line.replace(/\s+#\s.*$/, "").trim());
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

Deno.test("README.md marks commands that this suite runs", () => {
  assert.ok(blocks.length > 0, "no fenced block of README.md is marked with <!-- run -->");
});

for (const { line, code, marker } of blocks) {
  Deno.test(`README.md line ${line} works as it is written`, async () => {
    await withTempDir(async (cwd) => {
      await using simulator = marker === "run: simulator"
        ? await startSimulateCommand()
        : undefined;
      for (const command of commandLines(code)) {
        const args = argumentsIn(command);
        if (args === undefined) continue;
        const url = simulator?.url;
        const real = url === undefined ? args : args.map((a) => a.replace(PLACEHOLDER_URL, url));
        const plan = marker === "run: plan" ? ["--dry-run"] : [];
        const { code, stderr } = await kvmark([...real, ...plan], { cwd });
        assert.equal(code, 0, `${command}\n${stderr}`);
      }
    });
  });
}
