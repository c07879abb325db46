/**
 * Text of exactly n tokens for tokenizers that have no one-token words: slow, but exact.
 *
 * @module
 */

/** Ends that are tried where no cut of the text has exactly the tokens that are asked for. */
const FILLERS = ["a", " a", ".", " .", "1", "\n", "x", " x"];

/** A place in a text, and the tokens of the text up to there. */
interface Cut {
  readonly at: number;
  readonly tokens: number;
}

/**
 * The beginning of `text` that encodes to exactly `tokens` tokens.
 *
 * The place is found by interpolation, which takes two or three encodings for a long text. Where
 * the count jumps over `tokens`, the end is mended with a filler.
 *
 * @throws {RangeError} If the text has fewer tokens, or no cut and no filler fits.
 */
export function encodeAndTrim(
  encode: (text: string) => readonly number[],
  text: string,
  tokens: number,
): string {
  if (tokens === 0) return "";
  const count = (part: string) => encode(part).length;
  let low: Cut = { at: 0, tokens: 0 };
  let high: Cut = { at: text.length, tokens: count(text) };
  if (high.tokens === tokens) return text;
  if (high.tokens < tokens) {
    throw new RangeError(`Cannot trim to ${tokens} tokens: the text has ${high.tokens}`);
  }
  for (let step = 0; high.at - low.at > 1; step++) {
    const at = step < 8 ? interpolate(low, high, tokens) : (low.at + high.at) >> 1;
    const cut = { at, tokens: count(text.slice(0, at)) };
    if (cut.tokens === tokens) return text.slice(0, at);
    if (cut.tokens < tokens) low = cut;
    else high = cut;
  }
  for (let back = 0; back <= 8 && back <= low.at; back++) {
    const kept = text.slice(0, low.at - back);
    for (const filler of FILLERS) {
      for (let repeats = 1; repeats <= 4; repeats++) {
        const mended = kept + filler.repeat(repeats);
        if (count(mended) === tokens) return mended;
      }
    }
  }
  throw new RangeError(`Cannot trim to ${tokens} tokens: no cut of the text has exactly these`);
}

function interpolate(low: Cut, high: Cut, tokens: number): number {
  const share = (tokens - low.tokens) / (high.tokens - low.tokens);
  const at = low.at + Math.round(share * (high.at - low.at));
  return Math.min(Math.max(at, low.at + 1), high.at - 1);
}
