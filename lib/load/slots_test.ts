import assert from "node:assert/strict";
import type { Exchange } from "../client/stream.ts";
import {
  type Finished,
  type FromWorker,
  SHARED,
  SHARED_BYTES,
  type Start,
  type WireRequest,
} from "./messages.ts";
import { Slots, type SlotsHost } from "./slots.ts";

/** A world of scripted time: every request takes as long as its id says, timers fire when due. */
class ScriptedHost implements SlotsHost {
  now = 0;
  /** Timers fire this much too early, as those of a runtime with whole milliseconds may. */
  earlyMs = 0;
  inFlight = 0;
  readonly stalls: number[] = [];
  most = 0;
  readonly sent: { id: string; dueAtMs: number; atMs: number; signal: AbortSignal }[] = [];
  readonly posted: FromWorker[] = [];
  #timers: { atMs: number; callback: () => void }[] = [];

  nowMs(): number {
    return this.now;
  }

  post(message: FromWorker): void {
    this.posted.push(message);
  }

  after(ms: number, callback: () => void): () => void {
    const early = Math.max(Math.min(ms, 0.25), ms - this.earlyMs);
    const timer = { atMs: this.now + early, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  filled(): void {}

  takeStalls(): readonly number[] {
    return this.stalls.splice(0);
  }

  send(request: WireRequest, dueAtMs: number, signal: AbortSignal): Promise<Exchange> {
    const { requestId: id, timeoutMs: takesMs } = request;
    const sentAtMs = this.now;
    this.sent.push({ id, dueAtMs, atMs: sentAtMs, signal });
    this.most = Math.max(this.most, ++this.inFlight);
    const refused = { failure: { kind: "connect", message: "refused" } } as const;
    return new Promise((resolve) =>
      this.after(takesMs, () => {
        this.inFlight--;
        resolve({
          requestId: id,
          worker: 0,
          dueAtMs,
          sentAtMs,
          endAtMs: this.now,
          bytes: new Uint8Array(),
          readEnds: new Uint32Array(),
          readAtMs: new Float64Array(),
          ...(id.startsWith("bad") && !this.#isMended(id) ? refused : {}),
        });
      })
    );
  }

  /** `bad_2` fails twice. */
  #isMended(id: string): boolean {
    const times = Number(/^bad.*_(\d+)$/.exec(id)?.[1] ?? Infinity);
    return this.sent.filter((one) => one.id === id).length > times;
  }

  /** Lets time go by. */
  async until(atMs: number): Promise<void> {
    while (true) {
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      const next = this.#timers.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > atMs) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.now = next.atMs;
      next.callback();
    }
    this.now = atMs;
  }

  finished(): Finished[] {
    return this.posted.flatMap((message) => message.type === "progress" ? message.finished : []);
  }

  instant(type: "dry" | "stopping"): number | undefined {
    for (const message of this.posted) {
      if (message.type === type) return message.atMs;
    }
    return undefined;
  }
}

interface Scene {
  readonly host: ScriptedHost;
  readonly slots: Slots;
  readonly flags: Int32Array;
  readonly unsent: () => readonly string[] | undefined;
  add(requests: readonly [string, number][], exhausted?: boolean): void;
}

interface Settings {
  readonly earlyMs?: number;
  readonly retries?: number;
}

function scene(slotCount: number, start: Partial<Start>, settings: Settings = {}): Scene {
  const host = new ScriptedHost();
  host.earlyMs = settings.earlyMs ?? 0;
  const { retries = 0 } = settings;
  const shared = new SharedArrayBuffer(SHARED_BYTES);
  let unsent: readonly string[] | undefined;
  const slots = new Slots(
    { type: "load", period: 1, slots: slotCount, shared, retries },
    host,
    (ids) => {
      assert.equal(unsent, undefined, "ended once");
      unsent = ids;
    },
  );
  const add: Scene["add"] = (requests, exhausted = false) =>
    slots.add({
      type: "requests",
      period: 1,
      exhausted,
      requests: requests.map(([requestId, timeoutMs]) => ({
        requestId,
        timeoutMs,
        url: "",
        body: new Uint8Array(),
        ...(requestId.startsWith("surplus") ? { surplus: true } : {}),
      })),
    });
  slots.start({ type: "start", period: 1, startAtMs: 10, stockTarget: slotCount, ...start });
  return { host, slots, add, flags: new Int32Array(shared), unsent: () => unsent };
}

function numbered(count: number, takesMs: number): [string, number][] {
  return Array.from({ length: count }, (_, index) => [`r${index}`, takesMs]);
}

Deno.test("Slots launch at the start, refill at each end, and stop at the deadline", async () => {
  const { host, add, unsent } = scene(2, { deadlineAtMs: 110 });
  add(numbered(30, 30));
  await host.until(9);
  assert.equal(host.sent.length, 0);
  await host.until(1000);
  // Launched at 10, 40, 70 and 100 in both slots; the ends at 130 come after the deadline.
  assert.deepEqual(host.sent.map(({ atMs }) => atMs), [10, 10, 40, 40, 70, 70, 100, 100]);
  assert.deepEqual(host.sent.map(({ dueAtMs }) => dueAtMs), [10, 10, 40, 40, 70, 70, 100, 100]);
  assert.equal(host.most, 2);
  assert.equal(host.instant("stopping"), 110);
  assert.equal(host.finished().length, 8);
  assert.deepEqual(host.finished().map(({ rampIn }) => rampIn), [
    true,
    true,
    ...Array(6).fill(false),
  ]);
  assert.equal(unsent()?.length, 22);
});

Deno.test("Slots launch nothing before the start, even if the timer fires early", async () => {
  const { host, add } = scene(2, {}, { earlyMs: 0.75 });
  add(numbered(2, 30), true);
  await host.until(1000);
  assert.deepEqual(host.sent.map(({ atMs }) => atMs), [10, 10]);
});

Deno.test("Slots launch nothing at or after the deadline, even if a slot is free then", async () => {
  const { host, add } = scene(1, { deadlineAtMs: 40 });
  add(numbered(5, 30));
  await host.until(1000);
  assert.deepEqual(host.sent.map(({ atMs }) => atMs), [10]);
  assert.equal(host.instant("stopping"), 40);
});

Deno.test("Slots that wait for a request keep the instant at which it was due", async () => {
  const { host, add, unsent } = scene(1, {});
  add([["first", 10]]);
  await host.until(50);
  add([["second", 10]], true);
  await host.until(100);
  const [, second] = host.sent;
  assert.deepEqual([second?.dueAtMs, second?.atMs], [20, 50]);
  assert.equal(host.instant("dry"), 60);
  assert.deepEqual(unsent(), []);
});

Deno.test("Slots stop after exactly minRequests of all workers, at the first empty slot", async () => {
  const { host, add, flags } = scene(2, { minRequests: 7 });
  Atomics.add(flags, SHARED.launched, 2); // by another worker
  add(numbered(30, 30));
  await host.until(1000);
  assert.equal(host.sent.length, 5);
  assert.equal(Atomics.load(flags, SHARED.launched), 7);
  assert.equal(host.instant("stopping"), 70);
});

Deno.test("Slots go on past the deadline for minRequests; the window ends at the first empty slot", async () => {
  const late = scene(2, { deadlineAtMs: 20, minRequests: 5 });
  late.add(numbered(30, 30));
  await late.host.until(1000);
  assert.deepEqual(late.host.sent.map(({ atMs }) => atMs), [10, 10, 40, 40, 70]);
  assert.equal(late.host.instant("stopping"), 70);
  const early = scene(2, { deadlineAtMs: 20, minRequests: 2 });
  early.add(numbered(30, 30));
  await early.host.until(1000);
  assert.equal(early.host.sent.length, 2);
  assert.equal(early.host.instant("stopping"), 20);
});

Deno.test("Slots go on past the deadline until all workers have sent what is not surplus", async () => {
  const { host, add, flags, unsent } = scene(1, { deadlineAtMs: 20, minRequests: 2 });
  add([["first", 30], ["surplus1", 30], ["surplus2", 30], ["surplus3", 30]]);
  await host.until(75);
  Atomics.add(flags, SHARED.launched, 1); // the second one, by another worker
  await host.until(1000);
  assert.deepEqual(host.sent.map(({ id }) => id), ["first", "surplus1", "surplus2"]);
  assert.equal(Atomics.load(flags, SHARED.launched), 2);
  assert.deepEqual(unsent(), ["surplus3"]);
});

Deno.test("Slots that another worker stopped launch no more and do not report it again", async () => {
  const { host, add, flags, unsent } = scene(2, { deadlineAtMs: 500 });
  add(numbered(30, 30));
  await host.until(45);
  Atomics.store(flags, SHARED.stopped, 1);
  await host.until(1000);
  assert.equal(host.sent.length, 4);
  assert.equal(host.instant("stopping"), undefined);
  assert.equal(unsent()?.length, 26);
});

Deno.test("Slots pause after two failures in a row, longer each time, due when the pause is over", async () => {
  const { host, add } = scene(1, {});
  add(
    [["bad0", 1], ["bad1", 1], ["bad2", 1], ["bad3", 1], ["good", 1], ["bad4", 1], ["end", 1]],
    true,
  );
  await host.until(10_000);
  assert.deepEqual(host.sent.map(({ atMs }) => atMs), [10, 11, 62, 163, 364, 365, 366]);
  assert.deepEqual(host.sent.map(({ dueAtMs }) => dueAtMs), [10, 11, 62, 163, 364, 365, 366]);
});

Deno.test("Slots send a failed request again after a pause, as often as allowed, and count it", async () => {
  const { host, add, flags } = scene(1, {}, { retries: 2 });
  add([["bad_1", 10], ["bad_9", 10], ["good", 10]], true);
  await host.until(10_000);
  // Pauses of 250 and 500 ms.
  assert.deepEqual(host.sent.map(({ id, dueAtMs, atMs }) => [id, dueAtMs, atMs]), [
    ["bad_1", 10, 10],
    ["bad_1", 270, 270],
    ["bad_9", 280, 280],
    ["bad_9", 540, 540],
    ["bad_9", 1050, 1050],
    ["good", 1060, 1060],
  ]);
  assert.deepEqual(
    host.finished().map(({ exchange, retries, rampIn }) => [
      exchange.requestId,
      exchange.failure?.kind,
      retries,
      rampIn,
    ]),
    [["bad_1", undefined, 1, true], ["bad_9", "connect", 2, false], ["good", undefined, 0, false]],
  );
  assert.equal(Atomics.load(flags, SHARED.launched), 3, "a retry is no further request");
});

Deno.test("Slots give a pausing retry up when launching is over: the failure is the record", async () => {
  for (const end of ["stop", "giveUp", "deadline", "flag"] as const) {
    const deadline = end === "deadline" ? { deadlineAtMs: 100 } : {};
    const { host, add, slots, flags, unsent } = scene(2, deadline, { retries: 5 });
    add([["bad_9", 10], ["bad_8", 20]]);
    await host.until(50);
    assert.equal(host.finished().length, 0);
    if (end === "stop") slots.stop();
    else if (end === "giveUp") slots.giveUp("aborted");
    else if (end === "flag") Atomics.store(flags, SHARED.stopped, 1);
    await host.until(5000);
    assert.deepEqual(host.finished().map(({ exchange }) => exchange.requestId), ["bad_9", "bad_8"]);
    assert.ok(host.finished().every(({ exchange }) => exchange.failure !== undefined), end);
    assert.deepEqual(unsent(), [], end);
    assert.equal(host.sent.length, 2, end);
  }
});

Deno.test("Slots stop waiting and pausing when they are told to", async () => {
  const starved = scene(2, {});
  starved.add([["only", 10]]);
  await starved.host.until(50);
  assert.equal(starved.unsent(), undefined);
  starved.slots.stop();
  assert.deepEqual(starved.unsent(), []);
  const paused = scene(1, {});
  paused.add([["bad0", 1], ["bad1", 1], ["never", 1]]);
  await paused.host.until(20);
  paused.slots.giveUp("aborted");
  assert.deepEqual(paused.unsent(), ["never"]);
  await paused.host.until(1000);
  assert.equal(paused.host.sent.length, 2);
  assert.equal(paused.host.sent[0]?.signal.reason, "aborted");
});

Deno.test("Slots report at half of their stock, and otherwise let exchanges wait for company", async () => {
  const { host, add } = scene(4, {});
  add(numbered(10, 30));
  await host.until(10);
  const progress = () => host.posted.filter(({ type }) => type === "progress").length;
  assert.equal(progress(), 0, "6 are left, for a target of 4");
  await host.until(40);
  assert.equal(progress(), 1, "2 are left, and 4 are over: one message");
});

Deno.test("a pause after failures is not the client's delay, however late its timer comes", async () => {
  const { host, add } = scene(1, { minRequests: 4 }, { earlyMs: -7 });
  add([["bad0", 5], ["bad1", 5], ["bad2", 5], ["good", 5]], true);
  await host.until(2000);
  assert.equal(host.sent.length, 4);
  const paused = host.sent.slice(2);
  assert(paused[0]!.atMs - host.sent[1]!.atMs > 50, "there was a pause");
  for (const { dueAtMs, atMs } of paused) assert.equal(atMs - dueAtMs, 0);
});

Deno.test("progress brings the stalls since the last one, each once", async () => {
  const { host, add } = scene(1, { minRequests: 2 }, {});
  host.stalls.push(12, 19);
  add([["a", 30], ["b", 30]], true);
  await host.until(500);
  const sent = host.posted.flatMap((one) => one.type === "progress" ? [one.stalls] : []);
  assert(sent.length > 1);
  assert.deepEqual(sent.flat(), [12, 19]);
});
