import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { commandUnderTest, kvmark, parseCommand, startKvmark, withTempDir } from "./command.ts";

/** Runs `use` with a small script of ours as the command under test. */
async function withScript(source: string, use: (dir: string) => Promise<void>): Promise<void> {
  await withTempDir(async (dir) => {
    const script = `${dir}/script.ts`;
    await Deno.writeTextFile(script, source);
    const before = Deno.env.get("KVMARK_COMMAND");
    const words = [Deno.execPath(), "run", "--quiet", "--no-config", "--allow-env", script];
    Deno.env.set("KVMARK_COMMAND", JSON.stringify(words));
    try {
      await use(dir);
    } finally {
      if (before === undefined) Deno.env.delete("KVMARK_COMMAND");
      else Deno.env.set("KVMARK_COMMAND", before);
    }
  });
}

Deno.test("kvmark() gives code, stdout and stderr, and passes arguments, input and env", async () => {
  const source = `
    const input = await new Response(Deno.stdin.readable).text();
    console.log(JSON.stringify([Deno.args, input, Deno.env.get("A"), Deno.env.get("KVMARK_COMMAND")]));
    console.error("aside");
    Deno.exit(3);`;
  await withScript(source, async () => {
    const { code, stdout, stderr } = await kvmark(["x", "y z"], { stdin: "in", env: { A: "1" } });
    assert.equal(code, 3);
    assert.deepEqual(JSON.parse(stdout), [["x", "y z"], "in", "1", null]);
    assert.equal(stderr, "aside\n");
  });
});

Deno.test("kvmark() kills what does not end, and says what it had printed", async () => {
  await withScript(`console.log("still here"); setInterval(() => {}, 1000);`, async () => {
    await assert.rejects(kvmark(["x"], { timeoutMs: 1500 }), /did not end within 1500 ms/);
  });
});

Deno.test("startKvmark() waits for the ready line and stops the process by its pid", async () => {
  const source = `
    console.log("warming up");
    console.log("ready " + Deno.pid);
    setInterval(() => {}, 1000);`;
  await withScript(source, async () => {
    let finished: Promise<unknown> = Promise.resolve();
    {
      const isReady = (line: string) => line.startsWith("ready");
      await using running = await startKvmark([], { isReady });
      assert.equal(running.readyLine, `ready ${running.pid}`);
      assert.match(running.stdout(), /^warming up/);
      finished = running.finished;
    }
    await finished;
  });
});

Deno.test("startKvmark() reports a process that ends before it is ready", async () => {
  await withScript(`console.error("no port"); Deno.exit(7);`, async () => {
    await assert.rejects(startKvmark([]), /ended before it was ready \(code 7\)[^]*no port/);
  });
});

Deno.test("parseCommand() refuses what is not an array of words", () => {
  assert.deepEqual(parseCommand(`["a","b c"]`), ["a", "b c"]);
  for (const text of ["kvmark", "[]", "[1]", `"a"`]) {
    assert.throws(() => parseCommand(text), TypeError);
  }
});

Deno.test("commandUnderTest() runs the source with listed permissions by default", async () => {
  const given = Deno.env.get("KVMARK_COMMAND");
  Deno.env.delete("KVMARK_COMMAND");
  try {
    const words = await commandUnderTest();
    assert.ok(words.includes("--allow-net"));
    assert.ok(!words.includes("-A") && !words.includes("--allow-all"));
    assert.equal(words.at(-1), fileURLToPath(new URL("../../main.ts", import.meta.url)));
  } finally {
    if (given !== undefined) Deno.env.set("KVMARK_COMMAND", given);
  }
});

Deno.test("withTempDir() removes the folder, also after a failure", async () => {
  let seen = "";
  await assert.rejects(
    withTempDir((dir) => {
      seen = dir;
      return Promise.reject(new Error("stop"));
    }),
    /stop/,
  );
  assert.notEqual(seen, "");
  await assert.rejects(Deno.stat(seen), Deno.errors.NotFound);
});
