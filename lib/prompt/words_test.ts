import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { ENGLISH_WORDS } from "./english_words.ts";
import { renderExactText, renderIds, renderText } from "./generator.ts";
import {
  memoryFiles,
  unigramTokenizer,
  wordPieceTokenizer,
} from "../../tests/support/tokenizers.ts";
import { type Encoder, loadTokenizerJson } from "./tokenizer.ts";
import { resolveVocabulary, type Vocabulary, type VocabularyOptions } from "./words.ts";

const segments = [{ seed: 1n, tokens: 700 }, { seed: 2n, tokens: 301 }];

/** Words 0, 10, 20, … are not one token for this tokenizer. */
const withGaps = ENGLISH_WORDS.filter((_, i) => i % 10 !== 0);
const gaps = ENGLISH_WORDS.filter((_, i) => i % 10 === 0);

function options(more: Partial<VocabularyOptions> = {}): VocabularyOptions {
  return { model: "org/model", files: memoryFiles(), env: () => undefined, offline: true, ...more };
}

/** An encoder that counts how often it is asked. */
function counted(encoder: Encoder): Encoder & { questions: number } {
  const counting = {
    source: "server /tokenize",
    questions: 0,
    encode(text: string) {
      counting.questions++;
      return encoder.encode(text);
    },
  };
  return counting;
}

async function assertExact(vocabulary: Vocabulary, encoder: Encoder): Promise<void> {
  assert.equal(vocabulary.encodeAndTrim, undefined);
  const ids = await encoder.encode(renderText(vocabulary, segments));
  assert.equal(ids.length, 1001);
  if (vocabulary.ids !== undefined) assert.deepEqual(ids, renderIds(vocabulary, segments));
}

Deno.test("resolveVocabulary() takes the tokenizer that was named, and drops offenders", async () => {
  const json = unigramTokenizer(withGaps);
  const files = memoryFiles({ "/m/tokenizer.json": JSON.stringify(json) });
  const vocabulary = await resolveVocabulary(options({ tokenizer: "/m", files }));
  assert.equal(vocabulary.proof, "encoded");
  assert.equal(vocabulary.words.length, 1024);
  assert.equal(vocabulary.starters.length, 1024);
  for (const gap of gaps) assert.ok(!vocabulary.words.includes(` ${gap}`));
  await assertExact(vocabulary, loadTokenizerJson(json, undefined, "test"));
  assert.match(vocabulary.notes.join("\n"), /1024 one-token words by the tokenizer.json in \/m/);
});

Deno.test("resolveVocabulary() asks /tokenize a few questions, not one for each word", async () => {
  const inner = loadTokenizerJson(unigramTokenizer(ENGLISH_WORDS), undefined, "test");
  const serverEncoder = counted(inner);
  const vocabulary = await resolveVocabulary(options({ serverEncoder }));
  assert.equal(vocabulary.source, "server /tokenize");
  assert.equal(vocabulary.words.length, 1024);
  assert.ok(serverEncoder.questions < 20, `${serverEncoder.questions} questions`);
  await assertExact(vocabulary, inner);
});

Deno.test("resolveVocabulary() finds the offenders of a server's tokenizer by halving", async () => {
  const few = ENGLISH_WORDS.filter((_, i) => i % 300 !== 5);
  const inner = loadTokenizerJson(unigramTokenizer(few), undefined, "test");
  const serverEncoder = counted(inner);
  const vocabulary = await resolveVocabulary(options({ serverEncoder }));
  assert.equal(vocabulary.words.length, 1024);
  assert.ok(serverEncoder.questions < 100, `${serverEncoder.questions} questions`);
  for (const word of vocabulary.words) assert.ok(few.includes(word.trim()));
  await assertExact(vocabulary, inner);
});

Deno.test("resolveVocabulary() never takes words that are all one unknown token", async () => {
  const known = ENGLISH_WORDS.slice(500, 1200);
  const json = wordPieceTokenizer(known);
  const files = memoryFiles({ "/m/tokenizer.json": JSON.stringify(json) });
  const vocabulary = await resolveVocabulary(options({ tokenizer: "/m/tokenizer.json", files }));
  const words = vocabulary.words.map((word) => word.trim());
  assert.ok(words.length >= 256);
  for (const word of words) assert.ok(known.includes(word), word);
  assert.equal(new Set(vocabulary.ids).size, words.length);
});

Deno.test("resolveVocabulary() encodes and trims where no word is one token", async () => {
  const json = unigramTokenizer([]);
  const files = memoryFiles({ "/m/tokenizer.json": JSON.stringify(json) });
  const vocabulary = await resolveVocabulary(options({ tokenizer: "/m", files }));
  const encoder = loadTokenizerJson(json, undefined, "test");
  const text = renderText(vocabulary, segments);
  for (const tokens of [2, 3, 999, 1000]) {
    const trimmed = vocabulary.encodeAndTrim!(text, tokens);
    assert.equal((await encoder.encode(trimmed)).length, tokens);
    assert.ok(text.startsWith(trimmed));
  }
  const exact = renderExactText(vocabulary, segments);
  assert.equal((await encoder.encode(exact)).length, 1001);
  const shared = renderExactText(vocabulary, segments.slice(0, 1));
  assert.ok(exact.startsWith(shared));
  assert.equal(vocabulary.encodeAndTrim!(text, 0), "");
  // The space that this tokenizer puts in front is a token of its own: there is no text of one.
  assert.throws(() => vocabulary.encodeAndTrim!(text, 1), RangeError);
  assert.match(vocabulary.notes.join("\n"), /encoded and trimmed/);
  assert.throws(() => vocabulary.encodeAndTrim!("short", 1000), RangeError);
});

Deno.test("resolveVocabulary() finds the served model in the Hugging Face cache", async () => {
  const repo = "/home/u/.cache/huggingface/hub/models--org--model";
  const json = JSON.stringify(unigramTokenizer(ENGLISH_WORDS));
  const files = memoryFiles({
    [`${repo}/refs/main`]: "abc\n",
    [`${repo}/snapshots/old/tokenizer.json`]: "damaged",
    [`${repo}/snapshots/abc/tokenizer.json`]: json,
  });
  const env = (name: string) => name === "HOME" ? "/home/u" : undefined;
  const vocabulary = await resolveVocabulary(options({ files, env }));
  assert.equal(vocabulary.source, "tokenizer.json of org/model (Hugging Face cache)");
  assert.equal(vocabulary.proof, "encoded");
});

Deno.test("resolveVocabulary() does not use a tokenizer that the server disagrees with", async () => {
  const files = memoryFiles({
    "/m/tokenizer.json": JSON.stringify(unigramTokenizer(ENGLISH_WORDS)),
  });
  const other = loadTokenizerJson(unigramTokenizer(withGaps), undefined, "server /tokenize");
  const byIds = await resolveVocabulary(options({ tokenizer: "/m", files, serverEncoder: other }));
  assert.equal(byIds.source, "server /tokenize");
  assert.ok(byIds.words.length >= 256);
  assert.match(byIds.notes[0]!, /is not used: the server makes \d+ tokens of a text of 256/);
  await assertExact(byIds, other);

  const countPromptTokens = async (text: string) => (await other.encode(text)).length;
  const byCount = await resolveVocabulary(options({ tokenizer: "/m", files, countPromptTokens }));
  assert.equal(byCount.proof, "calibrated");
  assert.match(byCount.notes[0]!, /is not used: the server counts/);
  await assertExact(byCount, other);
});

Deno.test("resolveVocabulary() does not use a tokenizer with other ids for the same words", async () => {
  const json = unigramTokenizer(ENGLISH_WORDS);
  const files = memoryFiles({ "/m/tokenizer.json": JSON.stringify(json) });
  const inner = loadTokenizerJson(json, undefined, "test");
  const serverEncoder = {
    source: "server /tokenize",
    encode: async (text: string) => (await inner.encode(text)).map((id) => id + 1),
  };
  const vocabulary = await resolveVocabulary(options({ tokenizer: "/m", files, serverEncoder }));
  assert.equal(vocabulary.source, "server /tokenize");
  assert.match(vocabulary.notes[0]!, /other token ids/);
});

Deno.test("resolveVocabulary() uses a tokenizer that the server's counts agree with", async () => {
  const json = unigramTokenizer(ENGLISH_WORDS);
  const files = memoryFiles({ "/m/tokenizer.json": JSON.stringify(json) });
  const inner = loadTokenizerJson(json, undefined, "test");
  // The count has an overhead of 7 left in it: only differences are compared.
  const countPromptTokens = async (text: string) => (await inner.encode(text)).length + 7;
  const vocabulary = await resolveVocabulary(
    options({ tokenizer: "/m", files, countPromptTokens }),
  );
  assert.equal(vocabulary.source, "tokenizer.json in /m");
});

Deno.test("resolveVocabulary() calibrates the built-in list against the server's counts", async () => {
  const few = ENGLISH_WORDS.filter((_, i) => i % 700 !== 5);
  const inner = loadTokenizerJson(unigramTokenizer(few), undefined, "test");
  let questions = 0;
  const countPromptTokens = async (text: string) => {
    questions++;
    return (await inner.encode(text)).length;
  };
  const vocabulary = await resolveVocabulary(options({ countPromptTokens }));
  assert.equal(vocabulary.proof, "calibrated");
  assert.equal(vocabulary.ids, undefined);
  assert.ok(questions < 60, `${questions} questions`);
  assert.ok(vocabulary.words.length >= 256);
  for (const word of vocabulary.words) assert.ok(few.includes(word.trim()));
  await assertExact(vocabulary, inner);
  assert.doesNotMatch(vocabulary.notes.join("\n"), /warning/);
});

Deno.test("resolveVocabulary() warns if the server counts more than the overhead explains", async () => {
  const inner = loadTokenizerJson(unigramTokenizer(ENGLISH_WORDS), undefined, "test");
  const countPromptTokens = async (text: string) => (await inner.encode(text)).length + 3;
  const vocabulary = await resolveVocabulary(options({ countPromptTokens }));
  assert.equal(vocabulary.proof, "calibrated");
  assert.match(vocabulary.notes.join("\n"), /warning: the server counts 3 tokens more/);
});

Deno.test("resolveVocabulary() says that sizes are a guess where nothing can be checked", async () => {
  const none = await resolveVocabulary(options());
  assert.equal(none.proof, "assumed");
  assert.match(none.notes.at(-1)!, /warning: sizes are a guess.*--tokenizer/);

  const noCount = await resolveVocabulary(
    options({ countPromptTokens: () => Promise.resolve(undefined) }),
  );
  assert.match(noCount.notes.at(-1)!, /reports no prompt tokens/);

  const countPromptTokens = () => Promise.reject(new Error("status 500"));
  const failing = await resolveVocabulary(options({ countPromptTokens }));
  assert.match(failing.notes.at(-1)!, /counting failed: status 500/);

  const letters = loadTokenizerJson(unigramTokenizer([]), undefined, "test");
  const broken = await resolveVocabulary(options({
    countPromptTokens: async (text) => (await letters.encode(text)).length,
  }));
  assert.equal(broken.proof, "assumed");
  assert.match(broken.notes.at(-1)!, /not one token each/);
});

Deno.test("resolveVocabulary() goes on where the server's /tokenize fails", async () => {
  const serverEncoder = {
    source: "server /tokenize",
    encode: () => Promise.reject(new Error("status 404")),
  };
  const vocabulary = await resolveVocabulary(options({ serverEncoder }));
  assert.equal(vocabulary.proof, "assumed");
  assert.match(vocabulary.notes[0]!, /server \/tokenize does not answer: status 404/);
});

Deno.test("resolveVocabulary() fails if the named tokenizer cannot be used", async () => {
  const files = memoryFiles({ "/m/tokenizer.json": "{" });
  await assert.rejects(
    resolveVocabulary(options({ tokenizer: "/m", files })),
    (error) =>
      error instanceof KvmarkError && error.kind === "io" && /not valid JSON/.test(error.message),
  );
});
