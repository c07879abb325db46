import assert from "node:assert/strict";
import type { PeriodOutcome, RequestRecord } from "../record.ts";
import type { ServerMetricsRow } from "../results/schema.ts";
import { type MetricsRoute, type ServerWatch, watchServers } from "./server_watch.ts";

/** Servers whose counters a test sets, and a clock that only a scrape and a period move. */
class Bench {
  nowMs = 0;
  readonly rows: ServerMetricsRow[] = [];
  readonly warnings: string[] = [];
  readonly counters = new Map<string, { queries: number; hits: number } | undefined>();
  readonly #watch: ServerWatch;

  constructor(names: readonly string[], withoutRoute: readonly string[] = []) {
    for (const name of names) this.counters.set(`http://${name}/metrics`, { queries: 0, hits: 0 });
    const servers = [...names, ...withoutRoute].map((name): MetricsRoute => ({
      endpoint: `http://${name}`,
      access: { baseUrl: `http://${name}`, headers: {}, fetch: (url) => this.#answer(url) },
      ...(withoutRoute.includes(name) ? {} : { metricsUrl: `http://${name}/metrics` }),
    }));
    this.#watch = watchServers({
      servers,
      runDir: {
        appendServerMetrics: (rows) => Promise.resolve(void this.rows.push(...rows)),
      },
      clock: {
        nowMs: () => this.nowMs++,
        wallMs: () => 1e6 + this.nowMs,
        // The timer never fires: only the scrapes around a period are made.
        sleep: (_, signal) =>
          new Promise((resolve) => signal?.addEventListener("abort", () => resolve())),
      },
      intervalMs: 1000,
      onWarning: (text) => this.warnings.push(text),
    });
  }

  /** Runs a period in which the servers count. */
  async period(counted: Readonly<Record<string, { queries: number; hits: number }>>) {
    return await this.#watch.around(() => {
      const startAtMs = this.nowMs++;
      for (const [name, more] of Object.entries(counted)) {
        const key = `http://${name}/metrics`;
        const before = this.counters.get(key) ?? { queries: 0, hits: 0 };
        const [queries, hits] = [before.queries + more.queries, before.hits + more.hits];
        this.counters.set(key, { queries, hits });
      }
      return Promise.resolve(periodOf(startAtMs, this.nowMs++));
    });
  }

  get restarts(): number {
    return this.#watch.restarts;
  }

  ready(): Promise<void> {
    return this.#watch.ready();
  }

  counted(...outcomes: readonly PeriodOutcome[]) {
    return this.#watch.counted(outcomes);
  }

  close(): Promise<void> {
    return this.#watch.close();
  }

  #answer(url: string | URL | Request): Promise<Response> {
    const found = this.counters.get(String(url));
    if (found === undefined) return Promise.resolve(new Response("gone", { status: 500 }));
    return Promise.resolve(
      new Response(
        `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running 3
vllm:prompt_tokens_total ${found.queries}
vllm:prefix_cache_queries_total ${found.queries}
vllm:prefix_cache_hits_total ${found.hits}
`,
      ),
    );
  }
}

function periodOf(startAtMs: number, drainedAtMs: number): PeriodOutcome {
  const labels = {
    cellId: "1000_50",
    periodId: "RAMP_c2",
    purpose: "measure",
    contextSizeTokens: 1000,
    hitRatePercent: 50,
    concurrency: 2,
  };
  return {
    cellId: "1000_50",
    periodId: "RAMP_c2",
    concurrency: 2,
    startAtMs,
    stopAtMs: drainedAtMs,
    drainedAtMs,
    records: [{ labels } as RequestRecord],
    client: { retries: 0 },
    interrupted: false,
  };
}

Deno.test("around() scrapes before and after a period, and keeps what was counted in between", async () => {
  const bench = new Bench(["one"]);
  bench.counters.set("http://one/metrics", { queries: 5000, hits: 4000 });
  const first = await bench.period({ one: { queries: 100, hits: 40 } });
  const second = await bench.period({ one: { queries: 50, hits: 5 } });
  await bench.close();
  assert.deepEqual(bench.counted(first), { queryTokens: 100, hitTokens: 40, promptTokens: 100 });
  assert.deepEqual(bench.counted(first, second), {
    queryTokens: 150,
    hitTokens: 45,
    promptTokens: 150,
  });
  assert.deepEqual(bench.warnings, []);
  const gained = bench.rows.map((row) => [row.phase_id, row.running, row.cache_hit_tokens]);
  assert.deepEqual(gained.filter(([, , hits]) => hits !== undefined), [
    ["RAMP_c2", 3, 40],
    ["RAMP_c2", 3, 5],
  ]);
  assert.equal(bench.rows[0]?.interval_s, undefined);
  assert.equal(bench.rows[0]?.context_size, 1000);
});

Deno.test("counted() adds servers up, also one that was asked nothing", async () => {
  const bench = new Bench(["one", "two"]);
  const outcome = await bench.period({ one: { queries: 100, hits: 40 } });
  const both = await bench.period({
    one: { queries: 10, hits: 1 },
    two: { queries: 30, hits: 2 },
  });
  await bench.close();
  assert.equal(bench.counted(outcome)?.queryTokens, 100);
  assert.deepEqual(bench.counted(both), { queryTokens: 40, hitTokens: 3, promptTokens: 40 });
});

Deno.test("counted() tells nothing where a server is silent, was started again, or broke", async () => {
  const silent = new Bench(["one"], ["two"]);
  assert.equal(silent.counted(await silent.period({ one: { queries: 9, hits: 1 } })), undefined);
  assert.ok(silent.rows.length > 0, "its rows are kept all the same");
  await silent.close();

  const restarted = new Bench(["one"]);
  restarted.counters.set("http://one/metrics", { queries: 5000, hits: 4000 });
  const outcome = await restarted.period({ one: { queries: -4990, hits: -3995 } });
  assert.equal(restarted.counted(outcome), undefined);
  assert.equal(restarted.rows.at(-1)?.restarted, "yes");
  assert.match(outcome.unusable ?? "", /the server restarted at .* \(its counters fell\)/);
  assert.equal(restarted.restarts, 1);
  await restarted.close();

  const broken = new Bench(["one"]);
  const fine = await broken.period({ one: { queries: 9, hits: 1 } });
  broken.counters.set("http://one/metrics", undefined);
  const without = await broken.period({});
  assert.equal(broken.counted(fine)?.queryTokens, 9);
  assert.equal(broken.counted(fine, without), undefined);
  assert.equal(broken.warnings.length, 1);
  assert.match(broken.warnings[0] ?? "", /answers 500/);
  broken.counters.set("http://one/metrics", { queries: 100, hits: 10 });
  await broken.period({ one: { queries: 4, hits: 1 } });
  const after = await broken.period({ one: { queries: 5, hits: 1 } });
  assert.equal(broken.counted(after)?.queryTokens, 5, "counters go on after a gap");
  await broken.close();
});

Deno.test("ready() notices a restart between two periods, and says it", async () => {
  const bench = new Bench(["one"]);
  bench.counters.set("http://one/metrics", { queries: 5000, hits: 4000 });
  await bench.period({ one: { queries: 10, hits: 5 } });
  bench.counters.set("http://one/metrics", { queries: 7, hits: 0 });
  await bench.ready();
  assert.equal(bench.restarts, 1);
  assert.match(bench.warnings[0] ?? "", /the server restarted at/);
  const next = await bench.period({ one: { queries: 10, hits: 5 } });
  assert.equal(next.unusable, undefined, "it came before the period");
  await bench.close();
});

Deno.test("around() makes nothing of counters that fall all the time while no request fails", async () => {
  const bench = new Bench(["one"]);
  const unusable: boolean[] = [];
  for (let n = 0; n < 4; n++) {
    bench.counters.set("http://one/metrics", { queries: 5000, hits: 4000 });
    const outcome = await bench.period({ one: { queries: -4990, hits: -3990 } });
    unusable.push(outcome.unusable !== undefined);
  }
  assert.deepEqual(unusable, [true, true, false, false]);
  assert.match(bench.warnings.at(-1) ?? "", /several servers in turn/);
  await bench.close();
});

Deno.test("watchServers() of no server only runs the periods", async () => {
  const bench = new Bench([], ["one"]);
  const outcome = await bench.period({});
  assert.equal(bench.counted(outcome), undefined);
  assert.deepEqual(bench.rows, []);
  await bench.close();
});
