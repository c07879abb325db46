/**
 * Seeds and random streams that are the same on every machine.
 *
 * @module
 */

/**
 * A 64-bit seed for a named thing: FNV-1a over the parts, then the SplitMix64 finaliser.
 *
 * The parts are joined with a separator that cannot occur in a number, so `("a", 1)` and `("a1")`
 * differ. Source of the constants: the FNV and SplitMix64 reference code (public domain).
 *
 * @param parts What the seed is for, for instance run id, cell id and prompt index.
 * @returns An unsigned 64-bit integer.
 * @example
 * ```ts
 * import { seedFor } from "./random.ts";
 * console.log(seedFor("run-1", "8000_50", 7) === seedFor("run-1", "8000_50", 7)); // true
 * ```
 */
export function seedFor(...parts: readonly (string | number | bigint)[]): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(parts.join("\u0000"))) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return mix64(hash);
}

function mix64(value: bigint): bigint {
  let z = BigInt.asUintN(64, value + 0x9e3779b97f4a7c15n);
  z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** A stream of random numbers. */
export interface RandomStream {
  /** The next unsigned 32-bit integer. */
  nextUint32(): number;
  /** The next number in [0, 1). */
  nextFloat(): number;
  /** The next integer in [0, limit). */
  nextBelow(limit: number): number;
}

/**
 * The sfc32 generator (Chris Doty-Humphrey, PractRand, public domain): fast in 32-bit arithmetic,
 * period of at least 2^32, passes PractRand.
 *
 * @param seed A seed from {@linkcode seedFor}.
 */
export function randomStream(seed: bigint): RandomStream {
  let a = Number(seed & 0xffffffffn) | 0;
  let b = Number((seed >> 32n) & 0xffffffffn) | 0;
  let c = 0x9e3779b9 | 0;
  let counter = 1;
  const nextUint32 = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  };
  for (let i = 0; i < 12; i++) nextUint32();
  return {
    nextUint32,
    nextFloat: () => nextUint32() / 0x1_0000_0000,
    nextBelow: (limit) => Math.floor((nextUint32() / 0x1_0000_0000) * limit),
  };
}
