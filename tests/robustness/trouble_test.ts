/**
 * Signals, and a server that disappears: what is kept, what is said, which exit code.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { commandUnderTest, kvmark, withTempDir } from "../support/command.ts";
import { EXACT_SIMULATE, exactRows, rowsOf, SMALL_EXACT_RUN } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";
import { untilFile } from "../support/until.ts";

/** Summary rows, periods and requests of a whole small run. */
function assertWhole(out: string): void {
  const counts = Object.values(exactRows(out)).map((rows) => rows.length);
  assert.deepEqual(counts, [2, 4, 12]);
  assert.ok(rowsOf(out, "detailed_results").every((row) => row["error_kind"] === ""));
}

Deno.test("a signal drains, two signals stop, and the same command ends the run", async () => {
  await withTempDir(async (dir) => {
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    const args = [...SMALL_EXACT_RUN, "--api-endpoint", simulator.url];
    await Promise.all(([["SIGTERM"], ["SIGINT", "SIGINT"]] as const).map(async (signals) => {
      const out = `${dir}/${signals.length}`;
      const [program = "", ...words] = await commandUnderTest();
      const child = new Deno.Command(program, {
        args: [...words, ...args, "--output-dir", out],
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const output = child.output();
      await untilFile(out, "phase_metadata_", "WARMUP");
      for (const [index, signal] of signals.entries()) {
        // Signals that come together are one press of Ctrl-C.
        if (index > 0) await new Promise((resolve) => setTimeout(resolve, 400));
        try {
          child.kill(signal);
        } catch {
          // What was in flight had ended before the second press.
        }
      }
      const { code, stderr } = await output;
      const said = new TextDecoder().decode(stderr);
      assert.equal(code, EXIT_CODES.interrupted.code, said);
      assert.match(said, /run the same command again/);
      if (signals.length === 1) assert.doesNotMatch(said, /failed/, "what was in flight has ended");
      const again = await kvmark([...args, "--output-dir", out]);
      assert.equal(again.code, 0, again.stderr);
      assertWhole(out);
    }));
  });
});

Deno.test("a server that disappears ends the run, leaves its cell open, and is not the end", async () => {
  await withTempDir(async (out) => {
    const args = [...SMALL_EXACT_RUN, "--output-dir", out];
    const first = await startSimulateCommand(EXACT_SIMULATE);
    const { port } = new URL(first.url);
    const running = kvmark([...args, "--api-endpoint", first.url, "--server-wait", "0"]);
    await untilFile(out, "phase_metadata_", "WARMUP");
    Deno.kill(first.pid, "SIGKILL");
    const { code, stderr } = await running;
    assert.equal(code, EXIT_CODES.unreachable.code, stderr);
    assert.match(stderr, /went away at .* and is not back after 0 s/);

    const gone = await kvmark([...args, "--api-endpoint", first.url]);
    assert.equal(gone.code, EXIT_CODES.unreachable.code, gone.stderr);
    await using _second = await startSimulateCommand([...EXACT_SIMULATE, "--port", port]);
    const again = await kvmark([...args, "--api-endpoint", first.url]);
    assert.equal(again.code, 0, again.stderr);
    assertWhole(out);
  });
});

Deno.test("readers of stdout and stderr that go away, and a hangup, are not the end of a run", async () => {
  await withTempDir(async (out) => {
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    const [program = "", ...words] = await commandUnderTest();
    const args = [...SMALL_EXACT_RUN, "--api-endpoint", simulator.url, "--output-dir", out];
    const child = new Deno.Command(program, {
      args: [...words, ...args],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
    await untilFile(out, "phase_metadata_", "WARMUP");
    // As a shell does with its jobs when its connection breaks; stderr is no terminal here.
    child.kill("SIGHUP");
    assert.equal((await child.status).code, 0);
    assertWhole(out);
  });
});

Deno.test("a signal ends a run that waits for a server which takes connections and never answers", async () => {
  await withTempDir(async (out) => {
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const url = `http://127.0.0.1:${silent.addr.port}`;
    const [program = "", ...words] = await commandUnderTest();
    const child = new Deno.Command(program, {
      args: [...words, ...SMALL_EXACT_RUN, "--api-endpoint", url, "--output-dir", out],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    await untilFile(out, "run_command_", "kvmark");
    child.kill("SIGINT");
    const { code, stderr } = await output;
    const said = new TextDecoder().decode(stderr);
    assert.equal(code, EXIT_CODES.interrupted.code, said);
    assert.match(said, /Interrupted while http.* was asked/);
  });
});
