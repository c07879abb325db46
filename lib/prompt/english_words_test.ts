import assert from "node:assert/strict";
import { ENGLISH_WORDS } from "./english_words.ts";

Deno.test("ENGLISH_WORDS has some 2000 different lowercase words, and no line of the header", () => {
  assert.ok(ENGLISH_WORDS.length >= 2000);
  assert.equal(new Set(ENGLISH_WORDS).size, ENGLISH_WORDS.length);
  for (const word of ENGLISH_WORDS) assert.match(word, /^[a-z]{3,8}$/);
});

Deno.test("ENGLISH_WORDS is in the same random order on every machine", () => {
  assert.deepEqual(ENGLISH_WORDS.slice(0, 4), ["headers", "secure", "alto", "host"]);
});
