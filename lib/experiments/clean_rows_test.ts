import assert from "node:assert/strict";
import { redactorOf } from "../redaction.ts";
import type { RunDir } from "../results/run_dir.ts";
import { cleanText, withCleanRows } from "./clean_rows.ts";

Deno.test("withCleanRows() keeps keys, line breaks and controls of a server out of the files", async () => {
  const rows: unknown[] = [];
  const inner = {
    appendSinglePrompt: (some: readonly unknown[]) => Promise.resolve(void rows.push(...some)),
    finishCell: (_: string, row: unknown) => Promise.resolve(void rows.push(row)),
  } as unknown as RunDir;
  const runDir = withCleanRows(inner, redactorOf({ "x-key": "c2hh/secret" }));
  await runDir.appendSinglePrompt([{ error: "no c2hh%2Fsecret\nhere", ttft: 0.25 }]);
  await runDir.finishCell("1_2", { model: "m\u001b[31m\r\nx", context_size: 1000 });
  assert.deepEqual(rows, [
    { error: "no *** here", ttft: 0.25 },
    { model: "m [31m x", context_size: 1000 },
  ]);
  assert.equal(cleanText((text) => text)("a\u2028b\u0085c"), "a b c");
});
