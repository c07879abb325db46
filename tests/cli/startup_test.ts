/**
 * Start-up is short because little is loaded: a command's module, and what it needs, only when it
 * is the one that was asked for. How long it takes is a figure: `scripts/bench/startup.ts`.
 */

import assert from "node:assert/strict";
import { relative } from "node:path/posix";
import { fileURLToPath } from "node:url";
import { COMMANDS } from "../../commands/mod.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Dependency {
  readonly isDynamic?: boolean;
  readonly code?: { readonly specifier: string };
  readonly type?: { readonly specifier: string };
}

interface Graph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly Dependency[];
  }[];
}

/** Modules that are loaded with `entries`, without what they import only when it is wanted. */
async function loadedWith(...entries: string[]): Promise<string[]> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "main.ts"],
    cwd: ROOT,
  }).output();
  assert.equal(code, 0);
  const graph = JSON.parse(new TextDecoder().decode(stdout)) as Graph;
  const byUrl = new Map(graph.modules.map((module) => [module.specifier, module]));
  const loaded = new Set<string>();
  const load = (url: string) => {
    if (loaded.has(url)) return;
    loaded.add(url);
    for (const { isDynamic, code } of byUrl.get(url)?.dependencies ?? []) {
      if (isDynamic !== true && code !== undefined) load(code.specifier);
    }
  };
  for (const entry of entries) load(new URL(entry, `file://${ROOT}`).href);
  return [...loaded].map((url) =>
    url.startsWith("file:") ? relative(ROOT, fileURLToPath(url)) : url
  )
    .sort();
}

Deno.test("kvmark --help loads the table of commands, and no command", async () => {
  const loaded = await loadedWith("main.ts", "commands/mod.ts");
  assert.deepEqual(loaded.map((name) => name.replace(/@\d.*$/, "")), [
    "commands/_version.ts",
    "commands/mod.ts",
    "deno.json",
    "lib/errors.ts",
    "lib/host.ts",
    "main.ts",
    "node:process",
    "npm:@commander-js/extra-typings",
  ]);
});

Deno.test("no command loads the chart library or the hub's client before it needs it", async () => {
  for (const { name } of COMMANDS) {
    const module = `commands/${name.replaceAll("-", "_")}.ts`;
    const loaded = await loadedWith("main.ts", "commands/mod.ts", module);
    assert.ok(loaded.includes(module), `${module} is not in the graph`);
    const heavy = loaded.filter((one) => /plotly|@huggingface\/hub|playwright|axe-core/.test(one));
    assert.deepEqual(heavy, [], `kvmark ${name} --help`);
  }
});
