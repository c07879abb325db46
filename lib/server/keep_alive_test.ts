import assert from "node:assert/strict";
import { openRawConnection } from "../client/socket.ts";
import { closingServer } from "../../tests/support/closing_server.ts";
import { scriptedServer, whole } from "../../tests/support/scripted_server.ts";
import { accessTo, VLLM } from "../../tests/support/stand_in_scripts.ts";
import { startStandIn } from "../../tests/support/stand_ins.ts";
import { losesRequests, probeKeepAlive } from "./keep_alive.ts";

function access(url: string) {
  return accessTo(url, { openConnection: () => openRawConnection(url, undefined, 2000) });
}

Deno.test("probeKeepAlive() sees a server that closes behind its streamed answers", async () => {
  await using standIn = startStandIn(VLLM);
  for (
    const [closing, state] of [["always", "no"], ["never", "yes"], ["every third", "no"]] as const
  ) {
    using server = closingServer(standIn.url, closing);
    const found = await probeKeepAlive(access(server.url), "completions", "m");
    assert.equal(found.state, state, `${closing}: ${found.evidence}`);
    assert.equal(losesRequests(found), state === "no");
    assert.ok(server.requests.length >= 3);
  }
});

Deno.test("probeKeepAlive() has nothing against a close that is announced, nor against a refusal", async () => {
  using announcing = scriptedServer(async (_, connection) => {
    await connection.write(whole("200 OK", "data: [DONE]\n\n", "Connection: close\r\n"));
    connection.close();
  });
  const announced = await probeKeepAlive(access(announcing.url), "chat", "m");
  assert.equal(announced.state, "no");
  assert.equal(losesRequests(announced), false);
  using refusing = scriptedServer((_, connection) => connection.write(whole("401 No", "{}")));
  assert.equal((await probeKeepAlive(access(refusing.url), "chat", "m")).state, "unknown");
  assert.equal((await probeKeepAlive(access("http://127.0.0.1:1"), "chat", "m")).state, "unknown");
  assert.equal((await probeKeepAlive(accessTo(refusing.url), "chat", "m")).state, "unknown");
});
