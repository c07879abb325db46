import assert from "node:assert/strict";
import { capturedBody, parseCapture } from "../../tests/support/capture.ts";
import { type DecodedStream, decodeStream } from "./events.ts";

const folder = new URL("../../tests/fixtures/captures/", import.meta.url);

function decodeCapture(name: string): DecodedStream {
  const capture = parseCapture(Deno.readTextFileSync(new URL(name, folder)));
  let end = 0;
  return decodeStream({
    requestId: "r",
    worker: 0,
    dueAtMs: 0,
    sentAtMs: 0,
    endAtMs: capture.endAtMs,
    status: capture.status,
    bytes: capturedBody(capture),
    readEnds: Uint32Array.from(capture.reads, (read) => end += read.bytes.length),
    readAtMs: Float64Array.from(capture.reads, (read) => read.atMs),
  }, capture.path.includes("chat") ? "chat" : "completions");
}

/** What was read off the captures by eye: instants of content, tokens, cached tokens, the end. */
const expected: Record<string, [number[], number | undefined, number | undefined, string]> = {
  "vllm-0.26.0/chat-stream-cached.txt": [[16.5, 24.7, 33.2, 42.5], 4, 384, "length"],
  "vllm-0.26.0/completions-stream-eos-stops.txt": [[], 1, 384, "stop"],
};

Deno.test("decodeStream() reads the recorded streams of real servers", () => {
  for (const [name, [atMs, tokens, cached, finish]] of Object.entries(expected)) {
    const decoded = decodeCapture(name);
    assert.deepEqual([...decoded.contentReadsAtMs], atMs, name);
    assert.equal(decoded.usage?.completionTokens, tokens, name);
    assert.equal(decoded.usage?.cachedTokens, cached, name);
    assert.equal(decoded.finishReason, finish, name);
    assert.equal(decoded.sawDone, true, name);
  }
});

Deno.test("decodeStream() finds one content read a token in every plain recorded stream", () => {
  const names = [...Deno.readDirSync(folder)].flatMap((server) =>
    [...Deno.readDirSync(new URL(`${server.name}/`, folder))]
      .map((file) => `${server.name}/${file.name}`)
  ).filter((name) => /(chat|completions)-stream-(cold|cached|continuous-usage)/.test(name));
  assert(names.length >= 5, "the captures are there");
  for (const name of names) {
    const decoded = decodeCapture(name);
    assert.equal(decoded.malformed, undefined, name);
    assert.equal(decoded.serverError, undefined, name);
    assert(decoded.contentChunks > 0, name);
    // A token that ends inside a character brings no text of its own.
    assert(decoded.contentChunks <= (decoded.usage?.completionTokens ?? 0), name);
    assert.equal(decoded.usage?.cachedTokens === 0, name.includes("cold"), name);
  }
});

Deno.test("decodeStream() finds the error in every recorded error", () => {
  const errors = [...Deno.readDirSync(new URL("vllm-0.26.0/", folder))]
    .filter((file) => file.name.startsWith("error-"));
  assert(errors.length > 0, "the captures are there");
  for (const { name } of errors) {
    assert(decodeCapture(`vllm-0.26.0/${name}`).serverError !== undefined, name);
  }
});
