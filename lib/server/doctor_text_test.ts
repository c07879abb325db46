import assert from "node:assert/strict";
import type { DoctorReport } from "./doctor.ts";
import { doctorText } from "./doctor_text.ts";
import type { ServerTier } from "./facts.ts";

function textOf(...tiers: readonly ServerTier[]): string {
  const report = {
    facts: { engine: "vllm", api: "chat", evidence: {}, notes: [], tiers },
    roundTrip: { medianMs: 1, minMs: 1, samples: 7 },
    overhead: { beforeTokens: 0, afterTokens: 0, evidence: "" },
    caching: { works: "yes", evidence: "", prompts: 3, reportedCachedTokens: [] },
    block: { evidence: "" },
    checks: [],
    missing: [],
  } as unknown as DoctorReport;
  return doctorText(report);
}

Deno.test("doctorText() tells the capacity of a tier in the unit that the server states", () => {
  const evidence = "cache_config_info";
  const text = textOf(
    { name: "HBM", capacityBytes: 2 ** 34, evidence },
    { name: "DRAM", capacityBytes: 40 * 2 ** 30, evidence },
    { name: "SSD", capacityTokens: 5000, capacityBytes: 1, evidence },
  );
  assert.match(text, /^HBM capacity +16 GiB \(cache_config_info\)$/m);
  assert.match(text, /^DRAM capacity +40 GiB \(cache_config_info\)$/m);
  assert.match(text, /^SSD capacity +5,000 tokens \(cache_config_info\)$/m);
  assert.match(textOf({ name: "DRAM", evidence }), /^DRAM capacity +not stated$/m);
});
