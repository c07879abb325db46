import assert from "node:assert/strict";
import { denoHost } from "../lib/host.ts";
import { progressListener } from "./_progress.ts";

Deno.test("progressListener() tells the time for the cells that remain, by the cells of this attempt", () => {
  const host = denoHost(import.meta.url);
  let nowMs = 500_000;
  const lines: string[] = [];
  using progress = progressListener({
    ...host,
    clock: { ...host.clock, nowMs: () => nowMs },
    stderr: { isTerminal: false, columns: () => 80, write: (text) => void lines.push(text) },
  }, { quiet: false });
  const start = (index: number, remaining: number) =>
    progress.cellStarted?.({ cellId: `${index}`, title: "t", index, count: 12, remaining });
  // Eight cells were finished before this attempt.
  start(9, 4);
  nowMs += 60_000;
  start(10, 3);
  nowMs += 30_000;
  // The cell in between had been finished too.
  start(12, 1);
  assert.deepEqual(lines.map((line) => line.trim()), [
    "cell 9 of 12: t",
    "cell 10 of 12: t (about 3m 0s to go)",
    "cell 12 of 12: t (about 45 s to go)",
  ]);
});
