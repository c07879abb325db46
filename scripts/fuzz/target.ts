/**
 * What a fuzz target is.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorKind, KvmarkError } from "../../lib/errors.ts";

/** One reader under test. */
export interface FuzzTarget {
  readonly name: string;
  /** Runs some cases. @throws At the first one that breaks a rule, with the smallest input found. */
  run(options: { readonly seed: number; readonly numRuns: number }): Promise<void>;
}

/** A target with the input that it takes. */
export function target<T>(
  name: string,
  input: fc.Arbitrary<T>,
  check: (value: T) => void | Promise<void>,
): FuzzTarget {
  return {
    name,
    run: (options) =>
      fc.assert(fc.asyncProperty(input, async (value) => void await check(value)), options),
  };
}

/** Lets errors for users pass, and nothing else. */
export async function onlyKvmarkErrors<T>(
  kinds: readonly ErrorKind[],
  act: () => T | Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof KvmarkError && kinds.includes(error.kind)) {
      assert.ok(error.message.length < 2000, "one clear error, and a short one");
      return undefined;
    }
    throw error;
  }
}
