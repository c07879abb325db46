/**
 * Damaged inputs: bytes that were cut, flipped, doubled; JSON of which parts are something else.
 *
 * @module
 */

import fc from "fast-check";

/** One change of some bytes. */
interface ByteEdit {
  readonly kind: "flip" | "insert" | "delete" | "double" | "cut";
  /** Where, as a share of the length. */
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** Bytes that formats are made of come more often than others. */
const SPECIAL = [..."\n\r\0\"'{}[]:,\\#= \t-+eE0123456789"].map((one) => one.charCodeAt(0));
const oneByte = fc.oneof(
  fc.constantFrom(...SPECIAL, 0xef, 0xbb, 0xbf, 0xc3, 0xff),
  fc.integer({ min: 0, max: 255 }),
);

const byteEdit: fc.Arbitrary<ByteEdit> = fc.record({
  kind: fc.constantFrom("flip", "insert", "delete", "double", "cut"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 40 }),
  bytes: fc.array(oneByte, { minLength: 1, maxLength: 8 }).map((list) => Uint8Array.from(list)),
});

/** Zero to four changes. */
export const byteEdits: fc.Arbitrary<readonly ByteEdit[]> = fc.array(byteEdit, { maxLength: 4 });

/** The bytes after the changes. */
export function edited(
  bytes: Uint8Array<ArrayBuffer>,
  edits: readonly ByteEdit[],
): Uint8Array<ArrayBuffer> {
  return edits.reduce(editedOnce, bytes);
}

function editedOnce(bytes: Uint8Array<ArrayBuffer>, edit: ByteEdit): Uint8Array<ArrayBuffer> {
  const at = Math.floor(edit.at * bytes.length);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (edit.kind) {
    case "cut":
      return bytes.slice(0, at);
    case "delete":
      return joined(before, after.subarray(edit.length));
    case "insert":
      return joined(before, edit.bytes, after);
    case "double":
      return joined(before, after.subarray(0, edit.length), after);
    case "flip":
      return joined(before, edit.bytes, after.subarray(edit.bytes.length));
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Values that no reader expects. */
const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, "", "__proto__", "constructor", [], {}, [[]]),
  fc.constantFrom<unknown>(0, -1, 0.5, 1e12, 2 ** 53, 1e308, -1e308, 5e-324, "1", "NaN", "\u0000"),
  fc.integer(),
  fc.string({ unit: "grapheme", maxLength: 12 }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Which node is changed (a share of them), and to what; `undefined` takes it out. */
export type JsonEdit = readonly [at: number, value: unknown];

/** One to four changes of a JSON value. */
export const jsonEdits: fc.Arbitrary<readonly JsonEdit[]> = fc.array(
  fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    fc.option(hostileValue, { nil: undefined }),
  ),
  { minLength: 1, maxLength: 4 },
);

/** A copy of a JSON value with the changes. */
export function jsonEdited(base: unknown, edits: readonly JsonEdit[]): unknown {
  const root = { value: structuredClone(base) };
  for (const [at, value] of edits) {
    const nodes = nodesOf(root);
    const node = nodes[Math.floor(at * nodes.length)];
    if (node === undefined) break;
    const holder = node.holder as Record<string, unknown>;
    if (value === undefined) delete holder[node.key];
    else holder[node.key] = structuredClone(value);
  }
  return root.value;
}

interface Node {
  readonly holder: object;
  readonly key: string;
}

function nodesOf(holder: object): Node[] {
  return Object.entries(holder).flatMap(([key, value]) => {
    const inner = typeof value === "object" && value !== null ? nodesOf(value) : [];
    return [{ holder, key }, ...inner];
  });
}
