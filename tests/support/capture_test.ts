import assert from "node:assert/strict";
import fc from "fast-check";
import { type Capture, capturedBody, formatCapture, parseCapture } from "./capture.ts";

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((array) => new Uint8Array(array)),
  fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text)),
);
const tenth = fc.integer({ min: 0, max: 1e6 }).map((tenths) => tenths / 10);
const captures: fc.Arbitrary<Capture> = fc.record({
  comments: fc.array(fc.constantFrom("a capture", "", "again with: deno run x")),
  method: fc.constantFrom("GET", "POST"),
  path: fc.constantFrom("/v1/models", "/reset_prefix_cache?reset_external=true"),
  requestBody: fc.string({ unit: "binary" }),
  status: fc.integer({ min: 100, max: 599 }),
  headers: fc.constantFrom({}, { "content-type": "text/plain; version=1.0.0", server: "x: y" }),
  reads: fc.array(fc.record({ atMs: tenth, bytes }, { noNullPrototype: true })),
  endAtMs: tenth,
}, { noNullPrototype: true });

Deno.test("parseCapture() gives back what formatCapture() wrote, to the byte", () => {
  fc.assert(fc.property(captures, (capture) => {
    assert.deepEqual(parseCapture(formatCapture(capture)), capture);
  }));
  // U+2028 ends a line for a regular expression, and not for JSON.
  const separator: Capture = {
    ...{ comments: [], method: "POST", path: "/", requestBody: "a\u2028b", status: 200 },
    ...{ headers: {}, reads: [{ atMs: 0, bytes: new TextEncoder().encode("\u2029") }], endAtMs: 1 },
  };
  assert.deepEqual(parseCapture(formatCapture(separator)), separator);
});

Deno.test("formatCapture() keeps a read that ends inside a character", () => {
  const [head, tail] = [new Uint8Array([0x61, 0xe2, 0x82]), new Uint8Array([0xac])];
  const capture: Capture = {
    comments: [],
    method: "GET",
    path: "/",
    status: 200,
    headers: {},
    reads: [{ atMs: 1, bytes: head }, { atMs: 2, bytes: tail }],
    endAtMs: 3,
  };
  const again = parseCapture(formatCapture(capture));
  assert.deepEqual(again, capture);
  assert.equal(new TextDecoder().decode(capturedBody(again)), "a€");
});

Deno.test("parseCapture() names the line that it does not understand", () => {
  assert.throws(() => parseCapture("request GET /\nrad 1 x\n"), /line 2 .*"rad"/);
  assert.throws(() => parseCapture("request GET /\nstatus 200\n"), /lacks .*end/);
});

Deno.test("every recorded capture parses, names its command and has an answer", () => {
  const root = new URL("../fixtures/captures/", import.meta.url);
  let seen = 0;
  for (const folder of Deno.readDirSync(root)) {
    if (!folder.isDirectory) continue;
    for (const file of Deno.readDirSync(new URL(`${folder.name}/`, root))) {
      const text = Deno.readTextFileSync(new URL(`${folder.name}/${file.name}`, root));
      const capture = parseCapture(text);
      assert.match(capture.comments.join("\n"), /scripts\/record_capture\.ts/, file.name);
      assert.ok(capturedBody(capture).length > 0, file.name);
      seen++;
    }
  }
  assert.ok(seen > 0, "no capture was found");
});
