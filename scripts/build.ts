/**
 * Builds what is handed to users: `dist/kvmark.js` (one file for `deno run`) and `dist/kvmark`
 * (one binary, made from that same file).
 *
 * Usage: `deno task bundle`, `deno task compile`, `deno task compile --embedding-only`.
 *
 * `deno compile` puts the program behind `denort`, a base binary that it downloads. Where that is
 * impossible, name a file with `DENORT_BIN`. `--embedding-only` needs neither: it uses the deno
 * executable as the base, checks what was embedded and throws the result away. Such a file behaves
 * as the deno command, so it says nothing about how the real binary runs
 * (docs/decisions/002-one-artifact.md).
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { brotliCompressSync } from "node:zlib";
import { plotlySource } from "../lib/report/plotly.ts";
import { readProductFlags } from "./product_flags.ts";

const BUNDLE = "dist/kvmark.js";
const BINARY = "dist/kvmark";

/** Runs deno and returns what it printed, without colours. */
async function deno(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: `${decoder.decode(stdout)}${decoder.decode(stderr)}` };
}

/** Bundles main.ts with everything that it needs into one file that can be run directly. */
async function bundle(): Promise<void> {
  await Deno.mkdir("dist", { recursive: true });
  const importMap = await writePackedPlotly();
  const { code, text } = await deno(
    ["bundle", "--platform", "deno", "--import-map", importMap, "-o", BUNDLE, "main.ts"],
  );
  if (code !== 0) throw new Error(`deno bundle failed:\n${text}`);
  const flags = await readProductFlags();
  const shebang = `#!/usr/bin/env -S deno run ${flags.join(" ")}\n`;
  await Deno.writeTextFile(BUNDLE, shebang + stripShebang(await Deno.readTextFile(BUNDLE)));
  await Deno.chmod(BUNDLE, 0o755);
  const megabytes = (await Deno.stat(BUNDLE)).size / 1e6;
  console.log(`${BUNDLE}: ${megabytes.toFixed(1)} MB`);
}

/**
 * Writes a module that stands in for `lib/report/plotly.ts` in the bundle, and an import map that
 * puts it there. Returns the path of the map.
 *
 * The engine reads a bundle to its end before it runs the first line: text of 4.7 MB that only a
 * report needs would cost every `--help` a twentieth of a second.
 */
async function writePackedPlotly(): Promise<string> {
  const module = "dist/build/plotly.ts";
  await Deno.mkdir("dist/build", { recursive: true });
  await Deno.writeTextFile(module, packedTextModule("plotlySource", plotlySource()));
  const { imports } = JSON.parse(await Deno.readTextFile("deno.json"));
  const stand = { "../../lib/report/plotly.ts": "./plotly.ts" };
  const map = "dist/build/import_map.json";
  await Deno.writeTextFile(map, JSON.stringify({ imports: { ...imports, ...stand } }));
  return map;
}

/** Source of a module with one function `name` that unpacks and returns `text`. */
export function packedTextModule(name: string, text: string): string {
  const packed = brotliCompressSync(text).toString("base64");
  return [
    `import { Buffer } from "node:buffer";`,
    `import { brotliDecompressSync } from "node:zlib";`,
    `const PACKED = "${packed}";`,
    `export function ${name}() {`,
    `  return brotliDecompressSync(Buffer.from(PACKED, "base64")).toString("utf8");`,
    `}`,
    ``,
  ].join("\n");
}

/** Text without a first line that names an interpreter. */
export function stripShebang(text: string): string {
  return text.replace(/^#!.*\n/, "");
}

/** Compiles the bundle; see the module comment for `embeddingOnly`. */
async function compile(embeddingOnly: boolean): Promise<void> {
  await bundle();
  const scratch = await Deno.makeTempDir({ prefix: "kvmark-" });
  // Alone in a folder: `deno compile` lists a folder of small files as `folder/*`.
  const source = `${scratch}/source/kvmark.js`;
  await Deno.mkdir(`${scratch}/source`);
  await Deno.copyFile(BUNDLE, source);
  const output = embeddingOnly ? `${scratch}/kvmark` : BINARY;
  try {
    const { code, text } = await deno(
      ["compile", "--no-check", "--no-config", ...await readProductFlags(), "-o", output, source],
      embeddingOnly ? { DENORT_BIN: Deno.execPath() } : {},
    );
    if (code !== 0) throw new Error(explainFailure(text));
    const files = embeddedFiles(text);
    if (files.length !== 1 || !/(^|\/)(kvmark\.js|\*)$/.test(files[0] ?? "")) {
      throw new Error(`Expected that ${BUNDLE} alone is embedded, found: ${files.join(", ")}`);
    }
    await checkEmbedded(output);
    console.log(
      embeddingOnly
        ? `The compiled program would hold ${BUNDLE}, byte for byte, and nothing else. ` +
          "The binary itself was not run: there is no denort here."
        : `${BINARY}: holds ${BUNDLE}, byte for byte`,
    );
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** What to tell the user when `deno compile` failed. */
export function explainFailure(text: string): string {
  if (!/denort|base binary/i.test(text)) return `deno compile failed:\n${text}`;
  return [
    "Cannot build the binary: deno compile needs its base program `denort`, which it downloads,",
    "and the download failed. Everything else works without it: `deno task bundle` builds",
    `${BUNDLE}, which is the same program for \`deno run\`. To build the binary here, take the`,
    `denort of Deno ${Deno.version.deno} from a machine with a connection and name the file:`,
    "  DENORT_BIN=/path/to/denort deno task compile",
  ].join("\n");
}

/** Paths of the list that `deno compile` prints under "Embedded Files". */
export function embeddedFiles(text: string): string[] {
  const list = text.split("Embedded Files")[1]?.split(/^Files:/m)[0] ?? "";
  return [...list.matchAll(/^.*[├└][─┬]+ (\S+)/gm)].map((match) => match[1] ?? "");
}

/** Throws unless the compiled file contains the bundle as it was tested. */
async function checkEmbedded(binary: string): Promise<void> {
  const bytes = Buffer.from((await Deno.readFile(binary)).buffer);
  if (bytes.indexOf(await Deno.readFile(BUNDLE)) < 0) {
    throw new Error(`${BUNDLE} is not in the compiled file as it is on disk`);
  }
}

if (import.meta.main) {
  const [command, ...rest] = Deno.args;
  try {
    if (command === "bundle") await bundle();
    else if (command === "compile") await compile(rest.includes("--embedding-only"));
    else throw new Error(`Unknown command "${command}": write bundle or compile`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exitCode = 1;
  }
}
