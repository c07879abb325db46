/**
 * Does the tier map find the capacity of caches that are known? One line for each run of
 * tests/support/known_capacity.ts; the table of docs/tier-map.md.
 *
 *     deno run scripts/known_capacities.ts [seeds]
 *
 * @module
 */

import { buildTierMap } from "../lib/tiers/tier_map.ts";
import { formatShort } from "../lib/units.ts";
import { knownCapacityRun } from "../tests/support/known_capacity.ts";

const seeds = Number(Deno.args[0] ?? 3);
console.log("| capacity | access | load | seed | found | interval | error | recompute |");
console.log("| ---: | --- | --- | ---: | ---: | --- | ---: | --- |");
for (const capacityTokens of [500_000, 1_700_000, 3_000_000, Infinity]) {
  for (const order of ["random", "cyclic"] as const) {
    for (const load of [1, 8, "sustained"] as const) {
      for (let seed = 1; seed <= seeds; seed++) {
        const map = buildTierMap(knownCapacityRun({ seed, order, capacityTokens, load }));
        const capacity = map.tiers[0]?.capacity;
        const error = capacity?.tokens === undefined
          ? ""
          : `${((capacity.tokens / capacityTokens - 1) * 100).toFixed(1)} %`;
        console.log(
          "| " + [
            formatShort(capacityTokens),
            order,
            load === "sustained" ? load : `c=${load}`,
            seed,
            formatShort(capacity?.tokens),
            capacity === undefined
              ? ""
              : `${formatShort(capacity.low)} to ${formatShort(capacity.high)}`,
            error,
            map.series[0]?.reachesRecompute,
          ].join(" | ") + " |",
        );
      }
    }
  }
}
