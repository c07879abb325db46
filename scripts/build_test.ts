import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { embeddedFiles, explainFailure, packedTextModule, stripShebang } from "./build.ts";
import { productFlags, readProductFlags } from "./product_flags.ts";

Deno.test("embeddedFiles() reads the tree that deno compile prints", () => {
  const text = [
    "Compile dist/kvmark.js to dist/kvmark",
    "",
    "Embedded Files",
    "",
    "kvmark",
    "├─┬ .deno_compile_node_modules (7.06MB - 7.04MB unique)",
    "│ └── commander/15.1.0/* (202.37KB)",
    "└── dist/kvmark.js (4.77MB)",
    "",
    "Files: 4.78MB",
    "Metadata: 3.03KB",
  ].join("\n");
  assert.deepEqual(embeddedFiles(text), [
    ".deno_compile_node_modules",
    "commander/15.1.0/*",
    "dist/kvmark.js",
  ]);
  assert.deepEqual(embeddedFiles("error: no"), []);
});

Deno.test("explainFailure() names DENORT_BIN where the base binary is missing", () => {
  const text = "error: Writing deno compile executable\nCaused by: Setting up base binary.";
  assert.match(explainFailure(text), /DENORT_BIN=/);
  assert.match(explainFailure(text), /deno task bundle/);
});

Deno.test("explainFailure() shows any other failure as it is", () => {
  assert.match(explainFailure("error: Module not found"), /failed:\nerror: Module not found$/);
});

Deno.test("stripShebang() removes only a first line that names an interpreter", () => {
  assert.equal(stripShebang("#!/usr/bin/env deno\ncode"), "code");
  assert.equal(stripShebang("code\n#!x\n"), "code\n#!x\n");
});

Deno.test("packedTextModule() makes a module that gives the text back", async () => {
  const text = "plotly \u2028 \"'`${x}` \u{1F642}\n".repeat(500);
  const module = packedTextModule("text", text);
  assert.ok(module.length < text.length, "it is packed");
  const url = `data:text/javascript;base64,${Buffer.from(module).toString("base64")}`;
  assert.equal((await import(url)).text(), text);
});

Deno.test("productFlags() refuses a product that may do everything", () => {
  assert.deepEqual(productFlags("deno run --allow-net --allow-sys=homedir main.ts"), [
    "--allow-net",
    "--allow-sys=homedir",
  ]);
  assert.throws(() => productFlags("deno run -A main.ts"), RangeError);
  assert.throws(() => productFlags("deno run --allow-all --allow-net main.ts"), RangeError);
  assert.throws(() => productFlags("deno run main.ts"), RangeError);
});

Deno.test("readProductFlags() finds the listed permissions in deno.json", async () => {
  assert.ok((await readProductFlags()).includes("--allow-net"));
});
