import assert from "node:assert/strict";
import { blockKeys, chainKey, contentHash, hashText, rootKey } from "./block_hash.ts";

function count(n: number, from = 0): number[] {
  return Array.from({ length: n }, (_, i) => from + i);
}

Deno.test("blockKeys() has one key for each full block, equal for equal prefixes only", () => {
  const a = blockKeys(count(50), 16);
  assert.equal(a.length, 3);
  assert.deepEqual(blockKeys(count(32), 16), a.slice(0, 2));
  const changed = count(50);
  changed[0] = 999;
  blockKeys(changed, 16).forEach((key, i) => assert.notEqual(key, a[i]));
  const late = count(50);
  late[33] = 999;
  assert.deepEqual(blockKeys(late, 16).slice(0, 2), a.slice(0, 2));
  assert.notEqual(blockKeys(late, 16)[2], a[2]);
});

Deno.test("blockKeys() keeps salts apart", () => {
  const keys = [undefined, "", "a", "b"].map((salt) => blockKeys(count(16), 16, salt)[0]);
  assert.equal(new Set(keys).size, 4);
  assert.equal(rootKey("å"), rootKey("å"));
  assert.notEqual(rootKey("å"), rootKey("ä"));
});

Deno.test("contentHash() and chainKey() do not collide on a million near-equal blocks", () => {
  const seen = new Set<number>();
  const block = count(16, 1000);
  for (let i = 0; i < 500_000; i++) {
    block[i & 15] = (i * 7919) % 4096;
    block[(i + 5) & 15] = i;
    const content = contentHash(block, 0, 16);
    assert.ok(Number.isSafeInteger(content) && content >= 0);
    seen.add(content);
    seen.add(chainKey(content, i & 3));
  }
  assert.equal(seen.size, 1_000_000);
});

Deno.test("chainKey() depends on the order and on every bit of the parent", () => {
  assert.notEqual(chainKey(1, 2), chainKey(2, 1));
  const keys = new Set<number>();
  for (let bit = 0; bit < 53; bit++) {
    keys.add(chainKey(2 ** bit, 5));
    keys.add(chainKey(5, 2 ** bit));
  }
  assert.equal(keys.size, 106);
});

Deno.test("hashText() is 14 hexadecimal digits", () => {
  assert.equal(hashText(255), "000000000000ff");
  assert.equal(hashText(2 ** 53 - 1), "1fffffffffffff");
});
