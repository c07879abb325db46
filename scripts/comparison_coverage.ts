/**
 * How often do the intervals of a comparison hold the truth, and how often is a difference claimed
 * that is not there? By simulation: a closed loop of 16 requests on a server that serves one at a
 * time, whose speed differs from run to run and from period to period by known amounts.
 *
 *     deno run scripts/comparison_coverage.ts [--trials 1000] [--seed 1]
 *
 * The table of docs/accuracy.md is what it prints. lib/metrics/coverage_test.ts runs a short one.
 *
 * @module
 */

import { parseArgs } from "node:util";
import {
  coverageOf,
  type CoverageResult,
  SCENARIOS,
} from "../tests/support/comparison_coverage.ts";

const { values } = parseArgs({
  options: {
    trials: { type: "string", default: "1000" },
    seed: { type: "string", default: "1" },
  },
});
const trials = Number(values.trials);

console.log(
  "| runs a side | periods | run to run | period to period | figure | false claims | " +
    "coverage of 1.10x | 1.10x found | interval |",
);
console.log("| ---: | --- | ---: | ---: | --- | ---: | ---: | ---: | --- |");
for (const scenario of SCENARIOS) {
  for (const one of coverageOf(scenario, trials, values.seed)) console.log(line(one));
}

function line(result: CoverageResult): string {
  const { scenario: { runs, periods, periodSec, runDeviation, periodDeviation } } = result;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  return "| " + [
    runs,
    `${periods}×${periodSec} s`,
    percent(runDeviation),
    percent(periodDeviation),
    result.metric,
    percent(result.falseClaims),
    percent(result.coverage),
    percent(result.found),
    `±${(result.halfWidth * 100).toFixed(1)} %`,
  ].join(" | ") + " |";
}
