import assert from "node:assert/strict";
import { Turns } from "./turns.ts";

/** Turns that pass when the test says so. */
function steps() {
  const waiting: (() => void)[] = [];
  return {
    nextTurn: (callback: () => void) => void waiting.push(callback),
    pass: () => waiting.splice(0).forEach((callback) => callback()),
  };
}

Deno.test("Turns gives each its own turn, in the order of asking, and none in this one", () => {
  const { nextTurn, pass } = steps();
  const turns = new Turns(nextTurn);
  const seen: string[] = [];
  for (const name of ["a", "b", "c"]) turns.take(() => seen.push(name));
  assert.equal(seen.length, 0);
  pass();
  assert.deepEqual(seen, ["a"]);
  turns.take(() => seen.push("d"));
  for (let n = 0; n < 4; n++) pass();
  assert.deepEqual(seen, ["a", "b", "c", "d"]);
  turns.take(() => seen.push("e"));
  pass();
  assert.equal(seen.at(-1), "e", "it goes on after it was idle");
});

Deno.test("Turns.whenIdle() calls back when nobody waits any more, once", () => {
  const { nextTurn, pass } = steps();
  const turns = new Turns(nextTurn);
  let idle = 0;
  turns.whenIdle(() => idle++);
  assert.equal(idle, 1, "at once if nobody waits");
  turns.take(() => {});
  turns.take(() => {});
  turns.whenIdle(() => idle++);
  pass();
  assert.equal(idle, 1);
  pass();
  pass();
  assert.equal(idle, 2);
});

Deno.test("Turns waits for a turn of the event loop by itself", async () => {
  const seen: string[] = [];
  await new Promise<void>((resolve) => {
    const turns = new Turns();
    turns.take(() => seen.push("first"));
    turns.take(() => (seen.push("second"), resolve()));
    seen.push("this turn");
  });
  assert.deepEqual(seen, ["this turn", "first", "second"]);
});
