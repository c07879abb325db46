import assert from "node:assert/strict";
import type { Clock } from "../host.ts";
import { canonicalSeries } from "./counters.ts";
import { parseExposition } from "./exposition.ts";
import { deltaBetween, restartIn, type ServerSample, startScraper } from "./scrape.ts";

function sample(atMs: number, text: string): ServerSample {
  return { atMs, series: canonicalSeries(parseExposition(text)) };
}

function vllm(queries: number, hits: number, running = 0): string {
  return `vllm:prefix_cache_queries_total{engine="0"} ${queries}
vllm:prefix_cache_hits_total{engine="0"} ${hits}
vllm:num_requests_running{engine="0"} ${running}`;
}

const SAMPLES = [
  sample(0, vllm(100, 10)),
  sample(1000, vllm(200, 60, 4)),
  sample(2000, vllm(400, 200, 2)),
  sample(3000, vllm(500, 210)),
];

Deno.test("deltaBetween() encloses the asked stretch and takes no more", () => {
  const delta = deltaBetween(SAMPLES, 1500, 1900);
  assert.deepEqual([delta?.fromAtMs, delta?.toAtMs], [1000, 2000]);
  assert.deepEqual(delta?.counters, { prefixQueries: 200, prefixHits: 140 });
  assert.deepEqual(delta?.gauges["running"], { mean: 3, max: 4 });
  assert.deepEqual([delta?.hits?.queryTokens, delta?.hits?.hitTokens], [200, 140]);
});

Deno.test("deltaBetween() takes a scrape exactly at the edges", () => {
  const delta = deltaBetween(SAMPLES, 1000, 3000);
  assert.deepEqual(delta?.counters, { prefixQueries: 300, prefixHits: 150 });
});

Deno.test("deltaBetween() goes as far as there are scrapes, and needs two", () => {
  assert.equal(deltaBetween(SAMPLES, -5000, 9000)?.counters["prefixQueries"], 400);
  assert.equal(deltaBetween(SAMPLES.slice(0, 1), 0, 9000), undefined);
  assert.equal(deltaBetween([], 0, 9000), undefined);
});

Deno.test("deltaBetween() sees a restart, also one that has caught up, and of one worker", () => {
  const restarts = [
    [vllm(100, 10), vllm(5, 0), vllm(300, 100)],
    [vllm(100, 10), `up 1`, vllm(300, 100)],
    [
      `${vllm(100, 10)}\nvllm:prompt_tokens_total{engine="1"} 50`,
      `${vllm(900, 10)}\nvllm:prompt_tokens_total{engine="1"} 40`,
    ],
  ];
  for (const texts of restarts) {
    const delta = deltaBetween(texts.map((text, i) => sample(i * 1000, text)), 0, 9000);
    assert.deepEqual([delta?.restarted, delta?.counters, delta?.hits], [true, {}, undefined]);
  }
  assert.equal(deltaBetween(SAMPLES, 0, 3000)?.restarted, false);
});

Deno.test("deltaBetween() counts a series that appears from 0", () => {
  const samples = [
    sample(0, "vllm:num_requests_running 0"),
    sample(1000, 'vllm:prompt_tokens_by_source_total{source="local_compute"} 7'),
  ];
  assert.equal(deltaBetween(samples, 0, 1000)?.counters["promptTokensBySource.local_compute"], 7);
});

/** Time passes only when someone sleeps. */
function steppedClock(): Clock & { readonly sleeps: readonly number[]; tick(): Promise<void> } {
  let nowMs = 0;
  let wake: (() => void) | undefined;
  const sleeps: number[] = [];
  return {
    sleeps,
    nowMs: () => nowMs,
    wallMs: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        sleeps.push(ms);
        signal?.addEventListener("abort", () => resolve(), { once: true });
        wake = () => {
          nowMs += ms;
          resolve();
        };
      }),
    async tick() {
      while (wake === undefined) await Promise.resolve();
      const go = wake;
      wake = undefined;
      go();
    },
  };
}

function scraperOn(answers: readonly Response[]) {
  const warnings: string[] = [];
  const clock = steppedClock();
  let asked = 0;
  const scraper = startScraper({
    access: {
      baseUrl: "http://server",
      headers: {},
      fetch: () => Promise.resolve(answers[asked++] ?? new Response("gone", { status: 500 })),
    },
    facts: { metricsUrl: "http://server/metrics" },
    intervalMs: 1000,
    clock,
    onWarning: (text) => warnings.push(text),
  });
  return { scraper, clock, warnings, sleeps: clock.sleeps, asked: () => asked };
}

Deno.test("startScraper() scrapes on its timer and on demand", async () => {
  const { scraper, clock } = scraperOn([1, 2, 3, 4].map((n) => new Response(vllm(n, 0))));
  await clock.tick();
  await clock.tick();
  await scraper.scrapeNow();
  assert.equal(scraper.disabled, undefined);
  assert.equal(scraper.samples.length, 4);
  await scraper.stop();
});

Deno.test("startScraper() leaves a bad route alone after one failure, with one warning", async () => {
  for (const bad of [new Response("[]"), new Response("no", { status: 404 }), new Response("")]) {
    const { scraper, warnings, asked } = scraperOn([bad, new Response(vllm(1, 0))]);
    await scraper.scrapeNow();
    await scraper.scrapeNow();
    assert.equal(asked(), 1);
    assert.equal(warnings.length, 1);
    assert.match(scraper.disabled ?? "", /metrics route/);
    assert.deepEqual(scraper.samples, []);
    await scraper.stop();
  }
});

Deno.test("startScraper() goes on after a gap: one warning, and counters again as soon as it answers", async () => {
  const answers = [
    new Response(vllm(1, 0)),
    new Response("loading", { status: 503 }),
    new Response("not found", { status: 404 }),
    new Response(vllm(2, 0)),
    new Response("loading", { status: 503 }),
  ];
  const { scraper, warnings } = scraperOn(answers);
  await scraper.scrapeNow();
  await scraper.scrapeNow();
  await scraper.scrapeNow();
  assert.equal(scraper.samples.length, 2);
  assert.equal(scraper.disabled, undefined);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /answers 503; server counters have a gap/);
  await scraper.scrapeNow();
  assert.equal(warnings.length, 2, "the next gap is told again");
  await scraper.stop();
});

Deno.test("startScraper() asks a route that fails more and more seldom, and never stops", async () => {
  const { scraper, clock, asked, sleeps } = scraperOn([]);
  for (let n = 0; n < 8; n++) await clock.tick();
  await scraper.stop();
  assert.equal(asked(), 9);
  assert.deepEqual(sleeps.slice(0, 8), [2, 4, 8, 16, 30, 30, 30, 30].map((s) => s * 1000));
});

/** A scrape of a process that was started then, in Unix seconds. */
function started(atMs: number, startedAtSec: number, queries = atMs): ServerSample {
  const startedAt = new Map([["process_start_time_seconds{}", startedAtSec]]);
  const wallAtMs = 1e12 + atMs;
  return { ...sample(atMs, vllm(queries, 0)), wallAtMs, startedAtSec: startedAt };
}

Deno.test("restartIn() goes by the start time, and by counters where there is none", () => {
  const [old, now] = [1e9 - 5000, 1e9 + 1.5];
  const restart = restartIn([started(0, old), started(1000, old), started(4000, now, 9000)]);
  assert.deepEqual(restart, { wallAtMs: now * 1000, evidence: "its start time changed" });
  assert.equal(
    restartIn([started(0, old), started(4000, old + 0.5)]),
    undefined,
    "play of a clock",
  );
  const falls = [sample(0, vllm(100, 10)), sample(1000, vllm(5, 0))];
  assert.equal(restartIn(falls)?.evidence, "its counters fell");
  assert.equal(restartIn(SAMPLES), undefined);
  assert.equal(restartIn([]), undefined);
});

Deno.test("restartIn() does not take two processes behind one address for a restart", () => {
  const [a, b] = [1e9 - 90_000, 1e9 - 7000];
  const inTurn = [started(0, a, 900), started(1000, b, 20), started(2000, a, 950)];
  assert.equal(restartIn(inTurn), undefined);
  assert.equal(deltaBetween(inTurn, 0, 2000)?.restarted, true, "but no sums are made of them");
  const same = [started(0, a, 900), started(1000, a, 20)];
  assert.equal(restartIn(same), undefined, "the process says that it is the same one");
});

Deno.test("startScraper() asks nothing of a server without a metrics route", async () => {
  const scraper = startScraper({
    access: { baseUrl: "http://server", headers: {}, fetch: () => assert.fail("asked") },
    facts: {},
    intervalMs: 1000,
    clock: steppedClock(),
  });
  await scraper.scrapeNow();
  assert.equal(scraper.delta(0, 1), undefined);
  await scraper.stop();
});
