import assert from "node:assert/strict";
import { type ClientEvidence, clientLimits } from "./client_limit.ts";

const CALM: ClientEvidence = { client: { retries: 0 }, launched: 100, ttftP95Ms: 200, cores: 2 };

Deno.test("clientLimits() finds nothing where nothing is known or wrong", () => {
  assert.deepEqual(clientLimits(CALM), []);
});

Deno.test("clientLimits() names each reason just beyond its bound, and not at it", () => {
  const client = (change: Partial<ClientEvidence["client"]>) => ({
    ...CALM,
    client: { retries: 0, ...change },
  });
  const table: [ClientEvidence, ClientEvidence, RegExp][] = [
    [client({ eventLoopLagP99Ms: 4 }), client({ eventLoopLagP99Ms: 4.1 }), /event-loop lag/],
    [{ ...CALM, dueToSentP99Ms: 4 }, { ...CALM, dueToSentP99Ms: 4.1 }, /delay before sending/],
    [{ ...CALM, idleShare: 0.02 }, { ...CALM, idleShare: 0.021 }, /stood idle for 2.1 %/],
    [client({ cpuCores: 1.79 }), client({ cpuCores: 1.8 }), /client CPU 1.80 of 2 cores/],
    [
      client({ connectionsOpened: 2 }),
      client({ connectionsOpened: 3 }),
      /3 of 100 requests opened/,
    ],
    [client({ retries: 2 }), client({ retries: 3 }), /3 of 100 requests were retries/],
  ];
  for (const [within, beyond, expected] of table) {
    assert.deepEqual(clientLimits(within), []);
    const reasons = clientLimits(beyond);
    assert.equal(reasons.length, 1);
    assert.match(reasons[0] ?? "", expected);
  }
});

Deno.test("clientLimits() gives lag a floor of 1 ms, however short the TTFT is", () => {
  const short = { ...CALM, ttftP95Ms: 10 };
  assert.deepEqual(clientLimits({ ...short, client: { retries: 0, eventLoopLagP99Ms: 1 } }), []);
  assert.equal(
    clientLimits({ ...short, client: { retries: 0, eventLoopLagP99Ms: 1.1 } }).length,
    1,
  );
});

Deno.test("clientLimits() does not judge lag without a TTFT, nor CPU without cores", () => {
  const { ttftP95Ms: _t, cores: _c, ...bare } = CALM;
  const client = { retries: 0, eventLoopLagP99Ms: 500, cpuCores: 64 };
  assert.deepEqual(clientLimits({ ...bare, client }), []);
});
