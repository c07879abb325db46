/**
 * Hashes of KV blocks. A block's key covers its own tokens and all tokens before it, so that two
 * blocks have the same key only if they end the same prefix, as in vLLM.
 *
 * @module
 */

const LOW_32_BITS = 0x1_0000_0000;

/**
 * A 53-bit hash of two 32-bit lanes: multiply-xor rounds as in cyrb53 (public domain), with the
 * murmur3 finaliser. 53 bits fit a number; a million different blocks collide with a chance of
 * less than one in ten thousand.
 */
function combine(high: number, low: number): number {
  let a = high;
  let b = low;
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return (b & 0x1fffff) * LOW_32_BITS + (a >>> 0);
}

/** Hash of tokens `[from, to)`, whatever stands before them. */
export function contentHash(tokens: ArrayLike<number>, from: number, to: number): number {
  let a = 0xdeadbeef ^ (to - from);
  let b = 0x41c6ce57;
  for (let i = from; i < to; i++) {
    const token = tokens[i] as number;
    a = Math.imul(a ^ token, 0x9e3779b1);
    a = (a << 13) | (a >>> 19);
    b = Math.imul(b ^ token, 0x5f356495);
    b = (b << 17) | (b >>> 15);
  }
  return combine(a, b);
}

/** Key of a block from the key of the block before it (or {@linkcode rootKey}) and its content. */
export function chainKey(parentKey: number, content: number): number {
  const a = Math.imul((parentKey % LOW_32_BITS) ^ 0x2545f491, 0x9e3779b1) ^ (content | 0);
  const b = Math.imul(Math.floor(parentKey / LOW_32_BITS) ^ 0x27d4eb2f, 0x5f356495) ^
    Math.floor(content / LOW_32_BITS);
  return combine(Math.imul(a, 0x85ebca77) ^ b, Math.imul(b, 0xc2b2ae3d) ^ ((a << 15) | (a >>> 17)));
}

/** Where a chain starts: one name space for each `cache_salt`. */
export function rootKey(cacheSalt: string | undefined): number {
  if (cacheSalt === undefined) return 0;
  const bytes = new TextEncoder().encode(cacheSalt);
  return contentHash(bytes, 0, bytes.length) + 1;
}

/** Keys of all full blocks of a prompt. */
export function blockKeys(
  tokens: ArrayLike<number>,
  blockTokens: number,
  cacheSalt?: string,
): number[] {
  const keys: number[] = [];
  let parent = rootKey(cacheSalt);
  for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
    parent = chainKey(parent, contentHash(tokens, end - blockTokens, end));
    keys.push(parent);
  }
  return keys;
}

/** A hash as 14 hexadecimal digits. */
export function hashText(hash: number): string {
  return hash.toString(16).padStart(14, "0");
}
