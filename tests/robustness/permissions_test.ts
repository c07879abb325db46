/**
 * The permissions that README.md lists for each command: with them it works, without any one of
 * them it does not, and says which is missing.
 */

import assert from "node:assert/strict";
import { readProductFlags } from "../../scripts/product_flags.ts";
import { commandUnderTest, withTempDir } from "../support/command.ts";
import { EXACT_SIMULATE, SMALL_EXACT_RUN } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";

type Permission = "net" | "read" | "write" | "env";

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly needs: readonly Permission[];
  /** Exit code with all of them. @default {0} */
  readonly code?: number;
}

const CONFIG = {
  model_type: "llama",
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  hidden_size: 4096,
};

/** In order: the later ones read what the first one wrote. */
function casesIn(dir: string, url: string): Case[] {
  const doctor = ["--api-endpoint", url, "--no-client", "--timeout", "2"];
  return [
    {
      name: "cache-rate",
      args: [...SMALL_EXACT_RUN, "--api-endpoint", url, "--output-dir", `${dir}/out`],
      needs: ["net", "read", "write", "env"],
    },
    // The simulator has no cache here, which is what it says.
    { name: "doctor", args: ["doctor", ...doctor], needs: ["net", "env"], code: 5 },
    { name: "regenerate", args: ["regenerate", `${dir}/out`], needs: ["read", "write"] },
    { name: "index", args: ["index", `${dir}/out`], needs: ["read", "write"] },
    { name: "kv-size", args: ["kv-size", `${dir}/config.json`], needs: ["read"] },
    { name: "--help", args: ["cache-rate", "--help"], needs: [] },
  ];
}

Deno.test("each permission of a command is needed, and no other one is", async (t) => {
  const product = await readProductFlags();
  const found = new Set<Permission>();
  await withTempDir(async (dir) => {
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    await Deno.writeTextFile(`${dir}/config.json`, JSON.stringify(CONFIG));
    for (const { name, args, needs, code = 0 } of casesIn(dir, simulator.url)) {
      await t.step(name, async () => {
        const all = await runWith(needs, args);
        assert.equal(all.code, code, all.stderr);
        for (const missing of needs) {
          const rest = needs.filter((one) => one !== missing);
          const { code, stderr } = await runWith(rest, args);
          assert.ok(code === 4 || code === 7, `${name} without ${missing}: ${code}\n${stderr}`);
          assert.match(stderr, new RegExp(`--allow-${missing}\\b`));
          assert.doesNotMatch(stderr, /internal error/);
          found.add(missing);
        }
      });
    }
  });
  // So the list of the product has nothing that no command needs.
  assert.deepEqual(product.toSorted(), [...found].map((one) => `--allow-${one}`).toSorted());
});

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
});

async function runWith(permissions: readonly Permission[], args: readonly string[]) {
  const [program = "", ...words] = await withPermissions(permissions);
  const { code, stderr } = await new Deno.Command(program, {
    args: [...words, ...args],
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
