/**
 * Golden files: output that is compared with a stored copy, character by character.
 *
 * `deno task goldens` runs the tests that have the word golden in their name, and writes their files
 * anew. A test whose golden was written fails in that run, so that
 * a new golden is looked at before it counts.
 *
 * @module
 */

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const HEADER = "# Regenerate: deno task goldens\n";

/** Where the goldens are, and whether they are written. */
export interface GoldenOptions {
  /** @default {tests/goldens} */
  readonly dir?: string;
  /** @default {whether KVMARK_GOLDENS is "write"} */
  readonly write?: boolean;
}

/**
 * Compares a text with `tests/goldens/<name>`.
 *
 * @throws {assert.AssertionError} If they differ, or if the golden was written.
 */
export async function assertGolden(
  name: string,
  actual: string,
  options: GoldenOptions = {},
): Promise<void> {
  const dir = options.dir ?? fileURLToPath(new URL("../goldens", import.meta.url));
  const write = options.write ?? Deno.env.get("KVMARK_GOLDENS") === "write";
  const path = `${dir}/${name}`;
  const expected = await readIfThere(path);
  if (expected === HEADER + actual) return;
  if (write) {
    await Deno.mkdir(dirname(path), { recursive: true });
    await Deno.writeTextFile(path, HEADER + actual);
    assert.fail(`Golden ${name} was written: look at the difference, then run the test again`);
  }
  if (expected === undefined) assert.fail(`Golden ${name} is missing: run deno task goldens`);
  assert.equal(
    actual,
    expected.startsWith(HEADER) ? expected.slice(HEADER.length) : expected,
    `Golden ${name} differs; if the new text is right, run deno task goldens`,
  );
  assert.fail(`Golden ${name} does not begin with "${HEADER.trim()}"`);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
