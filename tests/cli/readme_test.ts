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
import { EXIT_CODES } from "../../lib/errors.ts";
import { parseTierMap } from "../../lib/results/tier_map_file.ts";
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
        const { code, stdout, stderr } = await kvmark([...real, ...plan], { cwd });
        if (args[0] === "demo") {
          const isFound = await assertDemoKnees(`${cwd}/kvmark_demo/working-set`);
          // It says what it found, and its exit code is that.
          assert.match(stdout, isFound ? /: 3 of 3 ends found\.$/m : /: [0-2] of 3 ends found\.$/m);
          assert.equal(code, isFound ? 0 : EXIT_CODES.failed.code, `${command}\n${stderr}`);
        } else assert.equal(code, 0, `${command}\n${stderr}`);
      }
    });
  });
}

/** Where the tiers of the demo's simulator end (commands/demo.ts), and the steps of its sweep. */
const DEMO = { ends: [24_512, 48_512, 72_512], sizes: 12, stepTokens: 8000 } as const;

/**
 * The map of the demo against the simulator. The end of the last tier is the server's own count, so
 * it has to be there. Those before it are told by TTFT alone: a machine that is busy may hide them,
 * but what is claimed has to be true.
 *
 * @returns Whether all of them are found.
 */
async function assertDemoKnees(dir: string): Promise<boolean> {
  const map = parseTierMap(await Deno.readTextFile(`${dir}/tier_map.json`));
  const [series] = map.series;
  assert.equal(map.basis.cells, DEMO.sizes);
  // A size with fewer than five requests is left out: on a busy machine that may happen to one.
  assert.ok((series?.sizes.length ?? 0) >= DEMO.sizes - 2, series?.evidence.join("\n"));
  const last = map.knees.at(-1);
  const end = DEMO.ends[2];
  assert.ok(last !== undefined && last.low <= end && end <= last.high, map.headline);
  assert.ok(last.signals.includes("hit rate"), map.headline);
  assert.ok(map.knees.length <= DEMO.ends.length, map.headline);
  for (const { low, high } of map.knees) {
    const near = DEMO.ends.filter((one) =>
      one >= low - DEMO.stepTokens && one <= high + DEMO.stepTokens
    );
    assert.equal(near.length, 1, `a knee at ${low} to ${high} tokens: ${map.headline}`);
  }
  return map.knees.length === DEMO.ends.length &&
    map.knees.every(({ low, high }, n) => low <= DEMO.ends[n]! && DEMO.ends[n]! <= high);
}
