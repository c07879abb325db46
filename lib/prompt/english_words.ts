/**
 * The built-in list of English words, in a fixed random order.
 *
 * @module
 */

import { randomStream, seedFor } from "../random.ts";
import list from "../../assets/words.txt" with { type: "text" };

/** Bare lowercase words. The beginning of the list is a fair sample of the whole. */
export const ENGLISH_WORDS: readonly string[] = shuffled(
  list.split(/\r?\n/).filter((line) => /^[a-z]+$/.test(line)),
);

/** The same order on every machine, so that every machine builds the same prompts. */
function shuffled(words: readonly string[]): string[] {
  const order = [...words];
  const stream = randomStream(seedFor("order of the English words"));
  for (let i = order.length - 1; i > 0; i--) {
    const j = stream.nextBelow(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
