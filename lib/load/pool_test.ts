import assert from "node:assert/strict";
import { systemClock } from "../host.ts";
import type { InferenceRequest, RequestRecord } from "../record.ts";
import { type LoadPool, openPool, type PoolOptions } from "./pool.ts";
import {
  chunked,
  scriptedServer,
  type SeenRequest,
  STREAM_END,
  STREAM_HEAD,
  whole,
} from "../../tests/support/scripted_server.ts";

const workerModule = new URL("../../tests/support/load_worker_main.ts", import.meta.url).href;

async function withPool(
  workers: number,
  act: (pool: LoadPool) => Promise<void>,
  changes: Partial<PoolOptions> = {},
): Promise<void> {
  const cpuMs = () => 0;
  const options = { workers, headers: {}, workerModule, clock: systemClock, cpuMs, ...changes };
  const pool = await openPool(options);
  try {
    await act(pool);
  } finally {
    await pool.close();
  }
}

/** Numbered requests, at most `count` of them. */
function requests(url: string, count = Infinity, timeoutMs = 20_000) {
  const taken: string[] = [];
  return {
    taken,
    next(): InferenceRequest | undefined {
      if (taken.length >= count) return undefined;
      const requestId = `r${taken.length}`;
      taken.push(requestId);
      return {
        requestId,
        labels: {
          cellId: "c",
          periodId: "p",
          purpose: "measure",
          contextSizeTokens: 10,
          hitRatePercent: 0,
          concurrency: 1,
        },
        plan: { promptTokens: 10, sharedTokens: 0, achievableTokens: 0 },
        api: "completions",
        url: `${url}/v1/completions`,
        body: new TextEncoder().encode(JSON.stringify({ prompt: requestId })),
        maxOutputTokens: 2,
        timeoutMs,
      };
    },
  };
}

function promptOf(request: SeenRequest): string {
  return JSON.parse(new TextDecoder().decode(request.body)).prompt;
}

function tokenText(text: string): string {
  return `data: {"choices":[{"text":"${text}","finish_reason":null}]}\n\n`;
}

function token(text: string): Uint8Array {
  return chunked(tokenText(text));
}

const lastText = 'data: {"choices":[{"text":"","finish_reason":"length"}]}\n\ndata: [DONE]\n\n';
const last = chunked(lastText);

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Answers with two tokens after a delay, and knows how many it is answering. */
function tokenServer(delayMs: number) {
  const seen = { inFlight: 0, most: 0, ids: [] as string[], gates: [] as (() => void)[] };
  const server = scriptedServer(async (request, { write }) => {
    if (request.head.startsWith("GET")) return write(whole("200 OK", "ok"));
    seen.ids.push(promptOf(request));
    seen.most = Math.max(seen.most, ++seen.inFlight);
    await write(STREAM_HEAD);
    await write(token("a"));
    if (delayMs === Infinity) await new Promise<void>((resolve) => seen.gates.push(resolve));
    else await pause(delayMs);
    await write(token("b"));
    seen.inFlight--;
    await write(last);
    await write(STREAM_END);
  });
  return { server, seen };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(2);
}

const spec = { cellId: "c", periodId: "p" };

function ids(records: readonly RequestRecord[]): string[] {
  return records.map((record) => record.requestId).sort();
}

Deno.test("runPeriod() keeps exactly `concurrency` in flight, over workers that do not divide it", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(Infinity);
    using _ = server;
    const source = requests(server.url, 23);
    const running = pool.runPeriod({ ...spec, concurrency: 5 }, source.next);
    // The server lets one go at a time; each is followed by exactly one other.
    for (let released = 0; released < 23; released++) {
      const expected = Math.min(5, 23 - released);
      await until(() => seen.gates.length >= (released < 15 ? expected : 1));
      if (released < 15) {
        assert.equal(seen.inFlight, 5, `after ${released}`);
        assert.equal(seen.ids.length, 5 + released);
      }
      seen.gates.shift()?.();
      if (released < 15) await until(() => seen.ids.length === 6 + released);
    }
    const outcome = await running;
    assert.equal(seen.most, 5);
    assert.deepEqual(ids(outcome.records), source.taken.toSorted());
    assert.deepEqual(outcome.records.filter((record) => record.failure !== undefined), []);
    assert.equal(outcome.interrupted, false);
    assert.equal(outcome.records.filter((record) => record.rampIn).length, 5);
    const byWorker = outcome.records.filter((record) => record.rampIn).map(({ worker }) => worker);
    assert.deepEqual(byWorker.sort(), [0, 0, 0, 1, 1]);
  });
});

Deno.test("runPeriod() ends at its deadline, drains, and gives back what it did not send", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(7);
    using _ = server;
    const source = requests(server.url);
    const unsent: string[] = [];
    const heard: RequestRecord[] = [];
    const outcome = await pool.runPeriod(
      { ...spec, concurrency: 3, durationMs: 150 },
      source.next,
      {
        onRecord: (record) => heard.push(record),
        onUnsent: (request) => unsent.push(request.requestId),
      },
    );
    const { records, startAtMs, stopAtMs, drainedAtMs, client } = outcome;
    assert(stopAtMs - startAtMs >= 150 - 1e-6);
    // That it is three, whatever the machine does, is the test above.
    assert(seen.most <= 3, `${seen.most} in flight`);
    assert(records.length > 3, "slots were refilled");
    assert.deepEqual(ids(records), seen.ids.toSorted());
    assert.deepEqual(ids(heard), ids(records));
    assert.deepEqual([...ids(records), ...unsent].sort(), source.taken.toSorted());
    for (const record of records) {
      assert(record.dueAtMs >= startAtMs && record.dueAtMs < stopAtMs, "due in the window");
      assert(record.sentAtMs >= record.dueAtMs && record.sentAtMs <= stopAtMs, "sent in it");
      assert(record.endAtMs <= drainedAtMs);
      assert.equal(record.contentChunks, 2);
      assert.equal(record.outputTokensSource, "chunks");
      if (record.rampIn) assert.equal(record.dueAtMs, startAtMs);
      else assert(records.some((before) => before.endAtMs === record.dueAtMs), "due at an end");
    }
    assert.equal(drainedAtMs, Math.max(stopAtMs, ...records.map((record) => record.endAtMs)));
    assert.equal(client.retries, 0);
    assert.equal(client.connectionsOpened, undefined);
    const answerBytes = 2 * tokenText("a").length + lastText.length;
    assert.equal(client.receivedBytes, answerBytes * records.length);
    assert((client.eventLoopLagMaxMs ?? -1) >= (client.eventLoopLagP99Ms ?? 0));
  });
});

Deno.test("runPeriod() puts all instants on the main thread's timeline", async () => {
  await withPool(2, async (pool) => {
    const writtenAtMs = new Map<string, number>();
    using server = scriptedServer(async (request, { write }) => {
      const seenAtMs = performance.now();
      await write(STREAM_HEAD);
      await pause(3);
      writtenAtMs.set(promptOf(request), performance.now());
      writtenAtMs.set(`${promptOf(request)} seen`, seenAtMs);
      await write(token("a"));
      await write(last);
      await write(STREAM_END);
    });
    const source = requests(server.url, 20);
    const { records } = await pool.runPeriod({ ...spec, concurrency: 2 }, source.next);
    assert.equal(records.length, 20);
    for (const { requestId, sentAtMs, contentReadsAtMs } of records) {
      assert(sentAtMs <= (writtenAtMs.get(`${requestId} seen`) ?? -1), "sent before it was seen");
      assert((contentReadsAtMs[0] ?? -1) >= (writtenAtMs.get(requestId) ?? Infinity));
    }
  });
});

Deno.test("runPeriod() sends exactly minRequests, and goes on past a deadline for them", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(2);
    using _ = server;
    const source = requests(server.url);
    const exact = await pool.runPeriod({ ...spec, concurrency: 3, minRequests: 17 }, source.next);
    assert.equal(exact.records.length, 17);
    const firstEmpty = exact.stopAtMs;
    assert(exact.records.every((record) => record.sentAtMs <= firstEmpty));
    assert(exact.records.some((record) => record.endAtMs <= firstEmpty), "a slot stayed empty");
    const few = await pool.runPeriod({ ...spec, concurrency: 3, minRequests: 1 }, source.next);
    assert.equal(few.records.length, 1);
    const past = await pool.runPeriod(
      { ...spec, concurrency: 3, durationMs: 1, minRequests: 30 },
      source.next,
    );
    assert(past.records.length >= 30 && past.records.length < 33, `${past.records.length}`);
    assert(past.stopAtMs - past.startAtMs > 1);
    assert(past.records.every((record) => record.sentAtMs <= past.stopAtMs));
    // On a busy machine three need not meet; the test above has them wait for each other.
    assert(seen.most >= 1 && seen.most <= 3, `${seen.most} at once`);
  });
});

Deno.test("runPeriod() ends when next() does, however few requests there are", async () => {
  await withPool(2, async (pool) => {
    const { server } = tokenServer(1);
    using _ = server;
    for (const count of [0, 1, 4, 9]) {
      const source = requests(server.url, count);
      const outcome = await pool.runPeriod({ ...spec, concurrency: 4 }, source.next);
      assert.deepEqual(ids(outcome.records), source.taken.toSorted());
      assert(outcome.stopAtMs >= outcome.startAtMs);
      assert(outcome.drainedAtMs >= outcome.stopAtMs);
      const ends = outcome.records.map((record) => record.endAtMs);
      if (count > 0) assert(ends.includes(outcome.stopAtMs), "stopped when a slot stayed empty");
    }
  });
});

Deno.test("runPeriod() drains on a signal: nothing more is sent, what is in flight ends", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(Infinity);
    using _ = server;
    const drain = new AbortController();
    const running = pool.runPeriod(
      { ...spec, concurrency: 4, durationMs: 600_000 },
      requests(server.url).next,
      { drain: drain.signal },
    );
    await until(() => seen.gates.length === 4);
    drain.abort();
    await pause(20);
    for (const release of seen.gates) release();
    const outcome = await running;
    assert.equal(outcome.records.length, 4);
    assert.equal(seen.ids.length, 4);
    assert(outcome.records.every((record) => record.failure === undefined));
    assert.equal(outcome.interrupted, true);
    assert(outcome.stopAtMs < outcome.drainedAtMs);
    // A signal that was given before has the same effect, and sends nothing.
    const none = await pool.runPeriod(
      { ...spec, concurrency: 4, durationMs: 600_000 },
      requests(server.url).next,
      { drain: drain.signal },
    );
    assert.equal(none.records.length, 0);
    assert.equal(none.interrupted, true);
  });
});

Deno.test("runPeriod() aborts on a signal: what is in flight is recorded as aborted", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(Infinity);
    using _ = server;
    const abort = new AbortController();
    const running = pool.runPeriod(
      { ...spec, concurrency: 5, durationMs: 600_000 },
      requests(server.url).next,
      { abort: abort.signal },
    );
    await until(() => seen.gates.length === 5);
    abort.abort();
    const { records, interrupted } = await running;
    assert.deepEqual(records.map((record) => record.failure?.kind), Array(5).fill("aborted"));
    assert.equal(interrupted, true);
  });
});

Deno.test("runPeriod() gives up stragglers after drainTimeoutMs", async () => {
  await withPool(1, async (pool) => {
    const { server } = tokenServer(Infinity);
    using _ = server;
    for (const end of [{ durationMs: 30 }, {}]) {
      const { records, interrupted } = await pool.runPeriod(
        { ...spec, concurrency: 2, drainTimeoutMs: 30, ...end },
        requests(server.url, "durationMs" in end ? Infinity : 2).next,
      );
      assert.deepEqual(records.map((record) => record.failure?.kind), ["timeout", "timeout"]);
      assert.match(records[0]?.failure?.message ?? "", /drain/);
      assert.equal(interrupted, false);
    }
  });
});

Deno.test("runPeriod() records failures, goes on, and spares a dead server", async () => {
  await withPool(2, async (pool) => {
    let answered = 0;
    using server = scriptedServer(({ head: _ }, { write }) => {
      answered++;
      return write(whole("500 Oops", '{"error":{"message":"key sk-123456789 broke"}}'));
    });
    const outcome = await pool.runPeriod(
      { ...spec, concurrency: 2, durationMs: 200 },
      requests(server.url).next,
    );
    assert.equal(outcome.records.length, answered);
    // 2 at once in each slot, then pauses of 50, 100, … ms: at most 4 a slot in 200 ms.
    assert(answered >= 4 && answered <= 8, `${answered}`);
    for (const { failure } of outcome.records) {
      assert.equal(failure?.kind, "http_status");
      assert(!failure?.message.includes("sk-1"));
    }
  }, { headers: { authorization: "Bearer sk-123456789" } });
});

Deno.test("runPeriod() opens the connections that it uses, before its clock starts", async () => {
  await withPool(2, async (pool) => {
    const { server, seen } = tokenServer(Infinity);
    using _ = server;
    const connectUrls = [`${server.url}/health`];
    const running = pool.runPeriod(
      { ...spec, concurrency: 7, connectUrls },
      requests(server.url, 7).next,
    );
    await until(() => seen.gates.length === 7);
    assert.equal(server.connections, 7);
    for (const release of seen.gates) release();
    assert.equal((await running).records.length, 7);
    // A refused connection is not this function's business.
    const refused = { ...spec, concurrency: 1, connectUrls: ["http://127.0.0.1:9/"] };
    const one = pool.runPeriod(refused, requests(server.url, 1).next);
    await until(() => seen.gates.length === 8);
    seen.gates[7]?.();
    assert.equal((await one).records.length, 1);
  });
});

Deno.test("runPeriod() passes on what next() throws, and the pool stays usable", async () => {
  await withPool(2, async (pool) => {
    const { server } = tokenServer(1);
    using _ = server;
    const broken = requests(server.url);
    const next = () => {
      if (broken.taken.length >= 12) throw new RangeError("no more words");
      return broken.next();
    };
    await assert.rejects(pool.runPeriod({ ...spec, concurrency: 3 }, next), /no more words/);
    const source = requests(server.url, 6);
    const { records } = await pool.runPeriod({ ...spec, concurrency: 3 }, source.next);
    assert.equal(records.length, 6);
  });
});

Deno.test("openPool() and runPeriod() fail with a reason if a worker cannot run", async () => {
  const missing = new URL("no_such_module.ts", import.meta.url).href;
  await assert.rejects(withPool(1, async () => {}, { workerModule: missing }), {
    name: "KvmarkError",
    kind: "internal",
    message: /worker has died/,
  });
  const junk = "-----BEGIN CERTIFICATE-----\n@@@@\n-----END CERTIFICATE-----\n";
  for (const caPem of ["not a certificate", junk]) {
    await assert.rejects(withPool(1, async () => {}, { caPem }), { kind: "usage" });
  }
});

Deno.test("runPeriod() fails with a reason if a worker dies on the way", async () => {
  // A worker that answers until the clock starts, and then throws.
  const source = `self.onmessage = ({ data }) => {
    if (data.type === "setup") self.postMessage({ type: "ready" });
    if (data.type === "ping") self.postMessage({ type: "pong", rawMs: 0, timeOriginMs: 0 });
    if (data.type === "start") throw new Error("out of luck");
  };
  self.postMessage({ type: "alive" });`;
  const mortal = `data:text/javascript,${encodeURIComponent(source)}`;
  await withPool(1, async (pool) => {
    const { next } = requests("http://127.0.0.1:9");
    const dead = { name: "KvmarkError", kind: "internal", message: /has died: .*out of luck/ };
    await assert.rejects(pool.runPeriod({ ...spec, concurrency: 2 }, next), dead);
    await assert.rejects(pool.runPeriod({ ...spec, concurrency: 2 }, next), dead);
  }, { workerModule: mortal });
});

Deno.test("runPeriod() makes nothing fail on a server that closes idle connections", async () => {
  await withPool(1, async (pool) => {
    let closed = 0;
    using server = scriptedServer(async (_request, { write, close }) => {
      await write(STREAM_HEAD);
      await write(token("a"));
      await write(last);
      await write(STREAM_END);
      setTimeout(() => {
        closed++;
        close();
      }, 20);
    });
    for (let round = 0; round < 3; round++) {
      const source = requests(server.url, 2);
      const { records } = await pool.runPeriod({ ...spec, concurrency: 2 }, source.next);
      assert.deepEqual(records.map((record) => record.failure), [undefined, undefined]);
      await until(() => closed === 2 * (round + 1));
      await pause(20);
    }
    assert.equal(server.connections, 6, "each round opened its own");
  });
});
