/**
 * The parts of the style that a machine can check, as a plugin of `deno lint`.
 *
 * Each rule states what it forbids and what to do instead. To allow one place, write
 * `// deno-lint-ignore kvmark/<rule> -- <reason>` above it.
 *
 * @module
 */

import { dirname, join, relative } from "node:path/posix";

/** Lines that a function may have, from its first to its last. */
const MAX_FUNCTION_LINES = 60;
/** Lines that a file may have. */
const MAX_FILE_LINES = 400;

const FOUNDATION = [
  "record",
  "errors",
  "redaction",
  "units",
  "random",
  "host",
  "hugging_face",
  "token_counts",
  "columns",
]
  .map((name) => `lib/${name}`);
const PARTS = ["prompt", "client", "server", "metrics", "results", "model"].map((n) => `lib/${n}`);
const TOOLS = ["load", "tiers", "report", "sim"].map((name) => `lib/${name}`);

/**
 * What each layer may import besides itself: only what stands below it. Within the foundation the
 * files may import each other; folders of one layer never do.
 */
const LAYERS: readonly { readonly units: readonly string[]; readonly below: readonly string[] }[] =
  [
    { units: FOUNDATION, below: FOUNDATION },
    { units: PARTS, below: FOUNDATION },
    { units: TOOLS, below: [...FOUNDATION, ...PARTS] },
    { units: ["lib/experiments"], below: [...FOUNDATION, ...PARTS, ...TOOLS] },
    { units: ["commands"], below: ["lib"] },
    { units: ["main", "mod"], below: ["commands", "lib", "main", "mod"] },
  ];

/** The files of the product that may use `Deno` and Node's process modules. */
const DENO_FILES = new Set([
  "main.ts",
  "lib/host.ts",
  "lib/load/worker.ts",
  "lib/load/pool.ts",
  "lib/client/stream.ts",
  "lib/sim/server.ts",
  "lib/sim/worker.ts",
]);
const PROCESS_MODULES = /^(node:)?(process|fs|fs\/promises|os|child_process|worker_threads)$/;
/** Packages that only tests and scripts may import. */
const DEVELOPMENT_PACKAGES = /^(fast-check|playwright-core|axe\.min\.js)(\/|$)/;
const VAGUE_NAMES = /^_?(utils?|helpers?|misc|common|stuff)(\.|_test\.|$)/;

const ROOT = dirname(import.meta.dirname ?? "");

/** Path inside the repository, whichever way the linter names the file. */
function repositoryPath(context: Deno.lint.RuleContext): string {
  const name = context.filename.replace(/^file:\/\//, "").replaceAll("\\", "/");
  return name.startsWith(`${ROOT}/`) ? name.slice(ROOT.length + 1) : name.replace(/^\.\//, "");
}

function isTest(path: string): boolean {
  return path.startsWith("tests/") || path.endsWith("_test.ts");
}

/** True for what users run: neither a test nor a script of the repository. */
function isProduct(path: string): boolean {
  return !isTest(path) && (/^(lib|commands)\//.test(path) || /^(main|mod)\.ts$/.test(path));
}

function layerOf(path: string) {
  const unit = path.replace(/\.ts$/, "");
  for (const layer of LAYERS) {
    const own = layer.units.find((name) => unit === name || unit.startsWith(`${name}/`));
    if (own !== undefined) return { own, below: layer.below };
  }
  return undefined;
}

/** Why a file may not import another, or `undefined` if it may. */
function forbiddenImport(from: string, specifier: string): string | undefined {
  if (DEVELOPMENT_PACKAGES.test(specifier)) return `${specifier} is for tests and scripts only`;
  if (!specifier.startsWith(".")) return undefined;
  const target = relative(".", join(dirname(from), specifier));
  if (target.startsWith("assets/") || target === "deno.json") return undefined;
  if (/_test\.ts$|^(tests|scripts)\//.test(target)) return `the product never imports ${target}`;
  const layer = layerOf(from);
  if (layer === undefined) return `${from} has no place in the layout of docs/architecture.md`;
  const unit = target.replace(/\.ts$/, "");
  const allowed = [layer.own, ...layer.below].some((name) =>
    unit === name || unit.startsWith(`${name}/`)
  );
  return allowed ? undefined : `${layer.own} never imports ${target}`;
}

/** Imports point one way: foundation <- parts <- tools <- experiments <- commands <- main. */
const importDirection: Deno.lint.Rule = {
  create(context) {
    const path = repositoryPath(context);
    if (!isProduct(path)) return {};
    const check = (source: Deno.lint.Expression | null | undefined) => {
      if (source?.type !== "Literal" || typeof source.value !== "string") return;
      const reason = forbiddenImport(path, source.value);
      if (reason === undefined) return;
      context.report({
        node: source,
        message: `Import against the direction of the layers: ${reason}.`,
        hint: "Move the shared part down, or pass it in as an argument (docs/architecture.md).",
      });
    };
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
    };
  },
};

/** The process is touched in one place, so that whole commands run in a test without a process. */
const noDeno: Deno.lint.Rule = {
  create(context) {
    const path = repositoryPath(context);
    if (!isProduct(path) || DENO_FILES.has(path)) return {};
    const hint = "Take what you need from the Host (lib/host.ts) as an argument.";
    return {
      Identifier(node) {
        if (node.name !== "Deno") return;
        context.report({ node, message: "`Deno` outside the host and the workers.", hint });
      },
      ImportDeclaration(node) {
        if (!PROCESS_MODULES.test(node.source.value)) return;
        context.report({ node, message: `${node.source.value} outside the host.`, hint });
      },
    };
  },
};

/** Intervals are measured on the monotonic clock; the wall clock is for labels. */
const noWallClock: Deno.lint.Rule = {
  create(context) {
    const marked = new Set(
      context.sourceCode.getAllComments().filter((c) => c.value.includes("kvmark-lint: wall-clock"))
        .map((comment) => lineOf(context, comment.range[0])),
    );
    const report = (node: Deno.lint.CallExpression | Deno.lint.NewExpression) => {
      if (marked.has(lineOf(context, node.range[1]))) return;
      context.report({
        node,
        message: "The wall clock jumps: it cannot measure an interval.",
        hint: "Use clock.nowMs(), or mark a label with `// kvmark-lint: wall-clock`.",
      });
    };
    return {
      "CallExpression[callee.object.name='Date'][callee.property.name='now']": report,
      "CallExpression[callee.name='Date']": report,
      NewExpression(node) {
        if (node.arguments.length > 0 || node.callee.type !== "Identifier") return;
        if (node.callee.name === "Date") report(node);
      },
    };
  },
};

/** Only the main module ends the process; everything else returns or throws. */
const noExit: Deno.lint.Rule = {
  create(context) {
    if (repositoryPath(context) === "main.ts") return {};
    return {
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return;
        if (node.property.name !== "exit" || !/^(Deno|process)$/.test(node.object.name)) return;
        context.report({
          node,
          message: `${node.object.name}.exit outside main.ts.`,
          hint: "Throw a KvmarkError; in a script set Deno.exitCode.",
        });
      },
    };
  },
};

/** A function is read on one screen. */
const functionLength: Deno.lint.Rule = {
  create(context) {
    if (isTest(repositoryPath(context))) return {};
    const check = (node: Deno.lint.Node) => {
      const lines = lineOf(context, node.range[1]) - lineOf(context, node.range[0]) + 1;
      if (lines < MAX_FUNCTION_LINES) return;
      context.report({
        range: [node.range[0], node.range[0] + 1],
        message: `A function of ${lines} lines; fewer than ${MAX_FUNCTION_LINES} are allowed.`,
        hint: "Name its steps as functions.",
      });
    };
    return {
      FunctionDeclaration: check,
      FunctionExpression: check,
      ArrowFunctionExpression: check,
    };
  },
};

/** A file is one subject. Tests and data (`kvmark-lint: data` in a comment) may be longer. */
const fileLength: Deno.lint.Rule = {
  create(context) {
    return {
      Program(node) {
        const lines = context.sourceCode.text.trimEnd().split("\n").length;
        if (lines < MAX_FILE_LINES || isTest(repositoryPath(context))) return;
        if (context.sourceCode.getAllComments().some((c) => /kvmark-lint: data\b/.test(c.value))) {
          return;
        }
        context.report({
          range: [node.range[0], node.range[0] + 1],
          message: `A file of ${lines} lines; fewer than ${MAX_FILE_LINES} are allowed.`,
          hint: "Split it by subject.",
        });
      },
    };
  },
};

/** What is left to do is an issue; the comment points to it. */
const todoReference: Deno.lint.Rule = {
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          if (!/\b(TODO|FIXME|XXX|HACK)\b/.test(comment.value)) continue;
          if (/#\d+|https?:\/\//.test(comment.value)) continue;
          context.report({
            range: comment.range,
            message: "A note about work to do without a reference.",
            hint: "Name the issue (#12) or give its address, or do the work.",
          });
        }
      },
    };
  },
};

/** Library code returns text; the host's terminals print it. */
const noConsole: Deno.lint.Rule = {
  create(context) {
    if (!isProduct(repositoryPath(context))) return {};
    return {
      "MemberExpression[object.name='console']": (node: Deno.lint.MemberExpression) =>
        context.report({
          node,
          message: "Library code never prints.",
          hint: "Return the text, or write to host.stdout or host.stderr.",
        }),
    };
  },
};

/** A name says what is inside. */
const noVagueNames: Deno.lint.Rule = {
  create(context) {
    return {
      Program(node) {
        const vague = repositoryPath(context).split("/").find((part) => VAGUE_NAMES.test(part));
        if (vague === undefined) return;
        context.report({
          range: [node.range[0], node.range[0] + 1],
          message: `"${vague}" does not say what is inside.`,
          hint: "Name the one thing that the file or folder is about (CONTRIBUTING.md).",
        });
      },
    };
  },
};

/** Top-level functions are declarations: they have a name in traces and can be read in any order. */
const namedFunctions: Deno.lint.Rule = {
  create(context) {
    return {
      VariableDeclarator(node) {
        const kind = node.init?.type;
        if (kind !== "ArrowFunctionExpression" && kind !== "FunctionExpression") return;
        const owner = node.parent.parent;
        if (owner.type !== "Program" && owner.type !== "ExportNamedDeclaration") return;
        context.report({
          node: node.id,
          message: "A top-level function as a constant.",
          hint: "Write a function declaration.",
        });
      },
    };
  },
};

/** Line of an offset, from 1. */
function lineOf(context: Deno.lint.RuleContext, offset: number): number {
  const { text } = context.sourceCode;
  let line = 1;
  for (let at = text.indexOf("\n"); at >= 0 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/** The plugin, as `deno.json` loads it. */
const plugin: Deno.lint.Plugin = {
  name: "kvmark",
  rules: {
    "import-direction": importDirection,
    "no-deno": noDeno,
    "no-wall-clock": noWallClock,
    "no-exit": noExit,
    "function-length": functionLength,
    "file-length": fileLength,
    "todo-reference": todoReference,
    "no-console": noConsole,
    "no-vague-names": noVagueNames,
    "named-functions": namedFunctions,
  },
};

export default plugin;
