/**
 * Files of a results folder.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { readRun } from "../../lib/results/read.ts";
import { headerLine, rowLines } from "../../lib/results/csv.ts";
import { takeLock } from "../../lib/results/lock.ts";
import { parseProgress, type Progress, progressText } from "../../lib/results/progress.ts";
import { SUMMARY_COLUMNS } from "../../lib/results/schema.ts";
import { memoryDisk } from "../../lib/results/test_disk.ts";
import { graphsOf } from "../../lib/report/figures.ts";
import { byteEdits, edited, jsonEdited, jsonEdits } from "./mutations.ts";
import { cell, csvBytes } from "./tables.ts";
import { onlyKvmarkErrors, target } from "./target.ts";

const encoder = new TextEncoder();
const PROGRESS: Progress = {
  experiment: "cache-rate",
  version: "0.1.0",
  timestamp: "20260102_030405",
  runSeed: "seed",
  attempt: 2,
  identity: { context_sizes: [100, 200], max_ttft: 2 },
  commits: [{ cell: "100_0", bytes: { "summary_20260102_030405.csv": 100 } }],
};
const PROGRESS_TEXT = progressText(PROGRESS, "2026-01-02T03:04:05.000Z");

function assertProgress(text: string): Promise<void> {
  return onlyKvmarkErrors(["io"], () => {
    const progress = parseProgress(text);
    if (progress === undefined) return;
    assert.equal(typeof progress.runSeed, "string");
    for (const { cell, bytes } of progress.commits) {
      assert.equal(typeof cell, "string");
      for (const [name, length] of Object.entries(bytes)) {
        assert.ok(Number.isSafeInteger(length) && length >= 0, `${name} is ${length} bytes long`);
        assert.ok(!/[/\\]|^\.\.?$/.test(name), `${name} leads out of the folder`);
      }
    }
  });
}

/** Targets. */
export const FILES = [
  target(
    "progress.json: with changed entries",
    jsonEdits,
    (edits) => assertProgress(JSON.stringify(jsonEdited(JSON.parse(PROGRESS_TEXT), edits)) ?? ""),
  ),
  target(
    "progress.json: with changed bytes",
    byteEdits,
    (edits) =>
      assertProgress(new TextDecoder().decode(edited(encoder.encode(PROGRESS_TEXT), edits))),
  ),
  target("lock file: any text", fc.array(fc.oneof(cell, fc.json())), async (lines) => {
    const disk = memoryDisk();
    await disk.files.writeText("out/.kvmark.lock", lines.join("\n"));
    const clock = { nowMs: () => 0, wallMs: () => 0, sleep: () => Promise.resolve() };
    await onlyKvmarkErrors(["io"], async () => {
      const lock = await takeLock({ files: disk.files, clock, dir: "out", pid: 1, nonce: "n" });
      await lock.confirm();
      await lock.release();
    });
  }),
  target(
    "results folder: any damage",
    fc.tuple(csvBytes, byteEdits, jsonEdits, jsonEdits),
    readFolder,
  ),
];

async function readFolder(
  [details, edits, progressEdits, runEdits]: readonly [
    Uint8Array<ArrayBuffer>,
    Parameters<typeof edited>[1],
    Parameters<typeof jsonEdited>[1],
    Parameters<typeof jsonEdited>[1],
  ],
): Promise<void> {
  const disk = memoryDisk();
  const write = (name: string, bytes: Uint8Array) => disk.files.writeBytes(`out/${name}`, bytes);
  const stamp = PROGRESS.timestamp;
  const json = (value: unknown) => encoder.encode(JSON.stringify(value) ?? "");
  const row = { context_size: 100, cache_hit_rate: 50, model: "m", p95_ttft: 0.25 };
  const summary = encoder.encode(headerLine(SUMMARY_COLUMNS) + rowLines(SUMMARY_COLUMNS, [row]));
  await write(`summary_${stamp}.csv`, edited(summary, edits));
  await write(`detailed_results_100_${stamp}.csv`, edited(details, edits));
  await write("progress.json", json(jsonEdited(JSON.parse(PROGRESS_TEXT), progressEdits)));
  const run = {
    experiment: "cache-rate",
    timestamp: stamp,
    endpoints: ["http://x"],
    parameters: { max_ttft: 2 },
    serverFacts: [{ name: "n", value: "yes", evidence: "e" }],
    notes: ["note"],
    kvBytesPerToken: 10,
  };
  await write("run.json", json(jsonEdited(run, runEdits)));
  await onlyKvmarkErrors(["io"], async () => {
    for (const graph of graphsOf(await readRun(disk.files, "out"))) JSON.stringify(graph);
  });
}
