import assert from "node:assert/strict";
import fc from "fast-check";
import { renderBytes, renderIds, renderText, type Segment } from "./generator.ts";
import type { Vocabulary } from "./words.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/** A made-up list: word i is spelled from the digits of i; lengths from 2 to 12 letters. */
function exampleVocabulary(words: number, starters: number): Vocabulary {
  const spell = (i: number) =>
    LETTERS[i % 26]! + LETTERS[Math.floor(i / 26) % 26]! + "x".repeat(i % 11);
  return {
    words: Array.from({ length: words }, (_, i) => ` ${spell(i)}`),
    ids: Array.from({ length: words }, (_, i) => 1000 + i),
    starters: Array.from({ length: starters }, (_, i) => spell(i)),
    starterIds: Array.from({ length: starters }, (_, i) => 9000 + i),
    source: "test",
    proof: "assumed",
    notes: [],
  };
}

const example = exampleVocabulary(512, 256);
const segmentsArbitrary = fc.array(
  fc.record({ seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), tokens: fc.nat(300) }),
  { maxLength: 4 },
);
function total(segments: readonly Segment[]): number {
  return segments.reduce((sum, segment) => sum + segment.tokens, 0);
}

Deno.test("renderText() makes exactly as many words as the segments ask for", () => {
  fc.assert(fc.property(segmentsArbitrary, (segments) => {
    const text = renderText(example, segments);
    const words = text === "" ? [] : text.split(" ");
    assert.equal(words.length, total(segments));
    if (words.length > 0) assert.ok(example.starters.includes(words[0]!));
    for (const word of words.slice(1)) assert.ok(example.words.includes(` ${word}`));
  }));
});

Deno.test("renderText() is prefix-stable at the start and after another segment", () => {
  const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(fc.property(seed, seed, fc.nat(200), fc.nat(200), (first, second, short, more) => {
    const long = short + more;
    const alone = (tokens: number) => renderText(example, [{ seed: first, tokens }]);
    assert.ok(alone(long).startsWith(alone(short)));
    const after = (tokens: number) =>
      renderText(example, [{ seed: first, tokens: 7 }, { seed: second, tokens }]);
    assert.ok(after(long).startsWith(after(short)));
    assert.ok(after(short).startsWith(alone(7)));
  }));
});

Deno.test("renderBytes() and renderIds() are the same prompt as renderText()", () => {
  for (const vocabulary of [example, exampleVocabulary(2, 1), exampleVocabulary(3000, 5)]) {
    fc.assert(fc.property(segmentsArbitrary, (segments) => {
      const text = renderText(vocabulary, segments);
      assert.deepEqual(renderBytes(vocabulary, segments), new TextEncoder().encode(text));
      const words = renderIds(vocabulary, segments).map((id) =>
        id >= 9000 ? vocabulary.starters[id - 9000]! : vocabulary.words[id - 1000]!
      );
      assert.equal(words.join(""), text);
    }));
  }
});

Deno.test("renderText() needs no escape in JSON", () => {
  const text = renderText(example, [{ seed: 5n, tokens: 2000 }]);
  assert.equal(JSON.stringify(text), `"${text}"`);
});

Deno.test("renderText() is the same on every machine", () => {
  const segments = [{ seed: 1n, tokens: 4 }, { seed: 2n, tokens: 3 }];
  assert.equal(
    renderText(example, segments),
    "qaxxxxx hb ifxxxxxx kcxxxxxxx soxxxxxxxx mnxxxxxxxxx cnxxxxxxxxxx",
  );
});

Deno.test("renderText() uses the whole list about evenly", () => {
  const counts = new Map<string, number>();
  const words = renderText(example, [{ seed: 3n, tokens: 51_201 }]).split(" ").slice(1);
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  assert.equal(counts.size, 512);
  // 100 expected of each, standard deviation 10.
  assert.ok(Math.min(...counts.values()) > 50);
  assert.ok(Math.max(...counts.values()) < 150);
});

Deno.test("renderText() rejects what it cannot render", () => {
  const one = [{ seed: 1n, tokens: 1 }];
  assert.throws(() => renderText(exampleVocabulary(1, 1), one), RangeError);
  assert.throws(() => renderText(exampleVocabulary(4, 0), one), RangeError);
  assert.throws(() => renderText({ ...example, words: [' a"b', " c"] }, one), /JSON-safe/);
  for (const tokens of [-1, 1.5, NaN]) {
    assert.throws(() => renderText(example, [{ seed: 1n, tokens }]), RangeError);
  }
});

Deno.test("renderIds() says that there are no ids", () => {
  const { ids: _, ...without } = example;
  assert.throws(() => renderIds(without, [{ seed: 1n, tokens: 1 }]), /none/);
});
