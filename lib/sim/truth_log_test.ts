import assert from "node:assert/strict";
import { formatTruth, parseTruth, type TruthEntry, TruthLog } from "./truth_log.ts";

function entry(number: number): TruthEntry {
  return {
    number,
    requestId: `r${number}`,
    api: "chat",
    stream: true,
    receivedEpochMs: 1_790_000_000_000.1236,
    status: 200,
    cached: { hbm: 16, dram: 0, ssd: 0 },
    chunks: [[1_790_000_000_001.0004, 1], [1_790_000_000_002, 4]],
    outputTokens: 5,
    endedEpochMs: 1_790_000_000_003,
    finish: "length",
    faults: ["crlf"],
  };
}

Deno.test("formatTruth() is one line that parseTruth() reads, to the microsecond", () => {
  const text = formatTruth(entry(1)) + formatTruth(entry(2));
  assert.equal(text.split("\n").length, 3);
  const [first, second] = parseTruth(text);
  assert.equal(first?.receivedEpochMs, 1_790_000_000_000.124);
  assert.deepEqual(first?.chunks, [[1_790_000_000_001, 1], [1_790_000_000_002, 4]]);
  assert.equal(second?.number, 2);
});

Deno.test("TruthLog writes every line once, in order, and no two writes overlap", async () => {
  let written = "";
  let open = 0;
  const log = new TruthLog(async (text) => {
    assert.equal(++open, 1);
    await Promise.resolve();
    written += text;
    open--;
  });
  log.append(entry(0));
  const first = log.flush();
  log.append(entry(1));
  await Promise.all([first, log.flush(), log.flush()]);
  assert.deepEqual(parseTruth(written).map(({ number }) => number), [0, 1]);
});

Deno.test("TruthLog reports a write that failed", async () => {
  const log = new TruthLog(() => Promise.reject(new Error("disk full")));
  log.append(entry(0));
  await assert.rejects(log.flush(), /disk full/);
  await log.flush();
});
