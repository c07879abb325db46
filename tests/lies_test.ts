/**
 * The table of lies of `docs/proof.md`: what kvmark says of a server that reuses 50 % (or nothing)
 * and tells the truth or not by usage, by its counters and by its times, and of counts that cannot
 * be true.
 */

import assert from "node:assert/strict";
import { cacheRate } from "./support/cache_rate_run.ts";
import { type Lies, startLyingServer } from "./support/lying_server.ts";

/** The page, without what aligns its tables. */
const TABLE = Deno.readTextFileSync(new URL("../docs/proof.md", import.meta.url))
  .replaceAll(/ +/g, " ");
const SIZE = ["--ramp-duration", "1.2", "--test-duration", "1.2"];

async function judged(lies: Lies, args: readonly string[] = ["--cache-hit-rates", "0", "50"]) {
  await using server = startLyingServer(lies);
  const run = await cacheRate(server.url, [...SIZE, ...args]);
  assert.ok(run.rows.length > 0, run.stderr);
  const row = run.rows.at(-1)!;
  assert.ok(Number(row["total_requests"]) >= 8, run.stderr);
  return { run, row };
}

/** True: says what is so. Of a server that reuses 50 % a lie is to say nothing is reused. */
function reusing(usage: boolean, counters: boolean, ttft: boolean): Lies {
  return {
    ...(usage ? {} : { cachedTokens: () => 0 }),
    ...(counters ? {} : { hits: () => 0 }),
    ...(ttft ? {} : { waitsFor: (_: number, promptTokens: number) => promptTokens }),
  };
}

/** Of a server that reuses nothing a lie is to say that 50 % is reused. */
function computing(usage: boolean, counters: boolean, ttft: boolean): Lies {
  return {
    caches: false,
    ...(usage ? {} : { cachedTokens: (_, promptTokens) => promptTokens / 2, only: 512 }),
    ...(counters ? {} : { hits: (_, queries) => queries / 2 }),
    ...(ttft ? {} : { waitsFor: (computed) => computed / 2 }),
  };
}

const CASES: readonly (readonly [boolean, boolean, boolean])[] = [
  [true, true, true],
  [true, true, false],
  [true, false, true],
  [false, true, true],
  [false, true, false],
  [true, false, false],
  [false, false, true],
  [false, false, false],
];

const REUSING: readonly (readonly [string, string, RegExp])[] = [
  ["confirmed", "as-intended", /counters say 50 %/],
  ["confirmed", "as-intended", /TTFT contradicts them/],
  ["differs", "counter-lies", /usage and TTFT agree, and counters contradict/],
  ["differs", "counter-lies", /the counters and TTFT agree, and usage contradicts/],
  ["differs", "counter-lies", /usage and TTFT agree, and counters contradict/],
  ["differs", "counter-lies", /the counters and TTFT agree, and usage contradicts/],
  ["differs", "contradiction", /Usage and the server's counters say 0 %, but TTFT is/],
  ["differs", "caching-off", /./],
];

Deno.test("a server that reuses 50 %: usage, counters and TTFT each true or false", async () => {
  for (const [n, [usage, counters, ttft]] of CASES.entries()) {
    const { row, run } = await judged(reusing(usage, counters, ttft));
    const [verdict, code, cause] = REUSING[n]!;
    const name = `${usage} ${counters} ${ttft}: ${row["hit_rate_cause"]}\n${run.stderr}`;
    assert.deepEqual([row["hit_rate_verdict"], row["hit_rate_cause_code"]], [verdict, code], name);
    assert.match(row["hit_rate_cause"] ?? "", cause, name);
    // What rests on a count that is contradicted is no figure.
    const isBelieved = code === "as-intended" || code === "caching-off";
    assert.equal(row["reused_tokens_per_sec"] !== "", isBelieved, name);
    const line = [usage, counters, ttft, verdict, `\`${code}\``].join(" | ");
    assert.ok(TABLE.includes(`| ${line} | `), `docs/proof.md has no | ${line} |`);
  }
});

Deno.test("a server that reuses nothing and says 50 %, by usage, counters or both", async () => {
  const only = ["--cache-hit-rates", "50"];
  const verdictOf = async (usage: boolean, counters: boolean) => {
    const { row } = await judged(computing(usage, counters, true), only);
    return `${row["hit_rate_verdict"]} ${row["hit_rate_cause_code"]}: ${row["hit_rate_cause"]}`;
  };
  assert.match(await verdictOf(true, true), /^differs caching-off/);
  assert.match(await verdictOf(false, true), /^differs counter-lies.*Usage says 50 %.* 0 %/);
  assert.match(await verdictOf(true, false), /^differs counter-lies.*Usage says 0 %.* 50 %/);
});

interface WrongCount {
  readonly lies: Lies;
  readonly breach: RegExp;
  readonly verdict: string;
  readonly absent: readonly string[];
}

const PROMPT_FIGURES = ["input_tokens_per_sec", "computed_tokens_per_sec", "observed_hit_rate"];

const WRONG: readonly WrongCount[] = [
  ...[
    9e15,
    0,
    -1,
    0.5,
    492,
    532,
    812,
  ].map((count): WrongCount => ({
    lies: { promptTokens: () => count, only: 512 },
    breach: new RegExp(`^prompt:${count}$`),
    verdict: "differs count-breach",
    absent: PROMPT_FIGURES,
  })),
  ...[1e300, 100_000, 0].map((count): WrongCount => ({
    lies: { outputTokens: () => count, only: 512 },
    breach: new RegExp(`^output:${String(count).replace("+", "\\+")}$`),
    verdict: "confirmed as-intended",
    absent: [],
  })),
  {
    lies: { cachedTokens: () => 1e15, only: 512 },
    breach: /^cached:1000000000000000$/,
    verdict: "differs count-breach",
    absent: ["observed_hit_rate", "reused_tokens_per_sec"],
  },
];

Deno.test("counts that cannot be true are named in rows and verdict, and no figure rests on them", async () => {
  for (const { lies, breach, verdict, absent } of WRONG) {
    const args = ["--cache-hit-rates", "50"];
    const { row, run } = await judged({ ...lies, msPerToken: 0.02 }, args);
    const name = `${breach}: ${row["hit_rate_cause"]}`;
    const text = breach.source.replaceAll(/[\\^$]/g, "");
    assert.ok(TABLE.includes(`\`${text}\``), `docs/proof.md has no ${text}`);
    assert.equal(`${row["hit_rate_verdict"]} ${row["hit_rate_cause_code"]}`, verdict, name);
    assert.ok(run.details.length >= 8);
    for (const one of run.details) assert.match(one["count_breach"] ?? "", breach);
    assert.equal(row["count_breach_requests"], row["total_requests"], name);
    assert.match(row["count_breaches"] ?? "", breach);
    for (const figure of absent) assert.equal(row[figure], "", `${name}: ${figure}`);
    // 2 tokens were asked for, and 2 chunks came.
    const ratio = Number(row["output_tokens_per_sec"]) * Number(row["test_duration"]) /
      Number(row["total_requests"]);
    assert.ok(ratio > 1 && ratio <= 2.01, `${name}: ${ratio}`);
  }
});

Deno.test("half of the output that was asked for is a warning, a column and a mark", async () => {
  const lies: Lies = { makes: (asked) => Math.ceil(asked / 2), msPerToken: 0.02 };
  const { row, run } = await judged(lies, ["--cache-hit-rates", "50"]);
  assert.equal(row["output_not_as_asked"], row["total_requests"], run.stderr);
  assert.match(run.stderr, /warning: 512_50: (\d+) of \1 answers are not as long as was asked for/);
  const honest = await judged({ msPerToken: 0.02 }, ["--cache-hit-rates", "50"]);
  assert.equal(honest.row["output_not_as_asked"], "", honest.run.stderr);
  assert.doesNotMatch(honest.run.stderr, /as was asked for|cannot be true|not ours/);
});
