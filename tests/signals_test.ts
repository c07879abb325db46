/**
 * Signals are obeyed at any time: while the server is probed, while prompts are warmed, while a
 * period runs; and also where the server's counts are absurd.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../lib/errors.ts";
import { commandUnderTest, withTempDir } from "./support/command.ts";
import { type Lies, startLyingServer } from "./support/lying_server.ts";
import { untilFile } from "./support/until.ts";

/** A run that does not end by itself while the test lasts. */
const LONG = [
  ...["cache-rate", "--context-sizes", "512", "--working-set-size", "16384"],
  ...["--cache-hit-rates", "50", "--chunk-size", "16", "--output-tokens", "2", "--mode", "fixed"],
  ...["--fixed-concurrency-levels", "2", "--init-concurrency", "1", "--workers", "1"],
  ...["--ramp-duration", "600", "--test-duration", "600", "--skip-graphs"],
];

/** A hang lasts for ever; a busy machine is a few seconds late. */
const HANG_MS = 20_000;
const NEVER_MS = 3_600_000;

/** Where a signal finds the run. */
type Place = "probes" | "warm-up" | "period";

function generations(asked: readonly string[]): number {
  return asked.filter((one) => one.startsWith("POST /v1/")).length;
}

async function untilMore(asked: readonly string[], least: number): Promise<void> {
  for (let tries = 0; generations(asked) < least; tries++) {
    assert.ok(tries < 6000, `${generations(asked)} of ${least} requests came`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function untilPlace(place: Place, asked: readonly string[], out: string): Promise<void> {
  if (place === "probes") await untilMore(asked, 3);
  // Written when the server is known and cold, just before the first warm-up.
  else if (place === "warm-up") await untilFile(out, "run.json", `"cold"`);
  else await untilFile(out, "phase_metadata_", "WARMUP");
  await untilMore(asked, generations(asked) + 2);
}

/** How a run ended that got the signals when it was there. */
async function endedAfter(
  reached: (asked: readonly string[], out: string) => Promise<void>,
  signals: readonly ("SIGINT" | "SIGTERM")[],
  lies: Lies,
) {
  return await withTempDir(async (out) => {
    await using server = startLyingServer(lies);
    const [program = "", ...words] = await commandUnderTest();
    const args = [...words, ...LONG, "--api-endpoint", server.url, "--output-dir", out];
    const child = new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).spawn();
    const output = child.output();
    let hung: ReturnType<typeof setTimeout> | undefined;
    try {
      await reached(server.state.asked, out);
      for (const [index, signal] of signals.entries()) {
        // Signals that come together are one press of Ctrl-C.
        if (index > 0) await new Promise((resolve) => setTimeout(resolve, 500));
        child.kill(signal);
      }
    } finally {
      hung = setTimeout(() => child.kill("SIGKILL"), HANG_MS);
    }
    const { code, signal, stderr } = await output;
    clearTimeout(hung);
    const said = new TextDecoder().decode(stderr);
    assert.equal(signal, null, `it had to be killed\n${said}`);
    assert.equal(code, EXIT_CODES.interrupted.code, said);
  });
}

for (const place of ["probes", "warm-up", "period"] as const) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.test(`${signal} in the ${place} is obeyed where the server counts 1e300 output tokens`, async () => {
      const msPerToken = place === "period" ? 0.02 : 0.4;
      await endedAfter(
        (asked, out) => untilPlace(place, asked, out),
        [signal],
        { outputTokens: () => 1e300, msPerToken },
      );
    });
  }
}

Deno.test("one signal ends a probe that is never answered, a second one requests in flight", async () => {
  for (const [answered, signals] of [[4, ["SIGINT"]], [60, ["SIGTERM", "SIGTERM"]]] as const) {
    let came = 0;
    await endedAfter(
      async () => {
        for (let tries = 0; came <= answered; tries++) {
          assert.ok(tries < 6000, `${came} of ${answered} requests came`);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      },
      signals,
      { waitsFor: () => came++ < answered ? 1 : NEVER_MS, msPerToken: 1 },
    );
  }
});
