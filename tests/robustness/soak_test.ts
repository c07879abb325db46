import assert from "node:assert/strict";
import { soak } from "../../scripts/soak.ts";

Deno.test("every request is accounted for once, and nothing is left over, whatever the server does", async () => {
  const tally = await soak({
    streams: 24,
    seconds: 1,
    periodSeconds: 1,
    workers: 1,
    seed: "gate",
    // Only what stalls is not done by then.
    timeoutMs: 5000,
    waitForSockets: false,
  });
  assert.ok(tally.requests >= 24 && tally.succeeded > 0, JSON.stringify(tally));
});
