import assert from "node:assert/strict";
import type { Failure, RequestRecord } from "../record.ts";
import { spoiltBy } from "./restarts.ts";

function recordsWith(...failures: readonly (Failure | undefined)[]) {
  return { records: failures.map((failure) => ({ failure }) as RequestRecord) };
}

const REFUSED: Failure = { kind: "connect", message: "tcp connect error: Connection refused" };
const ABSENCE = { why: "it refuses connections", untilWallMs: 0 };

Deno.test("spoiltBy() names what happened, by the strongest witness", () => {
  const fine = recordsWith(undefined);
  const restart = { wallAtMs: 0, evidence: "its start time changed" };
  assert.match(
    spoiltBy(fine, { restart, isSame: false }, ABSENCE) ?? "",
    /^the server restarted at \d\d:\d\d:\d\d \(its start time changed\) \(it refuses connections until/,
  );
  assert.match(spoiltBy(fine, { isSame: false }, ABSENCE) ?? "", /was away .*: it restarted$/);
  assert.match(spoiltBy(fine, { isSame: true }, ABSENCE) ?? "", /its process is the same$/);
  assert.equal(spoiltBy(fine, { isSame: false }, undefined), undefined);
});

Deno.test("spoiltBy() takes refused connections for a restart, unless the process is the same", () => {
  const some = recordsWith(undefined, REFUSED, REFUSED);
  assert.match(spoiltBy(some, { isSame: false }, undefined) ?? "", /2 connections were refused/);
  assert.equal(spoiltBy(some, { isSame: true }, undefined), undefined);
  const other = recordsWith({ kind: "connect", message: "Cannot assign requested address" });
  assert.equal(spoiltBy(other, { isSame: false }, undefined), undefined, "that is the client's");
});
