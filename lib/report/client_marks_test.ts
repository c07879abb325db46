import assert from "node:assert/strict";
import { clientMarkText, clientWarnings, isThroughputMarked } from "./client_marks.ts";

const OLD = { client_limited: "yes" };
const TTFT = {
  client_limited: "yes",
  client_marks: "TTFT p95 31 %",
  client_share_throughput_percent: 1,
};
const BOTH = { ...TTFT, client_marks: "throughput 12 %, TTFT p95 31 %" };

Deno.test("a marked TTFT is no mark on the throughput; an old mark may be one", () => {
  assert.deepEqual([OLD, TTFT, BOTH, {}].map(isThroughputMarked), [true, false, true, false]);
  assert.equal(clientMarkText(TTFT), "TTFT p95 31 %");
  assert.equal(clientMarkText({ client_limited: "" }), undefined);
});

Deno.test("clientWarnings() count the figures, the requests left out, and the stopped periods", () => {
  assert.deepEqual(clientWarnings([{}, { client_limited: "" }], [{}]), []);
  const stopped = { unusable: "the client stood still for 8 s of 30 s (…)" };
  const [figures = "", old = "", stalled = "", again = "", ...rest] = clientWarnings(
    [TTFT, BOTH, OLD, { stalled_requests: 7 }],
    [stopped, { unusable: "the server was started again" }],
  );
  assert.match(figures, /^In 2 of 4 cells .*: throughput in 1, TTFT p95 in 2\./);
  assert.match(old, /^In 1 of 4 cells the measuring client may have been the limit/);
  assert.match(stalled, /^7 requests are left out/);
  assert.match(again, /^1 period does not count: .* stopped/);
  assert.deepEqual(rest, []);
});
