import assert from "node:assert/strict";
import fc from "fast-check";
import { LruMap } from "./lru.ts";

Deno.test("LruMap keeps the order of a plain Map whose entries are re-inserted", () => {
  const step = fc.record({ key: fc.nat(6), remove: fc.boolean() });
  fc.assert(fc.property(fc.array(step), (steps) => {
    const lru = new LruMap<number>();
    const model = new Map<number, number>();
    steps.forEach(({ key, remove }, n) => {
      if (remove) assert.equal(lru.delete(key), model.delete(key));
      else {
        lru.set(key, n);
        model.delete(key);
        model.set(key, n);
      }
      assert.equal(lru.oldest(), model.keys().next().value);
      assert.equal(lru.size, model.size);
      assert.equal(lru.get(key), model.get(key));
      assert.equal(lru.has(key), model.has(key));
    });
    while (model.size > 0) {
      const oldest = model.keys().next().value as number;
      assert.equal(lru.oldest(), oldest);
      lru.delete(oldest);
      model.delete(oldest);
    }
    assert.equal(lru.oldest(), undefined);
  }));
});
