import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import plugin from "./lint_plugin.ts";

interface Case {
  readonly file: string;
  readonly source: string;
}

/** For every rule: what it rejects, and the nearest thing that it accepts. */
const CASES: Record<string, { readonly rejects: readonly Case[]; readonly accepts: Case[] }> = {
  "import-direction": {
    rejects: [
      { file: "lib/client/openai.ts", source: `import { a } from "../server/probe.ts";` },
      { file: "lib/metrics/summary.ts", source: `import type { A } from "../load/pool.ts";` },
      { file: "lib/errors.ts", source: `export * from "./results/schema.ts";` },
      { file: "lib/load/runner.ts", source: `export { a } from "../experiments/cache_rate.ts";` },
      { file: "lib/load/runner.ts", source: `import { a } from "../report/pages.ts";` },
      { file: "lib/experiments/x.ts", source: `await import("../../commands/demo.ts");` },
      { file: "commands/demo.ts", source: `import { main } from "../main.ts";` },
      { file: "commands/demo.ts", source: `import { x } from "../tests/support/command.ts";` },
      { file: "lib/random.ts", source: `import fc from "fast-check";` },
      { file: "lib/loose.ts", source: `import { a } from "./errors.ts";` },
    ],
    accepts: [
      { file: "lib/client/openai.ts", source: `import { a } from "../errors.ts";` },
      { file: "lib/client/openai.ts", source: `import { a } from "./stream.ts";` },
      { file: "lib/load/runner.ts", source: `import { a } from "../metrics/summary.ts";` },
      { file: "lib/report/pages.ts", source: `import a from "../../assets/a.html";` },
      { file: "lib/experiments/x.ts", source: `import { a } from "../load/runner.ts";` },
      { file: "lib/host.ts", source: `import { a } from "./errors.ts";` },
      { file: "commands/demo.ts", source: `import { a } from "../lib/sim/server.ts";` },
      { file: "commands/demo.ts", source: `import { a } from "./_options.ts";` },
      { file: "commands/_version.ts", source: `import config from "../deno.json";` },
      { file: "main.ts", source: `await import("./commands/mod.ts");` },
      { file: "mod.ts", source: `await import("./main.ts");` },
      { file: "lib/client/openai_test.ts", source: `import { a } from "../sim/server.ts";` },
      { file: "lib/client/openai_test.ts", source: `import fc from "fast-check";` },
    ],
  },
  "no-deno": {
    rejects: [
      { file: "lib/results/csv.ts", source: `await Deno.readTextFile("x");` },
      { file: "commands/demo.ts", source: `globalThis.Deno.args;` },
      { file: "mod.ts", source: `let a: Deno.Command;` },
      { file: "lib/results/csv.ts", source: `import { readFile } from "node:fs/promises";` },
      { file: "lib/report/pages.ts", source: `import process from "node:process";` },
    ],
    accepts: [
      { file: "lib/host.ts", source: `import process from "node:process"; Deno.args;` },
      { file: "lib/load/worker.ts", source: `Deno.createHttpClient({});` },
      { file: "main.ts", source: `Deno.exit(0);` },
      { file: "scripts/build.ts", source: `Deno.args;` },
      { file: "tests/cli/help_test.ts", source: `Deno.test("x", () => {});` },
      { file: "lib/random_test.ts", source: `Deno.test("x", () => {});` },
      { file: "lib/results/csv.ts", source: `import { join } from "node:path"; "Deno";` },
    ],
  },
  "no-wall-clock": {
    rejects: [
      { file: "lib/load/pool.ts", source: `const start = Date.now();` },
      { file: "lib/load/pool.ts", source: `const start = +new Date();` },
      { file: "lib/load/pool.ts", source: `const label = Date();` },
      {
        file: "lib/load/pool.ts",
        source: `// kvmark-lint: wall-clock\nconst a = 1;\nconst start = Date.now();`,
      },
    ],
    accepts: [
      { file: "lib/host.ts", source: `const label = Date.now(); // kvmark-lint: wall-clock` },
      { file: "lib/report/pages.ts", source: `const label = new Date(atMs).toISOString();` },
      { file: "lib/report/pages.ts", source: `const a = performance.now();` },
    ],
  },
  "no-exit": {
    rejects: [
      { file: "commands/demo.ts", source: `Deno.exit(1);` },
      { file: "scripts/build.ts", source: `process.exit(1);` },
    ],
    accepts: [
      { file: "main.ts", source: `Deno.exit(1);` },
      { file: "scripts/build.ts", source: `Deno.exitCode = 1;` },
      { file: "lib/load/pool.ts", source: `pool.exit(1);` },
    ],
  },
  "function-length": {
    rejects: [
      { file: "lib/load/pool.ts", source: functionOf(60) },
      { file: "lib/load/pool.ts", source: `call(${functionOf(60)});` },
      { file: "lib/load/pool.ts", source: `call(() => {${"\n".repeat(59)}});` },
    ],
    accepts: [
      { file: "lib/load/pool.ts", source: functionOf(59) },
      { file: "lib/load/pool_test.ts", source: functionOf(60) },
    ],
  },
  "file-length": {
    rejects: [{ file: "lib/load/pool.ts", source: "let a;\n".repeat(400) }],
    accepts: [
      { file: "lib/load/pool.ts", source: "let a;\n".repeat(399) },
      { file: "lib/load/pool_test.ts", source: "let a;\n".repeat(400) },
      { file: "tests/support/x.ts", source: "let a;\n".repeat(400) },
      {
        file: "lib/prompt/english.ts",
        source: `/* Words. kvmark-lint: data */\n${"let a;\n".repeat(400)}`,
      },
    ],
  },
  "todo-reference": {
    rejects: [
      { file: "lib/load/pool.ts", source: `let a; // TODO: later` },
      { file: "tests/cli/x_test.ts", source: `/** FIXME soon */` },
    ],
    accepts: [
      { file: "lib/load/pool.ts", source: `let a; // TODO(#12): later` },
      { file: "lib/load/pool.ts", source: `let a = "TODO"; // see https://example.org/1` },
    ],
  },
  "no-console": {
    rejects: [
      { file: "lib/load/pool.ts", source: `console.log(1);` },
      { file: "commands/demo.ts", source: `console.error(1);` },
    ],
    accepts: [
      { file: "scripts/build.ts", source: `console.log(1);` },
      { file: "lib/load/pool_test.ts", source: `console.log(1);` },
      { file: "lib/errors.ts", source: `/** console.log(1) */` },
    ],
  },
  "no-vague-names": {
    rejects: [
      { file: "lib/utils/x.ts", source: `let a;` },
      { file: "lib/load/helpers.ts", source: `let a;` },
      { file: "tests/misc_test.ts", source: `let a;` },
      { file: "commands/_util.ts", source: `let a;` },
    ],
    accepts: [
      { file: "lib/units.ts", source: `let a;` },
      { file: "commands/_options.ts", source: `let a;` },
      { file: "tests/support/command.ts", source: `let a;` },
    ],
  },
  "named-functions": {
    rejects: [
      { file: "lib/load/pool.ts", source: `const run = () => 1;` },
      { file: "lib/load/pool.ts", source: `export const run = async function () {};` },
    ],
    accepts: [
      { file: "lib/load/pool.ts", source: `export function run() { const inner = () => 1; }` },
      { file: "lib/load/pool.ts", source: `const runs = { one: () => 1 };` },
    ],
  },
};

function functionOf(lines: number): string {
  return `function long() {${"\n".repeat(lines - 1)}}`;
}

function findings(rule: string, { file, source }: Case): string[] {
  const only = { name: plugin.name, rules: { [rule]: plugin.rules[rule]! } };
  return Deno.lint.runPlugin(only, file, source).map((diagnostic) => diagnostic.message);
}

for (const [rule, { rejects, accepts }] of Object.entries(CASES)) {
  Deno.test(`kvmark/${rule} rejects what breaks it`, () => {
    for (const example of rejects) {
      assert.equal(findings(rule, example).length, 1, `${example.file}: ${example.source}`);
    }
  });
  Deno.test(`kvmark/${rule} accepts what keeps it`, () => {
    for (const example of accepts) {
      assert.deepEqual(findings(rule, example), [], `${example.file}: ${example.source}`);
    }
  });
}

Deno.test("plugin has cases for every rule", () => {
  assert.deepEqual(Object.keys(CASES).sort(), Object.keys(plugin.rules).sort());
});

Deno.test("plugin knows a file by its absolute path", () => {
  const file = join(dirname(import.meta.dirname!), "lib/results/csv.ts");
  assert.equal(findings("no-deno", { file, source: "Deno.args;" }).length, 1);
});

Deno.test("plugin counts lines right after characters of several bytes", () => {
  const source = `// ${"é漢𝄞".repeat(50)}\n\nconst a = Date.now(); // kvmark-lint: wall-clock\n`;
  assert.deepEqual(findings("no-wall-clock", { file: "lib/load/pool.ts", source }), []);
  assert.equal(
    findings("no-wall-clock", { file: "x.ts", source: `${source}Date.now();` }).length,
    1,
  );
});
