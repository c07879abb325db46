import assert from "node:assert/strict";
import fc from "fast-check";
import { ENGLISH_WORDS } from "./english_words.ts";
import { type Ask, findOneTokenWords, type OneTokenOptions } from "./one_token.ts";

const OPTIONS: OneTokenOptions = {
  candidates: ENGLISH_WORDS.slice(0, 400),
  wanted: 256,
  groupWords: 64,
  wantedStarters: 16,
  maxQuestions: Infinity,
  samples: 4,
  sampleTokens: 1024,
};

/** Splits at spaces; `pieces` says how a word (with its space, if any) is cut further. */
function tokenizer(pieces: (word: string) => string[], withIds = true): Ask {
  const ids = new Map<string, number>();
  const idOf = (piece: string) => {
    const id = ids.get(piece) ?? ids.size + 1;
    ids.set(piece, id);
    return id;
  };
  return (text) => {
    const tokens = text.split(/(?= )/).flatMap(pieces);
    return Promise.resolve({
      count: tokens.length,
      ...(withIds ? { ids: tokens.map(idOf) } : {}),
    });
  };
}

Deno.test("findOneTokenWords() finds exactly the words that are one token", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(399), { maxLength: 100 }),
      fc.boolean(),
      async (places, withIds) => {
        const bad = new Set(places.map((place) => ` ${OPTIONS.candidates[place]}`));
        const ask = tokenizer((word) => bad.has(word) ? [word, "x"] : [word], withIds);
        const found = await findOneTokenWords(ask, { ...OPTIONS, wanted: 400 });
        assert.deepEqual(
          [...found!.words].sort(),
          OPTIONS.candidates.map((word) => ` ${word}`).filter((word) => !bad.has(word)).sort(),
        );
        assert.equal(found!.ids?.length, withIds ? found!.words.length : undefined);
        assert.equal(found!.surplusTokens, 0);
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("findOneTokenWords() takes as starters only words that are one token without a space", async () => {
  const long = (word: string) => !word.startsWith(" ") && word.length > 4;
  const ask = tokenizer((word) => long(word) ? [word.slice(0, 2), word.slice(2)] : [word]);
  const found = await findOneTokenWords(ask, OPTIONS);
  assert.ok(found!.starters.length > 4);
  for (const starter of found!.starters) assert.ok(starter.length <= 4, starter);
  assert.equal(found!.words.length, 256);
});

Deno.test("findOneTokenWords() drops words that only go wrong beside another one", async () => {
  // A tokenizer of phrases: one word eats the space and the word after it, whatever that is.
  const glue = ` ${OPTIONS.candidates[30]}`;
  const alone = ` ${OPTIONS.candidates[31]}`;
  const plain = tokenizer((word) => [word]);
  // The pair that stands in the list's own order stays apart, so that sifting sees nothing.
  const ask: Ask = (text) =>
    plain(text.replace(new RegExp(`${glue} (?!${alone.trim()}\\b)`, "g"), `${glue}_`));
  const found = await findOneTokenWords(ask, OPTIONS);
  assert.ok(found !== undefined);
  assert.ok(!found.words.includes(glue));
});

Deno.test("findOneTokenWords() does not trust counts that come out wrong as a whole", async () => {
  const glue = ` ${OPTIONS.candidates[30]}`;
  const alone = ` ${OPTIONS.candidates[31]}`;
  const plain = tokenizer((word) => [word], false);
  const ask: Ask = (text) =>
    plain(text.replace(new RegExp(`${glue} (?!${alone.trim()}\\b)`, "g"), `${glue}_`));
  assert.equal(await findOneTokenWords(ask, OPTIONS), undefined);
});

Deno.test("findOneTokenWords() gives up soon where a letter is a token", async () => {
  let questions = 0;
  const letters = tokenizer((word) => [...word]);
  const ask: Ask = (text) => {
    questions++;
    return letters(text);
  };
  assert.equal(await findOneTokenWords(ask, OPTIONS), undefined);
  assert.ok(questions <= 64 + 16, `${questions} questions`);
});
