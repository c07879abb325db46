/**
 * Tokenizers: from a file, the Hugging Face cache or the hub.
 *
 * @module
 */

/** Turns text into token ids, without special tokens. */
export interface Encoder {
  /** Where it comes from, for messages: `tokenizer.json of Qwen/Qwen3-8B (Hugging Face cache)`. */
  readonly source: string;
  encode(text: string): Promise<number[]>;
}
