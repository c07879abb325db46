import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { mapStrings, redactorOf } from "./redaction.ts";

const secrets = fc.string({ unit: "grapheme", minLength: 4, maxLength: 90 })
  .filter((text) => text.trim() === text && !/\s/.test(text) && [...text].length >= 4);

/** Spellings that servers, gateways and pages use. */
const SPELLINGS: Readonly<Record<string, (secret: string) => string>> = {
  raw: (secret) => secret,
  json: (secret) => JSON.stringify(secret).slice(1, -1),
  jsonTwice: (secret) => JSON.stringify(JSON.stringify(secret)).slice(3, -3),
  jsonAscii: (secret) => escapedUnits(JSON.stringify(secret).slice(1, -1), /[^ -~]/),
  jsonOfEveryUnit: (secret) => escapedUnits(secret, /[^]/),
  jsonSlashes: (secret) => JSON.stringify(secret).slice(1, -1).replaceAll("/", "\\/"),
  url: (secret) => encodeURIComponent(secret),
  urlSmall: (secret) =>
    encodeURIComponent(secret).replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
  urlTwice: (secret) => encodeURIComponent(encodeURIComponent(secret)),
  urlOfEveryByte: (secret) =>
    [...Buffer.from(secret)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  html: (secret) =>
    secret.replace(
      /[&<>"']/g,
      (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[c]!,
    ),
  htmlNumbers: (secret) => [...secret].map((c) => `&#${c.codePointAt(0)};`).join(""),
  htmlHex: (secret) => [...secret].map((c) => `&#x${c.codePointAt(0)!.toString(16)};`).join(""),
  base64: (secret) => Buffer.from(secret).toString("base64"),
  base64url: (secret) => Buffer.from(secret).toString("base64url"),
  base64OfPair: (secret) => Buffer.from(`user:${secret}`).toString("base64"),
  base64OfPairAndMore: (secret) => Buffer.from(`us:${secret}:more`).toString("base64url"),
  base64InUrl: (secret) =>
    encodeURIComponent(Buffer.from(`u:${secret}`).toString("base64").replace(/=+$/, "")),
};

function escapedUnits(text: string, which: RegExp): string {
  return Array.from({ length: text.length }, (_, at) => text[at]!).map((unit) =>
    which.test(unit) ? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}` : unit
  ).join("");
}

for (const [name, spell] of Object.entries(SPELLINGS)) {
  Deno.test(`redactorOf() strikes a secret out: ${name}`, () => {
    fc.assert(fc.property(secrets, (secret) => {
      const redact = redactorOf({ "x-key": secret });
      const text = `{"detail": "wrong <key> "}`;
      const at = text.indexOf('"}');
      const clean = redact(text.slice(0, at) + spell(secret) + text.slice(at));
      assert.equal(clean, `${text.slice(0, at)}***${text.slice(at)}`);
    }));
  });
}

Deno.test("redactorOf() knows what stands behind a scheme, and in a Basic pair", () => {
  const basic = Buffer.from("me:pass word").toString("base64");
  const redact = redactorOf({
    authorization: "Bearer sk-1234",
    "proxy-authorization": `Basic ${basic}`,
    "content-type": "application/json",
  });
  assert.equal(redact("sk-1234 | pass%20word | pass+word"), "*** | *** | ***");
  assert.equal(redact("Bearer and Basic, application/json"), "Bearer and Basic, application/json");
  assert.equal(redact("http://me:pw@host/"), "http://***@host/");
});

Deno.test("redactorOf() strikes out what a cut left of a secret", () => {
  const redact = redactorOf({ "x-key": "sk/canary-0123456789" });
  assert.equal(redact("wrong key: sk/can…"), "wrong key: ***…");
  assert.equal(redact("wrong key: sk%2Fcan…"), "wrong key: ***…");
  assert.equal(redact("wrong key: sk/…"), "wrong key: sk/…", "three characters are none");
});

Deno.test("redactorOf() leaves text without a secret as it is", () => {
  const redact = redactorOf({ "x-key": "Zebra-Zulu", authorization: "Bearer QQQQ-QQQQ" });
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    fc.pre(!/\/\/[^/\s@]+@|zebra|qqqq|\*{3}/i.test(text));
    assert.equal(redact(text), text);
  }));
  for (
    const text of ["abc", "3".repeat(1000), "user:pass", "[1, 2.5e3]", "eyJhbGciOi.eyJzdWIi.x_-"]
  ) {
    assert.equal(redact(text), text);
  }
});

Deno.test("redactorOf() is quick with long keys and long texts", () => {
  const key = Array.from({ length: 700 }, (_, n) => `k${n * 7919}`).join(".");
  const redact = redactorOf({ cookie: key });
  assert.equal(redact(`x ${key} y`), "x *** y");
  const long = "a".repeat(200_000);
  assert.equal(redact(long), long);
});

Deno.test("mapStrings() changes strings at any depth and nothing else", () => {
  const value = { a: "x", b: [1, "x", { c: "x", d: undefined, e: null }] };
  assert.deepEqual(mapStrings(value, (text) => `${text}!`), {
    a: "x!",
    b: [1, "x!", { c: "x!", d: undefined, e: null }],
  });
});
