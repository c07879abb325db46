/**
 * The table of commands. A command's module is loaded only when it is the one that was asked for.
 *
 * @module
 */

import { Command, CommanderError } from "@commander-js/extra-typings";
import { exitCodeOf, formatError, userError } from "../lib/errors.ts";
import type { Host } from "../lib/host.ts";
import { VERSION } from "./_version.ts";

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  // deno-lint-ignore no-explicit-any
  readonly load: () => Promise<{ command(host: Host): Command<any, any, any> }>;
}

/** Every command, in the order of the help. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: "single-prompt",
    summary: "cold against cached TTFT at doubling context sizes",
    load: () => import("./single_prompt.ts"),
  },
  {
    name: "cache-rate",
    summary: "throughput and latency against hit rate",
    load: () => import("./cache_rate.ts"),
  },
  {
    name: "working-set",
    summary: "throughput and latency against working-set size; finds the memory tiers",
    load: () => import("./working_set.ts"),
  },
  {
    name: "kv-size",
    summary: "bytes of KV cache per token and per context of a model",
    load: () => import("./kv_size.ts"),
  },
  {
    name: "index",
    summary: "the dashboard of a results folder",
    load: () => import("./index.ts"),
  },
  {
    name: "regenerate",
    summary: "every page of a results folder, drawn anew from its rows",
    load: () => import("./regenerate.ts"),
  },
  {
    name: "combine",
    summary: "several runs on one set of graphs, with statistics and limits",
    load: () => import("./combine.ts"),
  },
  {
    name: "merge",
    summary: "the shards of a run on several load hosts as one run",
    load: () => import("./merge.ts"),
  },
  {
    name: "doctor",
    summary: "what this server can prove about its cache, and what is missing",
    load: () => import("./doctor.ts"),
  },
  {
    name: "simulate",
    summary: "an OpenAI-compatible server whose cache is known to the token",
    load: () => import("./simulate.ts"),
  },
  {
    name: "demo",
    summary: "simulator, sweep and dashboard in a minute: no GPU, no network",
    load: () => import("./demo.ts"),
  },
];

const EXAMPLES = `
Examples:
  kvmark demo
  kvmark cache-rate --api-endpoint http://localhost:8000 --context-sizes 8000 --working-set-size 200000
  kvmark cache-rate --help
`;

/** Runs the command line of `host`. @returns The exit code. */
export async function runCommandLine(host: Host): Promise<number> {
  try {
    const [name, ...rest] = host.args;
    const entry = COMMANDS.find((one) => one.name === name);
    if (entry === undefined) await program(host).parseAsync([...host.args], { from: "user" });
    else {
      const command = (await entry.load()).command(host).name(`kvmark ${entry.name}`);
      tellMissingTogether(command);
      await connect(command, host).parseAsync(rest, { from: "user" });
    }
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
    const error = userError(thrown);
    host.stderr.write(`${formatError(error)}\n`);
    return exitCodeOf(error);
  }
}

/** The program without its commands' modules: help, version, and the name that nobody knows. */
function program(host: Host): Command {
  const root = connect(new Command("kvmark"), host)
    .description("A benchmark for the KV cache of LLM inference servers.")
    .version(VERSION)
    .addHelpText("after", EXAMPLES);
  for (const { name, summary } of COMMANDS) {
    connect(root.command(name), host).description(summary).allowUnknownOption();
  }
  if (host.args.length === 0) root.action(() => root.help());
  return root as unknown as Command;
}

/** The command's own check tells all that is missing; commander would stop at the first. */
// deno-lint-ignore no-explicit-any
function tellMissingTogether(command: Command<any, any, any>): void {
  for (const option of command.options) option.mandatory = false;
}

// deno-lint-ignore no-explicit-any
function connect<C extends Command<any, any, any>>(command: C, host: Host): C {
  command.exitOverride().configureOutput({
    writeOut: (text) => host.stdout.write(text),
    // Of an option that is not known only the name is repeated: its value may be a key.
    writeErr: (text) =>
      host.stderr.write(
        text.replace(/^error: /, "kvmark: ").replaceAll(/('--?[\w-]+)=[^']*'/g, "$1'"),
      ),
    getOutHelpWidth: () => host.stdout.columns(),
    getErrHelpWidth: () => host.stderr.columns(),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  }).showHelpAfterError(false);
  return command;
}
