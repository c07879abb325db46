/**
 * Feeds damaged and hostile input to every reader (`fuzz/targets.ts`).
 *
 * Usage: `deno task fuzz --cases 100000 --seed 1 --only sse --seconds 900`.
 *
 * A seed and the number of a case make the input again; fast-check prints both, and the smallest
 * input, where a rule is broken.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { FuzzTarget } from "./fuzz/target.ts";
import { FUZZ_TARGETS } from "./fuzz/targets.ts";

/** What became of one target. */
export interface FuzzResult {
  readonly name: string;
  readonly cases: number;
  readonly seed: number;
  readonly seconds: number;
  /** Memory that is still held after the cases, where the engine can be asked to collect it. */
  readonly grownBytes: number | undefined;
}

/** Cases between two looks at the clock. */
const BATCH = 5000;
/** A reader that keeps more than this is taken for a leak. */
const MOST_GROWTH_BYTES = 64 * 2 ** 20;

/**
 * Runs cases against one target, until there are enough or the time is over.
 *
 * @throws {Error} At the first case that breaks a rule, and if memory grew without end.
 */
export async function fuzz(
  target: FuzzTarget,
  options: { readonly cases: number; readonly seed: number; readonly seconds: number },
): Promise<FuzzResult> {
  const startAtMs = performance.now();
  const elapsed = () => (performance.now() - startAtMs) / 1000;
  const before = heapBytes();
  let cases = 0;
  // Each batch has a seed of its own, so that a longer run goes on where a shorter one ended.
  for (let batch = 0; cases < options.cases && elapsed() < options.seconds; batch++) {
    const numRuns = Math.min(BATCH, options.cases - cases);
    await target.run({ seed: options.seed + batch, numRuns });
    cases += numRuns;
  }
  const after = heapBytes();
  const grownBytes = before === undefined || after === undefined ? undefined : after - before;
  if ((grownBytes ?? 0) > MOST_GROWTH_BYTES) {
    throw new Error(`${target.name}: ${grownBytes} bytes are still held after ${cases} cases`);
  }
  return { name: target.name, cases, seed: options.seed, seconds: elapsed(), grownBytes };
}

function heapBytes(): number | undefined {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) return undefined;
  gc();
  return Deno.memoryUsage().heapUsed;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "100000" },
      seconds: { type: "string", default: "3600" },
      seed: { type: "string", default: "1" },
      only: { type: "string", default: "" },
    },
  });
  const targets = FUZZ_TARGETS.filter(({ name }) => name.startsWith(values.only));
  let cases = 0;
  for (const target of targets) {
    const result = await fuzz(target, {
      cases: Math.ceil(Number(values.cases) / targets.length),
      seconds: Number(values.seconds) / targets.length,
      seed: Number(values.seed),
    });
    cases += result.cases;
    const grown = result.grownBytes === undefined
      ? ""
      : `, ${Math.round(result.grownBytes / 1024)} KiB held`;
    console.log(
      `${result.name}: ${result.cases} cases, seeds from ${result.seed}, ` +
        `${result.seconds.toFixed(1)} s${grown}`,
    );
  }
  console.log(`${cases} cases, nothing found`);
}
