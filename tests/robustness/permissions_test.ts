/**
 * The permissions that docs/robustness.md lists for each command: with them it works, without any
 * one of them it does not, and says which is missing.
 */

import assert from "node:assert/strict";
import { COMMANDS } from "../../commands/mod.ts";
import { readProductFlags } from "../../scripts/product_flags.ts";
import { commandUnderTest, withTempDir } from "../support/command.ts";
import { EXACT_SIMULATE, SMALL_EXACT_RUNS } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";

const ALL = ["net", "read", "write", "env"] as const;
type Permission = typeof ALL[number];

interface Case {
  /** As in the table. */
  readonly name: string;
  readonly args: readonly string[];
  readonly needs: readonly Permission[];
  /** Exit code with all of them. @default {0} */
  readonly code?: number;
  /** It needs everything, so that there is nothing to prove by its end, which is far away. */
  readonly isLong?: true;
  /** Done before it is run. */
  readonly prepare?: () => void;
}

const CONFIG = {
  model_type: "llama",
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  hidden_size: 4096,
};

/** In order: the later ones read what the first ones wrote. */
function casesIn(dir: string, url: string): Case[] {
  const server = ["--api-endpoint", url];
  const doctor = [...server, "--no-client", "--timeout", "2"];
  const experiments = Object.entries(SMALL_EXACT_RUNS).map(([name, run]): Case => ({
    name,
    args: [...run, ...server, "--output-dir", `${dir}/${name}`],
    needs: ALL,
  }));
  const run = `${dir}/cache-rate`;
  const combined = ["--output-dirs", run, `${dir}/again`, "--output", `${dir}/combined`];
  return [
    ...experiments,
    { name: "demo", args: ["demo", "--output-dir", `${dir}/demo`], needs: ALL, isLong: true },
    // The simulator has no cache here, which is what it says.
    { name: "doctor", args: ["doctor", ...doctor], needs: ["net", "env"], code: 5 },
    { name: "regenerate", args: ["regenerate", run], needs: ["read", "write"] },
    { name: "index", args: ["index", run], needs: ["read", "write"] },
    {
      name: "combine",
      args: ["combine", ...combined],
      needs: ["read", "write"],
      prepare: () => copyFiles(run, `${dir}/again`),
    },
    {
      name: "merge",
      args: ["merge", `${dir}/merged`],
      needs: ["read", "write"],
      prepare: () => copyAsShard(run, `${dir}/merged/shard-0`),
    },
    { name: "kv-size FILE", args: ["kv-size", `${dir}/config.json`], needs: ["read"] },
    // The hub of this test has no model, which is what it says.
    { name: "kv-size ID", args: ["kv-size", "org/model"], needs: ["net", "read", "env"], code: 2 },
    { name: "--help", args: ["cache-rate", "--help"], needs: [] },
  ];
}

function copyFiles(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isFile } of Deno.readDirSync(from)) {
    if (isFile) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

/** A copy of a run that says that it is a shard. */
function copyAsShard(from: string, to: string): void {
  copyFiles(from, to);
  const config = JSON.parse(Deno.readTextFileSync(`${to}/run.json`));
  const startAt = config.startedAt;
  const shard = { index: 0, count: 1, runId: "one", workingSet: "split", startAt };
  Deno.writeTextFileSync(`${to}/run.json`, JSON.stringify({ ...config, shard }));
}

Deno.test("each permission of a command is needed, and no other one is", async (t) => {
  const found = new Set<Permission>();
  const proved: [string, readonly Permission[]][] = [];
  await withTempDir(async (dir) => {
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    await using hub = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response("", { status: 404 }),
    );
    const env = { HF_ENDPOINT: `http://127.0.0.1:${hub.addr.port}`, HF_HOME: `${dir}/hf` };
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(CONFIG));
    for (const one of casesIn(dir, simulator.url)) {
      await t.step(one.name, async () => {
        await proveMinimal(one, env);
        for (const permission of one.needs) found.add(permission);
        proved.push([one.name, one.needs]);
      });
    }
  });
  // So the lists of the product and of what is under test have nothing that no command needs.
  const needed = [...found].map((one) => `--allow-${one}`).toSorted();
  assert.deepEqual((await readProductFlags()).toSorted(), needed);
  const command = await commandUnderTest();
  assert.deepEqual(command.filter((word) => word.startsWith("--allow-")).toSorted(), needed);
  assert.deepEqual(await listed(), Object.fromEntries([...proved, ["simulate", ["net"]]]));
  const names = new Set(proved.map(([name]) => name.split(" ")[0]));
  for (const { name } of COMMANDS) assert.ok(names.has(name) || name === "simulate", name);
});

async function proveMinimal(
  { name, args, needs, code: expected = 0, isLong, prepare }: Case,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  prepare?.();
  if (isLong === undefined) {
    const all = await runWith(needs, args, env);
    assert.equal(all.code, expected, all.stderr);
  } else assert.deepEqual(needs, ALL);
  // All at once, so each with a folder of its own.
  const at = args.indexOf("--output-dir") + 1;
  await Promise.all(needs.map(async (missing) => {
    const own = at === 0 ? args : args.with(at, `${args[at]}-without-${missing}`);
    const { code, stderr } = await runWith(needs.filter((one) => one !== missing), own, env);
    assert.ok(code === 4 || code === 7, `${name} without ${missing}: ${code}\n${stderr}`);
    assert.match(stderr, new RegExp(`--allow-${missing}\\b`));
    assert.doesNotMatch(stderr, /internal error/);
  }));
}

/** The table of docs/robustness.md: `| cache-rate | net, read, write, env | … |`. */
async function listed(): Promise<Record<string, string[]>> {
  const text = await Deno.readTextFile(new URL("../../docs/robustness.md", import.meta.url));
  const table = /^\| command .*\n\|[-| ]+\n((?:\|.*\n)+)/m.exec(text)?.[1] ?? "";
  const rows = table.trim().split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  return Object.fromEntries(rows.map(([, names = "", permissions = ""]) => [
    names.replaceAll("`", ""),
    permissions === "none" ? [] : permissions.split(", "),
  ]));
}

Deno.test("simulate needs nothing but the network", async () => {
  const [program = "", ...words] = await withPermissions(["net"]);
  const child = new Deno.Command(program, {
    args: [...words, "simulate", "--port", "0"],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.match(new TextDecoder().decode(value), /^\{"url":"http/);
  child.kill("SIGTERM");
  await reader.cancel();
  assert.equal((await child.status).code, 0);
  const without = await runWith([], ["simulate", "--port", "0"]);
  assert.equal(without.code, 7, without.stderr);
  assert.match(without.stderr, /--allow-net\b/);
});

async function runWith(
  permissions: readonly Permission[],
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const [program = "", ...words] = await withPermissions(permissions);
  const { code, stderr } = await new Deno.Command(program, {
    args: [...words, ...args],
    env: { ...env },
    stdout: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** The command under test with other permissions than it has. */
async function withPermissions(permissions: readonly Permission[]): Promise<string[]> {
  const command = await commandUnderTest();
  const at = command.findIndex((word) => word.startsWith("--allow-"));
  assert.ok(at > 0, "a compiled binary has its permissions built in");
  return [
    ...command.slice(0, at),
    ...permissions.map((one) => `--allow-${one}`),
    ...command.slice(at).filter((word) => !word.startsWith("--allow-")),
  ];
}
