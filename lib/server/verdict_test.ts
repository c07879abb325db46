import assert from "node:assert/strict";
import fc from "fast-check";
import { type HitEvidence, judgeHitRate } from "./verdict.ts";

/** 50 % of 4000 tokens in chunks of 256, blocks of 16: 1792 tokens = 44.8 %. */
const GOOD: HitEvidence = {
  nominalPercent: 50,
  achievablePercent: 44.8,
  reportedPercent: 44.8,
  requests: 40,
  promptTokens: 4000,
  blockTokens: 16,
  chunkTokens: 256,
  engine: "vllm",
  prefixCaching: "yes",
  cachedTokens: "yes",
};

/** TTFT against a cold one, known within 2 %. */
function timed(ratio: number, coldMs = 1000): Pick<HitEvidence, "ttft"> {
  return { ttft: { ratio, low: 0.98 * ratio, high: 1.02 * ratio, coldMs } };
}

function judge(changes: Partial<HitEvidence>) {
  return judgeHitRate({ ...GOOD, ...changes });
}

function without(...names: readonly (keyof HitEvidence)[]): HitEvidence {
  const left = Object.entries(GOOD).filter(([name]) =>
    !(names as readonly string[]).includes(name)
  );
  return Object.fromEntries(left) as unknown as HitEvidence;
}

function outcome({ verdict, causeCode }: ReturnType<typeof judgeHitRate>) {
  return [verdict, causeCode];
}

Deno.test("judgeHitRate() confirms what agrees within one block per request, not more", () => {
  for (const reportedPercent of [44.8, 44.4, 45.2]) {
    assert.deepEqual(outcome(judge({ reportedPercent })), ["confirmed", "as-intended"]);
  }
  assert.equal(judge({ reportedPercent: 44.3 }).verdict, "differs");
  assert.equal(judge({ reportedPercent: 45.3 }).verdict, "differs");
});

Deno.test("judgeHitRate() says how far the chunks are from the nominal rate", () => {
  assert.match(judge({}).notes.join(), /256 tokens and blocks of 16 make 44.8 % of 50 %/);
  assert.deepEqual(judge({ nominalPercent: 45 }).notes, []);
});

Deno.test("judgeHitRate() names caching that is off", () => {
  const off = { reportedPercent: 0, prefixCaching: "no" } as const;
  assert.deepEqual(outcome(judge(off)), ["differs", "caching-off"]);
  const unknown = { reportedPercent: 0, prefixCaching: "unknown" } as const;
  assert.deepEqual(outcome(judge(unknown)), ["differs", "caching-off"]);
});

Deno.test("judgeHitRate() names the flag that is missing", () => {
  const found = judgeHitRate({
    ...without("reportedPercent"),
    cachedTokens: "no",
    enableCachedTokens: "start vLLM with --enable-prompt-tokens-details",
  });
  assert.deepEqual(outcome(found), ["unchecked", "flag-missing"]);
  assert.match(found.cause, /--enable-prompt-tokens-details/);
});

Deno.test("judgeHitRate() cannot check a server that says nothing, or a cell without requests", () => {
  const silent = { ...without("reportedPercent"), cachedTokens: "no" } as const;
  assert.deepEqual(outcome(judgeHitRate(silent)), ["unchecked", "no-source"]);
  assert.deepEqual(outcome(judge({ requests: 0 })), ["unchecked", "no-source"]);
});

Deno.test("judgeHitRate() takes the counters where usage says nothing", () => {
  const counters = { ...without("reportedPercent"), counterPercent: 44.7 };
  const found = judgeHitRate(counters);
  assert.deepEqual([...outcome(found), found.observedBy], ["confirmed", "as-intended", "counters"]);
});

Deno.test("judgeHitRate() does not take counters that saw other traffic", () => {
  const counters = {
    ...without("reportedPercent"),
    counterPercent: 44.8,
    counterPromptTokens: 300_000,
    sentPromptTokens: 160_000,
  };
  assert.deepEqual(outcome(judgeHitRate(counters)), ["unchecked", "other-traffic"]);
  const edge = { ...counters, counterPromptTokens: 163_000 };
  assert.equal(judgeHitRate(edge).verdict, "confirmed");
});

Deno.test("judgeHitRate() blames other traffic for a deficit that it can explain", () => {
  const found = judge({
    reportedPercent: 20,
    counterPromptTokens: 300_000,
    sentPromptTokens: 160_000,
  });
  assert.deepEqual(outcome(found), ["differs", "other-traffic"]);
});

Deno.test("judgeHitRate() confirms by usage in spite of other traffic, and says so", () => {
  const found = judge({
    counterPercent: 80,
    counterPromptTokens: 300_000,
    sentPromptTokens: 160_000,
  });
  assert.equal(found.verdict, "confirmed");
  assert.match(found.notes.join(), /Another client/);
});

Deno.test("judgeHitRate() does not take counters that count twice, and does not call them traffic", () => {
  const twice = {
    counterPercent: 70,
    counterQueryTokens: 400_000,
    counterPromptTokens: 160_000,
    sentPromptTokens: 160_000,
  };
  assert.deepEqual(outcome(judgeHitRate({ ...without("reportedPercent"), ...twice })), [
    "unchecked",
    "known-counter-fault",
  ]);
  const found = judge(twice);
  assert.deepEqual(outcome(found), ["confirmed", "as-intended"]);
  assert.match(found.notes.join(), /#48860/);
});

Deno.test("judgeHitRate() names eviction, by the LRU model or by the sizes", () => {
  const modelled = judge({
    reportedPercent: 3,
    theoreticalPercent: 2,
    workingSetTokens: 100_000,
    capacityTokens: 90_000,
  });
  assert.deepEqual(outcome(modelled), ["differs", "eviction"]);
  assert.match(modelled.cause, /100,000 .* 90,000.*LRU .* 2 %/);
  const sizes = judge({ reportedPercent: 3, workingSetTokens: 100_000, capacityTokens: 90_000 });
  assert.deepEqual(outcome(sizes), ["differs", "eviction"]);
  const silent = judge({ reportedPercent: 3, workingSetTokens: 100_000 });
  assert.deepEqual(outcome(silent), ["differs", "eviction"]);
});

Deno.test("judgeHitRate() names a warm-up that failed, where the set fits and the model agrees", () => {
  const failed = { failedWarmUps: 8, workingSetTokens: 4096, capacityTokens: 100_000 };
  const found = judge({ ...failed, reportedPercent: 30, theoreticalPercent: 30 });
  assert.deepEqual(outcome(found), ["differs", "not-warmed"]);
  assert.match(found.cause, /^The warm-up of 8 prompts failed/);
  const evicted = judge({ ...failed, workingSetTokens: 200_000, reportedPercent: 30 });
  assert.deepEqual(outcome(evicted), ["differs", "eviction"]);
  const other = judge({ ...failed, reportedPercent: 10, theoreticalPercent: 44.8 });
  assert.notEqual(other.causeCode, "not-warmed");
});

Deno.test("judgeHitRate() does not blame eviction when the cache is large enough", () => {
  const found = judge({ reportedPercent: 20, workingSetTokens: 10_000, capacityTokens: 90_000 });
  assert.deepEqual(outcome(found), ["differs", "unexplained"]);
});

Deno.test("judgeHitRate() prefers the LRU model to the sizes: other text occupies room as well", () => {
  const found = judge({
    reportedPercent: 20,
    theoreticalPercent: 21,
    workingSetTokens: 80_000,
    capacityTokens: 90_000,
  });
  assert.deepEqual(outcome(found), ["differs", "eviction"]);
});

Deno.test("judgeHitRate() names blocks larger than stated", () => {
  // 1792 shared tokens in steps of 544: 1632 = 40.8 %.
  const found = judge({ reportedPercent: 40.8, cachedTokensGcd: 544 });
  assert.deepEqual(outcome(found), ["differs", "block-rounding"]);
  assert.match(found.cause, /steps of 544 tokens: of 1792 shared tokens 1632/);
});

Deno.test("judgeHitRate() takes eviction for the cause where the LRU model says what was seen", () => {
  // Seen on vLLM: of each prompt the half was left that the cell before had asked for.
  const found = judge({
    nominalPercent: 100,
    achievablePercent: 93.75,
    reportedPercent: 50,
    theoreticalPercent: 50,
    promptTokens: 2048,
    blockTokens: 128,
    cachedTokensGcd: 1024,
    workingSetTokens: 65_536,
    capacityTokens: 39_936,
  });
  assert.deepEqual(outcome(found), ["differs", "eviction"]);
});

Deno.test("judgeHitRate() does not take a common divisor for a block where it explains nothing", () => {
  const evicted = judge({ reportedPercent: 22.4, cachedTokensGcd: 1792 });
  assert.deepEqual(outcome(evicted), ["differs", "unexplained"]);
});

Deno.test("judgeHitRate() allows for a block that is not stated, and names it beyond that", () => {
  const unstated = without("blockTokens");
  assert.equal(judgeHitRate({ ...unstated, reportedPercent: 43.3 }).verdict, "confirmed");
  assert.deepEqual(outcome(judgeHitRate({ ...unstated, reportedPercent: 40 })), [
    "differs",
    "block-rounding",
  ]);
});

Deno.test("judgeHitRate() names the template, where the excess is no larger", () => {
  const cold = { nominalPercent: 0, achievablePercent: 0, overheadBeforeTokens: 40 };
  assert.deepEqual(outcome(judge({ ...cold, reportedPercent: 0.8 })), [
    "differs",
    "template-tokens",
  ]);
  assert.equal(judge({ ...cold, reportedPercent: 10 }).causeCode, "counter-lies");
});

Deno.test("judgeHitRate() names a count that exceeds what is possible", () => {
  assert.deepEqual(outcome(judge({ reportedPercent: 99 })), ["differs", "counter-lies"]);
  assert.deepEqual(outcome(judge({ reportedPercent: 180 })), ["differs", "counter-lies"]);
  const byCounters = judge({ reportedPercent: 99, counterPercent: 44.8 });
  assert.match(byCounters.cause, /own counters say 44.8 %/);
});

Deno.test("judgeHitRate() lets TTFT tell a lie from a prompt that was known", () => {
  const times = { reportedPercent: 95 };
  const slow = judge({ ...times, ...timed(0.56) });
  assert.deepEqual(outcome(slow), ["differs", "counter-lies"]);
  const fast = judge({ ...times, ...timed(0.08) });
  assert.deepEqual(outcome(fast), ["differs", "not-unique"]);
});

Deno.test("judgeHitRate() names a known prompt where usage and counters agree on too much", () => {
  const found = judge({ reportedPercent: 95, counterPercent: 94.8 });
  assert.deepEqual(outcome(found), ["differs", "not-unique"]);
});

Deno.test("judgeHitRate() does not confirm usage that the counters contradict", () => {
  assert.deepEqual(outcome(judge({ counterPercent: 2 })), ["differs", "counter-lies"]);
  assert.equal(judge({ counterPercent: 41 }).verdict, "confirmed");
});

Deno.test("judgeHitRate() does not confirm reuse that costs as much time as none", () => {
  const found = judge(timed(1.01));
  assert.deepEqual(outcome(found), ["differs", "counter-lies"]);
  assert.equal(judge(timed(0.56)).verdict, "confirmed");
});

Deno.test("judgeHitRate() believes two witnesses in spite of the times, and tells these", () => {
  const found = judge({ ...timed(1.01), counterPercent: 44.8 });
  assert.deepEqual(outcome(found), ["confirmed", "as-intended"]);
  assert.match(found.cause, /TTFT contradicts them: it is 101 % of a cold one/);
});

Deno.test("judgeHitRate() reads nothing from times that are too short to tell", () => {
  assert.equal(judge(timed(1, 12)).verdict, "confirmed");
});

Deno.test("judgeHitRate() does not take counters that hold only a part of the requests", () => {
  const part = {
    counterPercent: 10,
    counterPromptTokens: 80_000,
    answeredPromptTokens: 160_000,
    sentPromptTokens: 160_000,
  };
  const byUsage = judge(part);
  assert.deepEqual(outcome(byUsage), ["confirmed", "as-intended"]);
  assert.match(byUsage.notes.join(), /only a part of the requests/);
  const alone = judgeHitRate({ ...without("reportedPercent"), ...part });
  assert.deepEqual(outcome(alone), ["unchecked", "no-source"]);
  assert.match(alone.cause, /--metrics-url/);
});

Deno.test("judgeHitRate() does not confirm a count that was disproved", () => {
  const found = judge({ cachedTokensDisproved: true });
  assert.deepEqual(outcome(found), ["differs", "counter-lies"]);
});

const percent = fc.double({ min: 0, max: 110, noNaN: true });
function maybe<T>(value: fc.Arbitrary<T>) {
  return fc.option(value, { nil: undefined });
}

Deno.test("judgeHitRate() confirms only within its tolerance, and says which rate it took", () => {
  const changes = fc.record({
    achievablePercent: fc.double({ min: 0, max: 100, noNaN: true }),
    reportedPercent: maybe(percent),
    counterPercent: maybe(percent),
    theoreticalPercent: maybe(percent),
    cachedTokensGcd: maybe(fc.integer({ min: 1, max: 4096 })),
    ttft: maybe(fc.record({
      ratio: fc.double({ min: 0.01, max: 4, noNaN: true }),
      low: fc.double({ min: 0.01, max: 4, noNaN: true }),
      high: fc.double({ min: 0.01, max: 4, noNaN: true }),
      coldMs: fc.double({ min: 1, max: 1e4, noNaN: true }),
    })),
    workingSetTokens: maybe(fc.nat()),
    capacityTokens: maybe(fc.nat()),
    counterPromptTokens: maybe(fc.nat()),
    sentPromptTokens: maybe(fc.nat()),
    blockTokens: maybe(fc.integer({ min: 1, max: 600 })),
    requests: fc.nat(3),
  });
  fc.assert(fc.property(changes, (given) => {
    const known = Object.entries({ ...GOOD, ...given })
      .filter(([, value]) => value !== undefined);
    const found = judgeHitRate(Object.fromEntries(known) as unknown as HitEvidence);
    assert.notEqual(found.cause, "");
    if (found.verdict === "confirmed") {
      const deviation = Math.abs((found.observedPercent ?? NaN) - given.achievablePercent);
      assert.ok(deviation <= found.tolerancePercent);
    }
    const source = found.observedBy === "usage" ? given.reportedPercent : given.counterPercent;
    if (found.observedBy !== undefined) assert.equal(found.observedPercent, source);
    else assert.equal(found.verdict, "unchecked");
  }));
});

Deno.test("judgeHitRate() hears usage, counters and TTFT, and none of them decides alone", () => {
  /** What a server that reuses 50 % is told to say: 50 % or nothing. */
  const heard = (usage: boolean, counters: boolean, ttft: boolean) =>
    judge({
      nominalPercent: 50,
      achievablePercent: 50,
      reportedPercent: usage ? 50 : 0,
      counterPercent: counters ? 50 : 0,
      prefixCaching: usage || counters ? "yes" : "no",
      ...timed(ttft ? 0.52 : 1),
    });
  const cases: [boolean, boolean, boolean, string, string, RegExp][] = [
    [true, true, true, "confirmed", "as-intended", /counters say 50 %/],
    [true, true, false, "confirmed", "as-intended", /TTFT contradicts them/],
    [true, false, true, "differs", "counter-lies", /usage and TTFT agree, and counters contradict/],
    [
      false,
      true,
      true,
      "differs",
      "counter-lies",
      /counters and TTFT agree, and usage contradicts/,
    ],
    [
      false,
      true,
      false,
      "differs",
      "counter-lies",
      /usage and TTFT agree, and counters contradict/,
    ],
    [
      true,
      false,
      false,
      "differs",
      "counter-lies",
      /counters and TTFT agree, and usage contradict/,
    ],
    [
      false,
      false,
      true,
      "differs",
      "contradiction",
      /Usage and .* counters say 0 %, but TTFT is 52/,
    ],
    [false, false, false, "differs", "caching-off", /does not reuse/],
  ];
  for (const [usage, counters, ttft, verdict, code, cause] of cases) {
    const found = heard(usage, counters, ttft);
    assert.deepEqual(outcome(found), [verdict, code], `${usage} ${counters} ${ttft}`);
    assert.match(found.cause, cause);
  }
});

Deno.test("judgeHitRate() does not let times speak that chance could have made", () => {
  const wide = { ttft: { ratio: 0.52, low: 0.2, high: 1.1, coldMs: 1000 } };
  const usage = judge({ reportedPercent: 0, achievablePercent: 50, prefixCaching: "no", ...wide });
  assert.equal(usage.causeCode, "caching-off");
  const both = judge({ reportedPercent: 0, counterPercent: 44.8, ...wide });
  assert.match(
    both.cause,
    /one of them is wrong; TTFT, 52 % of a cold one .*, does not tell which/,
  );
  assert.equal(both.usageInDoubt, true);
});

Deno.test("judgeHitRate() makes impossible counts a cause of their own", () => {
  const countBreaches = { prompt: 40, cached: 0, output: 0, text: "prompt:9000000000000000" };
  const found = judgeHitRate({
    ...without("reportedPercent"),
    countBreaches,
    counterPercent: 44.8,
  });
  assert.deepEqual(outcome(found), ["differs", "count-breach"]);
  assert.match(found.cause, /40 of 40 requests \(prompt:9000000000000000, where 4000/);
  assert.match(found.cause, /counters say 44.8 %/);
  const output = judge({
    countBreaches: { prompt: 0, cached: 0, output: 40, text: "output:1e+300" },
  });
  assert.deepEqual(outcome(output), ["confirmed", "as-intended"]);
  assert.match(output.cause, /output:1e\+300/);
});

Deno.test("judgeHitRate() takes less reuse than the template allows in a cold cell as intended", () => {
  const cold = { nominalPercent: 0, achievablePercent: 5, overheadBeforeTokens: 200 };
  assert.equal(judge({ ...cold, reportedPercent: 0, blockTokens: 1 }).verdict, "confirmed");
  assert.equal(judge({ ...cold, reportedPercent: 30, blockTokens: 1 }).verdict, "differs");
});
