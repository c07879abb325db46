import assert from "node:assert/strict";
import { kvmark } from "../support/command.ts";
import { EXIT_CODES } from "../../lib/errors.ts";

/** Every file of `commands/` is a command; a file that is not in the table of commands shows here. */
const COMMANDS = [...Deno.readDirSync(new URL("../../commands", import.meta.url))]
  .map((entry) => entry.name)
  .filter((name) => /^[a-z]/.test(name) && !/^mod\.ts$|_test\.ts$/.test(name))
  .map((name) => name.replace(/\.ts$/, "").replaceAll("_", "-"));

async function version(): Promise<string> {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  return JSON.parse(text).version;
}

Deno.test("kvmark --help lists every command on stdout", async () => {
  const { code, stdout, stderr } = await kvmark(["--help"]);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.ok(COMMANDS.includes("cache-rate"), "the list of commands was not read");
  for (const name of COMMANDS) {
    assert.match(stdout, new RegExp(`^\\s+${name}\\b`, "m"), `${name} is missing:\n${stdout}`);
  }
});

Deno.test("kvmark COMMAND --help says how to use the command", async (t) => {
  for (const name of COMMANDS) {
    await t.step(name, async () => {
      const { code, stdout, stderr } = await kvmark([name, "--help"]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, new RegExp(`Usage: kvmark ${name}\\b`));
    });
  }
});

Deno.test("kvmark --version prints the version of deno.json", async () => {
  const { code, stdout, stderr } = await kvmark(["--version"]);
  assert.equal(code, 0, stderr);
  assert.ok(stdout.split(/\s+/).includes(await version()), stdout);
});

Deno.test("kvmark with an unknown command exits 2 and names the nearest one", async () => {
  const { code, stdout, stderr } = await kvmark(["cache-rat"]);
  assert.equal(code, EXIT_CODES.usage.code);
  assert.equal(stdout, "");
  assert.match(stderr, /cache-rat\b/);
  assert.match(stderr, /\bcache-rate\b/);
});

Deno.test("kvmark with an unknown option exits 2 and names the option", async () => {
  const { code, stdout, stderr } = await kvmark(["demo", "--no-such-option"]);
  assert.equal(code, EXIT_CODES.usage.code);
  assert.equal(stdout, "");
  assert.match(stderr, /--no-such-option/);
});
