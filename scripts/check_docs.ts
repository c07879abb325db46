/**
 * Checks the documentation against the code. Usage: `deno task check:docs`.
 *
 * - every export and every module of the product has JSDoc;
 * - links, anchors, named files and named tasks in Markdown exist;
 * - the generated pages are what the code generates;
 * - no tracked file names the host of a package registry, or a path of one machine.
 *
 * @module
 */

import { dirname, normalize } from "node:path/posix";
import { generatedPages } from "./generated_pages.ts";
import { anchors, codeSpans, fencedBlocks, links } from "./markdown.ts";

/** Text files of the repository by path. */
export type Sources = ReadonlyMap<string, string>;

/** Hosts that registries are reached at, in parts so that this file does not name them. */
const REGISTRY_HOSTS = [
  ["registry", "npmjs", "org"],
  ["registry", "yarnpkg", "com"],
  ["pypi", "org"],
  ["files", "pythonhosted", "org"],
  ["static", "crates", "io"],
  ["index", "crates", "io"],
  ["proxy", "golang", "org"],
  ["repo1", "maven", "org"],
  ["deb", "debian", "org"],
  ["security", "debian", "org"],
].map((parts) => parts.join("."));

/** Folders of the machines that kvmark is developed on. */
const MACHINE_PATHS = [/(?<![\w.}])\/(work|root)\//, /\/tmp\/(bin|bash_jobs|contract)\b/];

const NAMED_FILE = /^(lib|commands|scripts|tests|docs|assets|\.ci)\/[\w./-]+$/;

/** Broken links, anchors, and names of files and tasks in the Markdown pages. */
export function brokenMentions(sources: Sources, paths: ReadonlySet<string>): string[] {
  const tasks = new Set(Object.keys(JSON.parse(sources.get("deno.json") ?? "{}").tasks ?? {}));
  const problems: string[] = [];
  for (const [page, text] of sources) {
    if (!page.endsWith(".md") || page.startsWith("tests/fixtures/")) continue;
    for (const { line, target } of links(text)) {
      const problem = brokenLink(page, target, sources, paths);
      if (problem !== undefined) problems.push(`${page}:${line}: ${problem}`);
    }
    for (const { line, target } of codeSpans(text)) {
      if (!NAMED_FILE.test(target) || exists(target, paths)) continue;
      problems.push(`${page}:${line}: there is no ${target}`);
    }
    const code = [...codeSpans(text), ...fencedBlocks(text).map((b) => ({ ...b, target: b.code }))];
    for (const { line, target } of code) {
      for (const [, task = ""] of target.matchAll(/\bdeno(?:@[\d.]+)? task ([\w:-]+)/g)) {
        if (!tasks.has(task)) problems.push(`${page}:${line}: there is no task ${task}`);
      }
    }
  }
  return problems;
}

function exists(path: string, paths: ReadonlySet<string>): boolean {
  const plain = path.replace(/\/$/, "");
  return paths.has(plain) || [...paths].some((name) => name.startsWith(`${plain}/`));
}

function brokenLink(
  page: string,
  target: string,
  sources: Sources,
  paths: ReadonlySet<string>,
): string | undefined {
  if (/^(https?:|mailto:)/.test(target)) return undefined;
  const [file = "", anchor] = target.split("#");
  const path = file === "" ? page : normalize(`${dirname(page)}/${file}`);
  if (!exists(path, paths)) return `the link ${target} leads nowhere`;
  if (anchor === undefined || !path.endsWith(".md")) return undefined;
  return anchors(sources.get(path) ?? "").has(anchor)
    ? undefined
    : `${path} has no heading #${anchor}`;
}

/** Places that name the host of a registry or a folder of one machine. */
export function forbiddenNames(sources: Sources): string[] {
  const problems: string[] = [];
  for (const [path, text] of sources) {
    if (path === "deno.lock") continue;
    for (const [n, line] of text.split("\n").entries()) {
      const host = REGISTRY_HOSTS.find((name) => line.includes(name));
      if (host !== undefined) problems.push(`${path}:${n + 1}: names the registry host ${host}`);
      const folder = MACHINE_PATHS.map((pattern) => pattern.exec(line)?.[0]).find(Boolean);
      if (folder !== undefined) problems.push(`${path}:${n + 1}: names the folder ${folder}`);
    }
  }
  return problems;
}

/** The part of `deno doc --json` that is read here. */
export interface DocOutput {
  readonly nodes: Readonly<
    Record<string, {
      readonly module_doc?: { readonly doc?: string };
      readonly symbols: readonly {
        readonly name: string;
        readonly declarations: readonly {
          readonly declarationKind: string;
          readonly kind?: string;
          readonly location: { readonly filename: string; readonly line: number };
          readonly jsDoc?: { readonly doc?: string };
        }[];
      }[];
    }>
  >;
}

/** Modules and exports without a sentence of JSDoc. */
export function undocumented(output: DocOutput): string[] {
  const problems = new Set<string>();
  for (const [file, { module_doc, symbols }] of Object.entries(output.nodes)) {
    if (!module_doc?.doc?.trim()) problems.add(`${file}:1: the module has no JSDoc`);
    for (const { name, declarations } of symbols) {
      // A re-export ("reference") is documented where it is declared.
      const exported = declarations.filter((one) =>
        one.declarationKind === "export" && one.kind !== "reference"
      );
      // One sentence serves all overloads of a function.
      if (exported.length === 0 || exported.some((one) => one.jsDoc?.doc?.trim())) continue;
      const { filename, line } = exported[0]!.location;
      problems.add(`${filename}:${line}: ${name} has no JSDoc`);
    }
  }
  return [...problems];
}

/** A page as `deno fmt` leaves it. */
export async function formatMarkdown(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await output;
  if (!success) throw new Error("deno fmt failed");
  return new TextDecoder().decode(stdout);
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(`${command} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

async function outdatedPages(): Promise<string[]> {
  const problems: string[] = [];
  for (const { path, text } of generatedPages()) {
    const found = await Deno.readTextFile(path).catch(() => undefined);
    if (found !== await formatMarkdown(text)) problems.push(`${path}: run deno task docs`);
  }
  return problems;
}

async function readSources(paths: Iterable<string>): Promise<Sources> {
  const sources = new Map<string, string>();
  for (const path of paths) {
    const bytes = await Deno.readFile(path).catch(() => undefined);
    // Bytes of 0 mean a picture or the like.
    if (bytes !== undefined && !bytes.includes(0)) {
      sources.set(path, new TextDecoder().decode(bytes));
    }
  }
  return sources;
}

/** Everything that is wrong with the documentation of the current directory. */
async function checkDocs(): Promise<string[]> {
  const paths = (await run("git", ["ls-files", "-z"])).split("\0").filter((path) => path !== "");
  const sources = await readSources(paths);
  const product = paths.filter((path) =>
    /^((lib|commands)\/.*|main|mod)\.ts$/.test(path) && !/_(test|bench)\.ts$/.test(path)
  );
  const documentation = JSON.parse(await run(Deno.execPath(), ["doc", "--json", ...product]));
  const root = `file://${Deno.cwd()}/`;
  return [
    ...undocumented(documentation).map((problem) => problem.replace(root, "")),
    ...brokenMentions(sources, new Set(paths)),
    ...forbiddenNames(sources),
    ...await outdatedPages(),
  ];
}

if (import.meta.main) {
  const problems = await checkDocs();
  for (const problem of problems) console.error(problem);
  console.log(`Documentation: ${problems.length === 0 ? "ok" : `${problems.length} problems`}`);
  if (problems.length > 0) Deno.exitCode = 1;
}
