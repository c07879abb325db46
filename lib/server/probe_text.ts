/**
 * Text for probes: common words in an order that no other probe has.
 *
 * @module
 */

import { randomStream, seedFor } from "../random.ts";

/** One token each, with the space before it, in the vocabularies of the common models. */
const WORDS =
  ("time year people way day man thing woman life child world school state family student group " +
    "country problem hand part place case week company system program question work government " +
    "number night point home water room mother area money story fact month lot right study book " +
    "eye job word business issue side kind head house service friend father power hour game line " +
    "end member law car").split(" ");

/**
 * `count` words that start with a word, not a space, and are the same for the same arguments.
 *
 * @param nonce Unlike that of any other probe; the words follow from it.
 * @param label Tells texts of one nonce apart.
 * @example
 * ```ts
 * import { probeText } from "./probe_text.ts";
 * console.log(probeText("n", "a", 300).startsWith(probeText("n", "a", 200))); // true
 * ```
 */
export function probeText(nonce: string, label: string, count: number): string {
  const stream = randomStream(seedFor("probe", nonce, label));
  return Array.from({ length: count }, () => WORDS[stream.nextBelow(WORDS.length)]).join(" ");
}
