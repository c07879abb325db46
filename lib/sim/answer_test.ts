import assert from "node:assert/strict";
import { HUGE_LINE_BYTES } from "./events.ts";
import { type FaultName, FAULTS } from "./faults.ts";
import { startSimulator } from "./server.ts";
import type { SimulatorOptions } from "./settings.ts";
import { encode } from "./tokenizer.ts";
import { parseTruth, type TruthEntry } from "./truth_log.ts";

const OUTPUT_TOKENS = 10;

/** What came over the wire for one request, byte by byte. */
interface Wire {
  /** Bytes of each read. */
  readonly reads: readonly Uint8Array[];
  /** Everything, as text. */
  readonly text: string;
  /** Status line and headers. */
  readonly head: string;
  /** The body, without the chunked coding. */
  readonly body: string;
  /** Chunks of the chunked coding. */
  readonly frames: readonly Uint8Array[];
  readonly ended: "end" | "reset" | "open";
  readonly truth: TruthEntry;
}

interface Sent {
  readonly api?: "completions" | "chat";
  readonly stream?: boolean;
  readonly prompt?: string;
  /** Requests before this one. */
  readonly before?: number;
  /** Give up a while after this many events have come, for connections that stay open. */
  readonly giveUpAfterEvents?: number;
}

/** Sends one request over a bare socket to a server with faults. */
async function send(
  faults: readonly string[],
  sent: Sent = {},
  options: SimulatorOptions = {},
): Promise<Wire> {
  const truthLog = await Deno.makeTempFile();
  try {
    let received: { reads: Uint8Array[]; ended: Wire["ended"] };
    {
      await using simulator = await startSimulator({
        port: 0,
        model: "m",
        itlMs: 2,
        faults,
        truthLog,
        ...options,
      });
      for (let n = 0; n < (sent.before ?? 0); n++) await talk(simulator.settings.port, sent);
      received = await talk(simulator.settings.port, sent);
    }
    const truth = parseTruth(await Deno.readTextFile(truthLog)).at(-1);
    assert.ok(truth !== undefined);
    return { ...received, ...understand(received.reads), truth };
  } finally {
    await Deno.remove(truthLog);
  }
}

async function talk(
  port: number,
  { api = "completions", stream = true, prompt = "the house", giveUpAfterEvents = Infinity }: Sent,
): Promise<{ reads: Uint8Array[]; ended: Wire["ended"] }> {
  const body = JSON.stringify({
    ...(api === "chat" ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
    max_tokens: OUTPUT_TOKENS,
    ignore_eos: true,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
  });
  const path = api === "chat" ? "/v1/chat/completions" : "/v1/completions";
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const request = `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`;
  await connection.write(new TextEncoder().encode(request));
  const reads: Uint8Array[] = [];
  let reset = false;
  let gaveUp = false;
  const giveUp = () => {
    gaveUp = true;
    connection.close();
  };
  let seen = 0;
  try {
    const buffer = new Uint8Array(65536);
    for (;;) {
      const count = await connection.read(buffer);
      if (count === null) break;
      reads.push(buffer.slice(0, count));
      seen += new TextDecoder().decode(buffer.subarray(0, count)).split("data: ").length - 1;
      if (seen >= giveUpAfterEvents) setTimeout(giveUp, 100);
    }
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) reset = true;
    else if (!gaveUp) throw error;
  }
  if (!gaveUp) connection.close();
  return { reads, ended: gaveUp ? "open" : reset ? "reset" : "end" };
}

function understand(reads: readonly Uint8Array[]) {
  const bytes = new Uint8Array(reads.reduce((sum, read) => sum + read.length, 0));
  reads.reduce((at, read) => (bytes.set(read, at), at + read.length), 0);
  const decoder = new TextDecoder("latin1");
  const latin = decoder.decode(bytes);
  const headEnd = latin.indexOf("\r\n\r\n");
  const head = headEnd < 0 ? latin : latin.slice(0, headEnd);
  const frames: Uint8Array[] = [];
  let at = headEnd < 0 ? bytes.length : headEnd + 4;
  let body = bytes.subarray(at);
  if (/transfer-encoding: chunked/i.test(head)) {
    while (at < bytes.length) {
      const lineEnd = latin.indexOf("\r\n", at);
      const size = parseInt(latin.slice(at, lineEnd), 16);
      frames.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
      at = lineEnd + 2 + size + 2;
    }
    body = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
    frames.reduce((to, frame) => (body.set(frame, to), to + frame.length), 0);
  }
  const utf8 = new TextDecoder();
  return { text: utf8.decode(bytes), head, body: utf8.decode(body), frames };
}

interface Event {
  choices: {
    text?: string;
    delta?: Record<string, unknown>;
    finish_reason: string | null;
  }[];
  usage?: { prompt_tokens_details: { cached_tokens: number } } | null;
  padding?: string;
}

function eventsOf({ body }: Wire): Event[] {
  const data = body.split(/\r?\n\r?\n/).filter((event) => event.startsWith("data: "));
  return data.filter((event) => event !== "data: [DONE]")
    .map((event) => JSON.parse(event.slice("data: ".length)));
}

function textOf(wire: Wire): string {
  return eventsOf(wire).map(({ choices }) => choices[0]?.text ?? "").join("");
}

const tested = new Set<FaultName>();

/** A test of one fault; the last test checks that there is one for each. */
function testFault(name: FaultName, says: string, test: () => Promise<void>): void {
  tested.add(name);
  Deno.test(`fault ${name}: ${says}`, test);
}

testFault("reset-before-headers", "a reset and not a byte", async () => {
  const wire = await send(["reset-before-headers"]);
  assert.equal(wire.ended, "reset");
  assert.equal(wire.text, "");
  assert.equal(wire.truth.finish, "fault");
  assert.deepEqual(wire.truth.faults, ["reset-before-headers"]);
});

testFault("reset-mid-headers", "the beginning of the headers, then a reset", async () => {
  const wire = await send(["reset-mid-headers"]);
  assert.equal(wire.ended, "reset");
  assert.equal(wire.text, "HTTP/1.1 200 OK\r\ncontent-type: text/ev");
});

testFault("http-429", "the status, Retry-After and a JSON error", async () => {
  const wire = await send(["http-429"]);
  assert.match(wire.head, /^HTTP\/1.1 429 /);
  assert.match(wire.head, /retry-after: 1\r\n/i);
  assert.equal(JSON.parse(wire.body).error.code, 429);
  assert.equal(wire.truth.status, 429);
});

testFault("http-500", "the status and a JSON error", async () => {
  const wire = await send(["http-500"]);
  assert.match(wire.head, /^HTTP\/1.1 500 /);
  assert.equal(typeof JSON.parse(wire.body).error.message, "string");
  assert.equal(wire.truth.status, 500);
});

testFault("json-error-200", "status 200, JSON, and an error object", async () => {
  const wire = await send(["json-error-200"]);
  assert.match(wire.head, /^HTTP\/1.1 200 /);
  assert.match(wire.head, /content-type: application\/json/i);
  assert.equal(typeof JSON.parse(wire.body).error.message, "string");
});

testFault("wrong-content-type", "a good stream that says text/html", async () => {
  const wire = await send(["wrong-content-type"]);
  assert.match(wire.head, /content-type: text\/html/i);
  assert.equal(encode(textOf(wire)).length, OUTPUT_TOKENS);
});

testFault("reset-mid-stream", "half of the tokens, then a reset", async () => {
  const wire = await send(["reset-mid-stream"]);
  assert.equal(wire.ended, "reset");
  assert.match(wire.head, /^HTTP\/1.1 200 /);
  assert.equal(encode(textOf(wire)).length, OUTPUT_TOKENS / 2);
  assert.ok(!wire.body.includes("[DONE]"));
  assert.equal(wire.truth.finish, "fault");
  assert.equal(wire.truth.outputTokens, OUTPUT_TOKENS / 2);
  const whole = await send(["reset-mid-stream"], { stream: false });
  assert.equal(whole.ended, "reset");
  const announced = Number(/content-length: (\d+)/i.exec(whole.head)?.[1]);
  assert.equal(whole.body.length, Math.floor(announced / 2));
});

testFault("stall", "half of the tokens, then nothing, and the connection stays", async () => {
  const wire = await send(["stall"], { giveUpAfterEvents: OUTPUT_TOKENS / 2 });
  assert.equal(wire.ended, "open");
  assert.equal(encode(textOf(wire)).length, OUTPUT_TOKENS / 2);
  assert.equal(wire.truth.finish, "fault");
});

testFault("slow-drip", "every event in pieces of at most 8 bytes", async () => {
  const wire = await send(["slow-drip"]);
  const plain = await send([]);
  assert.ok(wire.frames.slice(0, -1).every(({ length }) => length <= 8 && length > 0));
  assert.ok(wire.reads.length > 3 * plain.reads.length, `${wire.reads.length}`);
  assert.equal(textOf(wire), textOf(plain));
  assert.equal(eventsOf(wire).length, OUTPUT_TOKENS + 1);
  assert.equal(wire.truth.chunks.length, OUTPUT_TOKENS);
  assert.equal(wire.truth.finish, "length");
});

testFault("split-utf8", "each event in two pieces, cut inside a character", async () => {
  const wire = await send(["split-utf8"]);
  const text = textOf(wire);
  for (const character of ["é", "日", "🙂"]) assert.ok(text.includes(character), text);
  assert.equal(wire.truth.outputTokens, OUTPUT_TOKENS);
  // A piece that ends inside a character cannot be decoded alone.
  const broken = wire.frames.filter((frame) => {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(frame);
      return false;
    } catch {
      return true;
    }
  });
  assert.equal(broken.length, 2 * OUTPUT_TOKENS);
  const unfinished = wire.frames.slice(0, -1).filter((frame) => frame.at(-1) !== 10);
  assert.equal(unfinished.length, eventsOf(wire).length + 1);
});

testFault("huge-line", "one event of 4 MiB in an otherwise good stream", async () => {
  const wire = await send(["huge-line"]);
  const huge = eventsOf(wire).filter(({ padding }) => padding !== undefined);
  assert.deepEqual(huge.map(({ padding }) => padding?.length), [HUGE_LINE_BYTES]);
  assert.equal(encode(textOf(wire)).length, OUTPUT_TOKENS);
  const chunked = await send(["huge-line", "multi-token-chunks"]);
  assert.equal(eventsOf(chunked).filter(({ padding }) => padding !== undefined).length, 1);
});

testFault("crlf", "every line ends with CR LF", async () => {
  const wire = await send(["crlf", "sse-comments"]);
  assert.ok(wire.body.includes("\r\n\r\n"));
  assert.equal(wire.body.replaceAll("\r\n", "").includes("\n"), false);
  assert.equal(encode(textOf(wire)).length, OUTPUT_TOKENS);
  assert.ok(wire.body.endsWith("data: [DONE]\r\n\r\n"));
});

testFault("sse-comments", "comments before the first token, none after it", async () => {
  const slow = { prefillTokensPerSec: 1000 };
  const wire = await send(["sse-comments"], { prompt: "the house ".repeat(30) }, slow);
  const comments = wire.body.split("\n\n").filter((event) => event.startsWith(":"));
  assert.ok(comments.length >= 2, `${comments.length}`);
  assert.ok(wire.body.lastIndexOf(": waiting") < wire.body.indexOf("data: "));
});

testFault("role-only-deltas", "deltas without text before the first token is due", async () => {
  const wire = await send(["role-only-deltas"], { api: "chat" });
  const deltas = eventsOf(wire).slice(0, -1).map(({ choices }) => choices[0]?.delta);
  assert.deepEqual(deltas.slice(0, 3), [
    { role: "assistant", content: "" },
    { content: "" },
    { content: "" },
  ]);
  assert.equal(deltas.length, 3 + OUTPUT_TOKENS);
  assert.equal(deltas.filter((delta) => delta?.role !== undefined).length, 1);
  // Not one of them counts as output.
  assert.equal(wire.truth.chunks.length, OUTPUT_TOKENS);
  const completions = await send(["role-only-deltas"]);
  assert.deepEqual(eventsOf(completions).slice(0, 3).map(({ choices }) => choices[0]?.text), [
    "",
    "",
    "",
  ]);
});

testFault("multi-token-chunks", "four tokens an event, the rest in the last", async () => {
  const wire = await send(["multi-token-chunks"]);
  const counts = eventsOf(wire).slice(0, -1)
    .map(({ choices }) => encode(choices[0]?.text ?? "").length);
  assert.deepEqual(counts, [4, 4, 2]);
  assert.deepEqual(wire.truth.chunks.map(([, tokens]) => tokens), [4, 4, 2]);
  assert.equal(textOf(wire), textOf(await send([])));
});

testFault(
  "reasoning",
  "the first half as reasoning, under both names that servers use",
  async () => {
    for (const [before, name] of [[0, "reasoning_content"], [1, "reasoning"]] as const) {
      const wire = await send(["reasoning"], { api: "chat", before });
      const keys = eventsOf(wire).slice(1, -1)
        .map(({ choices }) => Object.keys(choices[0]?.delta ?? {}).join());
      const half = OUTPUT_TOKENS / 2;
      assert.deepEqual(keys, [...new Array(half).fill(name), ...new Array(half).fill("content")]);
      const whole = await send(["reasoning"], { api: "chat", before, stream: false });
      const { message } = JSON.parse(whole.body).choices[0];
      assert.equal(encode(message[name]).length, half);
      assert.equal(encode(message.content).length, half);
    }
  },
);

testFault("tool-calls", "the output as fragments of a tool call", async () => {
  const wire = await send(["tool-calls"], { api: "chat" });
  const list = eventsOf(wire).slice(1, -1).map(({ choices }) => choices[0]);
  const calls = list.map((choice) => (choice?.delta?.tool_calls as Record<string, unknown>[])[0]);
  assert.equal(calls.length, OUTPUT_TOKENS);
  assert.equal(calls[0]?.type, "function");
  assert.equal(calls.filter((call) => call?.id !== undefined).length, 1);
  assert.ok(list.every((choice) => choice?.delta?.content === undefined));
  assert.equal(list.at(-1)?.finish_reason, "tool_calls");
});

testFault("no-usage", "no usage anywhere, even if asked for", async () => {
  const wire = await send(["no-usage"]);
  assert.ok(!wire.body.includes("usage"));
  assert.equal(eventsOf(wire).length, OUTPUT_TOKENS);
  assert.ok(wire.body.endsWith("data: [DONE]\n\n"));
  assert.ok(!(await send(["no-usage"], { stream: false })).body.includes("usage"));
});

testFault("null-usage", "usage is null wherever it belongs", async () => {
  const list = eventsOf(await send(["null-usage"]));
  assert.equal(list.length, OUTPUT_TOKENS + 1);
  assert.ok(list.every(({ usage }) => usage === null));
  assert.equal(JSON.parse((await send(["null-usage"], { stream: false })).body).usage, null);
});

testFault(
  "usage-on-last-choice",
  "usage together with the last token, no event of its own",
  async () => {
    const list = eventsOf(await send(["usage-on-last-choice"]));
    assert.equal(list.length, OUTPUT_TOKENS);
    assert.deepEqual(list.map(({ usage }) => usage !== undefined), [
      ...new Array(OUTPUT_TOKENS - 1).fill(false),
      true,
    ]);
    assert.equal(list.at(-1)?.choices[0]?.finish_reason, "length");
  },
);

const LONG = "the house ".repeat(40).trim();

testFault("lying-cache-counter", "usage claims a full hit where the log says none", async () => {
  const wire = await send(["lying-cache-counter"], { prompt: LONG });
  assert.equal(eventsOf(wire).at(-1)?.usage?.prompt_tokens_details.cached_tokens, 80);
  assert.deepEqual(wire.truth.cached, { hbm: 0, dram: 0, ssd: 0 });
});

testFault("cache-off", "a repeated prompt is computed again", async () => {
  const off = await send(["cache-off"], { prompt: LONG, before: 1 });
  assert.equal(eventsOf(off).at(-1)?.usage?.prompt_tokens_details.cached_tokens, 0);
  const on = await send([], { prompt: LONG, before: 1 });
  assert.equal(eventsOf(on).at(-1)?.usage?.prompt_tokens_details.cached_tokens, 80);
});

testFault("constant-latency", "every first token is due after the same time", async () => {
  const options = { constantTtftMs: 30, prefillTokensPerSec: 100 };
  for (const prompt of ["the", LONG]) {
    const { truth } = await send(["constant-latency"], { prompt, before: 1 }, options);
    const due = (truth.firstTokenDueEpochMs ?? 0) - truth.receivedEpochMs;
    assert.ok(Math.abs(due - 30) < 0.01, `${due}`);
    assert.deepEqual(truth.cached, { hbm: 0, dram: 0, ssd: 0 });
    assert.equal(truth.outputTokens, OUTPUT_TOKENS);
  }
});

Deno.test("faults with a rate meet their share of the requests", async () => {
  const statuses: (string | undefined)[] = [];
  await using simulator = await startSimulator({ port: 0, itlMs: 1, faults: ["http-500:0.25"] });
  for (let n = 0; n < 8; n++) {
    const { reads } = await talk(simulator.settings.port, {});
    statuses.push(understand(reads).head.split(" ")[1]);
  }
  assert.equal(statuses.filter((status) => status === "500").length, 2, statuses.join());
  assert.equal(statuses.filter((status) => status === "200").length, 6);
});

Deno.test("every fault has a test of its bytes", () => {
  assert.deepEqual([...tested].sort(), Object.keys(FAULTS).sort());
});
