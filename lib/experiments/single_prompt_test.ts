import assert from "node:assert/strict";
import { doublingSizes, sizeRows } from "./single_prompt.ts";

Deno.test("doublingSizes() doubles from the smallest as far as the largest", () => {
  assert.deepEqual(doublingSizes(1000, 9000), [1000, 2000, 4000, 8000]);
  assert.deepEqual(doublingSizes(8000, 8000), [8000]);
  assert.deepEqual(doublingSizes(9000, 8000), []);
});

Deno.test("sizeRows() counts each size and takes the worst verdict", () => {
  const row = (context: number, hitVerdict: string, error = "") => ({
    context_size: context,
    prompt_type: "unique",
    iteration: 0,
    ...(error === "" ? { ttft: 1, hit_verdict: hitVerdict } : { error_kind: error }),
  });
  assert.deepEqual(
    sizeRows([
      row(1, "confirmed"),
      row(1, "differs"),
      row(2, "", "timeout"),
      row(2, "", "timeout"),
    ]),
    [
      { context_size: 1, total_requests: 2, failed_requests: 0, hit_rate_verdict: "differs" },
      { context_size: 2, total_requests: 0, failed_requests: 2, failure_kinds: "timeout" },
    ],
  );
});
