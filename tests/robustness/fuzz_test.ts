import { fuzz } from "../../scripts/fuzz.ts";
import { FUZZ_TARGETS } from "../../scripts/fuzz/targets.ts";

/** Few, and the same every time; `.ci/run` takes 100,000, and docs/robustness.md has the rest. */
const CASES = 60;
const SEED = 8;

for (const target of FUZZ_TARGETS) {
  Deno.test(`fuzz: ${target.name}`, async () => {
    await fuzz(target, { cases: CASES, seed: SEED, seconds: 60 });
  });
}
