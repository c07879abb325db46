import assert from "node:assert/strict";
import fc from "fast-check";
import { VOCABULARY_WORDS } from "./english.ts";
import {
  decode,
  encode,
  encodeChat,
  encodePrompt,
  isTokenId,
  SPECIAL_IDS,
  SPECIAL_TOKENS,
  tokenText,
  VOCABULARY_SIZE,
  vocabularyWords,
} from "./tokenizer.ts";

const UNICODE = fc.string({ unit: "grapheme", maxLength: 60 });
const ENGLISH = fc.array(
  fc.oneof(fc.constantFrom(...VOCABULARY_WORDS), fc.constantFrom(" ", "  ", ", ", "\n", "-", "é")),
  { maxLength: 40 },
).map((parts) => parts.join(""));

Deno.test("decode(encode()) gives back any text", () => {
  fc.assert(fc.property(fc.oneof(UNICODE, ENGLISH), (text) => {
    const ids = encode(text);
    assert.equal(decode(ids), text);
    assert.ok(ids.every(isTokenId));
  }));
  assert.equal(decode(encode("\ufeffx")), "\ufeffx");
  assert.equal(decode(encode(SPECIAL_TOKENS.join(""))), SPECIAL_TOKENS.join(""));
});

Deno.test("encode() never gives a special token", () => {
  const specials: number[] = Object.values(SPECIAL_IDS);
  fc.assert(fc.property(fc.oneof(UNICODE, fc.constantFrom(...SPECIAL_TOKENS)), (text) => {
    assert.ok(!encode(text).some((id) => specials.includes(id)));
  }));
});

Deno.test("encode() makes one token of each common word, alone and joined", () => {
  assert.ok(VOCABULARY_WORDS.length > 1500, `${VOCABULARY_WORDS.length}`);
  for (const word of VOCABULARY_WORDS) {
    assert.equal(encode(word).length, 1, word);
    assert.equal(encode(" " + word).length, 1, word);
  }
  const words = fc.array(fc.constantFrom(...VOCABULARY_WORDS), { minLength: 1, maxLength: 200 });
  fc.assert(fc.property(words, (list) => {
    assert.equal(encode(list.join(" ")).length, list.length);
    assert.deepEqual([...encode(decode(encode(list.join(" "))))], [...encode(list.join(" "))]);
  }));
});

Deno.test("encode() falls back to one token a byte", () => {
  assert.deepEqual([...encode("zqj")], [122, 113, 106]);
  assert.deepEqual([...encode(" zqj")], [32, 122, 113, 106]);
  assert.deepEqual([...encode("é")], [0xc3, 0xa9]);
  assert.deepEqual([...encode("7.5")], [55, 46, 53]);
});

Deno.test("decode() marks broken UTF-8 and names special tokens", () => {
  assert.equal(decode([0xc3]), "\ufffd");
  assert.equal(decode([SPECIAL_IDS.begin, 65]), "<|begin|>A");
  assert.equal(tokenText(0xc3), "\ufffd");
});

Deno.test("vocabularyWords() lists ids that encode() uses, each text once", () => {
  const words = vocabularyWords();
  assert.equal(new Set(words.map(({ text }) => text)).size, words.length);
  for (const { id, text } of words) assert.deepEqual([...encode(text)], [id], text);
  assert.equal(words.at(-1)?.id, VOCABULARY_SIZE - 1);
  assert.equal(isTokenId(VOCABULARY_SIZE), false);
  assert.equal(isTokenId(-1), false);
  assert.equal(isTokenId(1.5), false);
});

Deno.test("encodePrompt() and encodeChat() add exactly the tokens of the settings", () => {
  const settings = { beginTokens: 1, chatTokensBefore: 4, chatTokensAfter: 3 };
  assert.deepEqual([...encodePrompt("the", settings)], [SPECIAL_IDS.begin, ...encode("the")]);
  const one = encodeChat([{ role: "user", content: "the house" }], settings);
  assert.equal(one.length, 4 + 2 + 3);
  const two = encodeChat([
    { role: "system", content: "the" },
    { role: "user", content: "house" },
  ], settings);
  assert.equal(two.length, 4 + 1 + 1 + 1 + 3);
  const bare = { beginTokens: 0, chatTokensBefore: 0, chatTokensAfter: 0 };
  assert.deepEqual([...encodeChat([{ role: "user", content: "the" }], bare)], [...encode("the")]);
});
