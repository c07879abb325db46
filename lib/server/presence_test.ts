import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { send, type ServerAccess } from "./http.ts";
import { Presence } from "./presence.ts";

/** A server that is there or not at each second of a clock that only sleeping moves. */
function serverOver(isThere: (atMs: number) => boolean | number, waitMs = 60_000) {
  let nowMs = 0;
  const said: string[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    wallMs: () => nowMs,
    sleep: (ms) => Promise.resolve(void (nowMs += ms)),
  };
  const bare: ServerAccess = {
    baseUrl: "http://server",
    headers: {},
    fetch: (url) => {
      const state = isThere(nowMs);
      if (state === false) {
        return Promise.reject(new TypeError("Connection refused (os error 111)"));
      }
      const status = typeof state === "number" ? state : 200;
      const body = String(url).endsWith("/v1/models") ? `{"data":[{"id":"m"}]}` : "{}";
      return Promise.resolve(new Response(body, { status }));
    },
  };
  const presence = new Presence({ access: bare, clock, waitMs, say: (text) => said.push(text) });
  const access = { ...bare, patience: presence };
  return { access, presence, said, at: (ms: number) => nowMs = ms };
}

Deno.test("send() waits for a server that has answered before, and says so", async () => {
  const server = serverOver((atMs) => atMs < 1000 || atMs > 5000);
  await send(server.access, { path: "/x" });
  server.at(1500);
  const { status } = await send(server.access, { path: "/x" });
  assert.equal(status, 200);
  assert.equal(server.presence.absences, 1);
  assert.equal(server.said.length, 2);
  assert.match(server.said[0] ?? "", /went away at .*it refuses connections.*at most 60 s/);
  assert.match(server.said[1] ?? "", /answers again at .*, after \d/);
});

Deno.test("send() does not wait for a server that was never there, nor longer than told", async () => {
  const never = serverOver(() => false);
  await assert.rejects(send(never.access, { path: "/x" }), /connection refused/);
  assert.deepEqual(never.said, []);
  const gone = serverOver((atMs) => atMs < 1000, 100_000);
  await send(gone.access, { path: "/x" });
  gone.at(2000);
  await assert.rejects(
    send(gone.access, { path: "/x" }),
    (error) =>
      error instanceof KvmarkError && error.kind === "unreachable" &&
      /is not back after 100 s/.test(error.message),
  );
  assert.equal(gone.said.filter((line) => /still away/.test(line)).length, 3, "every 30 s");
});

Deno.test("whyAway() knows a server that loads its model from one that never was healthy", async () => {
  const loads = serverOver((atMs) => atMs < 1000 ? true : 503);
  assert.equal(await loads.presence.whyAway(), undefined);
  loads.at(1000);
  assert.equal(await loads.presence.whyAway(), "/health answers 503");
  const odd = serverOver(() => 503);
  assert.equal(await odd.presence.whyAway(), undefined, "it has always said so");
  const blip = serverOver((atMs) => atMs > 0);
  assert.equal(await blip.presence.whyAway(), undefined, "it is asked twice");
});
