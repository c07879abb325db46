import assert from "node:assert/strict";
import type { CellContext } from "./cell.ts";
import { residencyAfter } from "./residency.ts";
import { workingSetCapacityTokens } from "./sent_requests.ts";

function after(resident: number | undefined, capacity: number | undefined, workingSet: number) {
  const tiers = [{ name: "HBM", evidence: "", ...(capacity && { capacityTokens: capacity }) }];
  const context = {
    watch: { residentTokens: () => resident },
    session: { facts: [{ tiers }] },
  } as unknown as Pick<CellContext, "watch" | "session">;
  return residencyAfter(context, workingSet);
}

Deno.test("residencyAfter() goes by the gauges, else by stated sizes, else says nothing", () => {
  assert.deepEqual(after(30_000, 1, 40_000), {
    tokens: 30_000,
    note: "by the server's gauges 30,000 tokens are resident, at most 75 % of the working set",
  });
  assert.deepEqual(after(50_000, 1, 40_000), { tokens: 50_000 });
  assert.deepEqual(after(undefined, 10_000, 40_000), {
    note: "the server states room for 10,000 tokens, at most 25 % of the working set",
  });
  assert.deepEqual(after(undefined, 50_000, 40_000), {});
  assert.deepEqual(after(undefined, undefined, 40_000), {});
});

Deno.test("workingSetCapacityTokens() is the sum of pinned endpoints, and the least of those in turn", () => {
  const server = (...tiers: (number | undefined)[]) => ({
    tiers: tiers.map((capacityTokens) => ({
      ...{ name: "HBM", evidence: "" } as const,
      ...(capacityTokens === undefined ? {} : { capacityTokens }),
    })),
  });
  const two = [server(50_000, 10_000), server(40_000)];
  assert.equal(workingSetCapacityTokens(two, "pinned"), 100_000);
  assert.equal(workingSetCapacityTokens(two, "round-robin"), 40_000);
  for (const selection of ["pinned", "round-robin"] as const) {
    assert.equal(workingSetCapacityTokens([server(50_000)], selection), 50_000);
    assert.equal(
      workingSetCapacityTokens([server(50_000), server(undefined)], selection),
      undefined,
    );
    assert.equal(workingSetCapacityTokens([server(1), {}], selection), undefined);
  }
});
