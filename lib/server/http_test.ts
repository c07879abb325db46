import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import {
  asCount,
  connectionError,
  excerpt,
  printableUrl,
  refusal,
  send,
  type ServerAccess,
} from "./http.ts";

const SECRET = "sk-very-secret-1";

function access(fetching: typeof fetch, more: Partial<ServerAccess> = {}): ServerAccess {
  const headers = { authorization: `Bearer ${SECRET}` };
  return { baseUrl: "http://server:8000", headers, fetch: fetching, ...more };
}

async function failure(fetching: typeof fetch, more: Partial<ServerAccess> = {}) {
  const error = await send(access(fetching, more), { path: "/x" }).then(() => {}, (e) => e);
  assert.ok(error instanceof KvmarkError);
  assert.ok(error.hint);
  return error;
}

function failing(message: string): typeof fetch {
  return () => Promise.reject(new TypeError("fetch failed", { cause: new Error(message) }));
}

Deno.test("send() says what happened to the connection, and what to do", async () => {
  const cases: [string, RegExp, RegExp][] = [
    [
      "client error (Connect): tcp connect error: Connection refused",
      /refused/,
      /start the server/,
    ],
    ["dns error: failed to lookup address information", /cannot be resolved/, /host name/],
    ["received corrupt message of type InvalidContentType", /not speak TLS/, /http:\/\//],
    ["invalid peer certificate: UnknownIssuer", /certificate/, /--ca/],
    ["client error (SendRequest): invalid HTTP version parsed", /not HTTP/, /https/],
    ["connection closed before message completed", /closed/, /log of the server/],
    ["No route to host (os error 113)", /cannot be reached/, /network/],
  ];
  for (const [message, what, hint] of cases) {
    const error = await failure(failing(message));
    assert.equal(error.kind, "unreachable");
    assert.match(error.message, what);
    assert.match(error.hint ?? "", hint);
  }
});

Deno.test("send() is not misled by a host that is called like a fault", async () => {
  const message = "error sending request for url (http://tls-dns-ssl/): Connection refused";
  assert.match((await failure(failing(message))).message, /connection refused/);
});

Deno.test("send() never prints a key, whatever the runtime says", async () => {
  for (const message of [`odd ${SECRET}`, `Invalid header value: "Bearer ${SECRET}\n"`]) {
    const error = await failure(() => Promise.reject(new TypeError(message)));
    assert.doesNotMatch(`${error.message} ${error.hint}`, /secret/);
  }
  const secretive = { baseUrl: "http://me:hunter2@server" };
  assert.doesNotMatch((await failure(failing("Connection refused"), secretive)).message, /hunter2/);
});

Deno.test("send() gives up after its timeout", async () => {
  const never: typeof fetch = (_, init) =>
    new Promise((_, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
    });
  const keepAlive = setInterval(() => {}, 1000);
  const error = await failure(never, { timeoutMs: 20 });
  clearInterval(keepAlive);
  assert.match(error.message, /does not answer within 0.02 s/);
});

Deno.test("send() takes any status and body as an answer", async () => {
  for (const [text, json] of [["{", undefined], ["[1]", [1]], ["", undefined]] as const) {
    const reply = await send(access(() => Promise.resolve(new Response(text, { status: 418 }))), {
      path: "/x",
    });
    assert.deepEqual([reply.status, reply.text, reply.json], [418, text, json]);
  }
});

Deno.test("send() reads no more of a body than it may", async () => {
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1000).fill(65)),
    cancel: () => void (cancelled = true),
  });
  const reply = await send(access(() => Promise.resolve(new Response(endless))), {
    path: "/x",
    maxBytes: 2500,
  });
  assert.deepEqual([reply.text.length, reply.truncated, cancelled], [2500, true, true]);
});

Deno.test("send() follows no redirect", async () => {
  const seen: RequestInit[] = [];
  const fetching: typeof fetch = (_, init) => {
    seen.push(init ?? {});
    return Promise.resolve(new Response(null, { status: 307, headers: { location: "/y" } }));
  };
  assert.equal((await send(access(fetching), { path: "/x" })).status, 307);
  assert.equal(seen[0]?.redirect, "manual");
});

Deno.test("connectionError() tells an interrupted run from a dead server", () => {
  const interrupted = access(fetch, { signal: AbortSignal.abort() });
  const error = connectionError(interrupted, "http://x/", new DOMException("a", "AbortError"), 1);
  assert.equal(error.kind, "interrupted");
});

Deno.test("excerpt() quotes what the server says, short and without the key", async () => {
  const said = async (body: unknown) => {
    const answers = () => Promise.resolve(Response.json(body, { status: 400 }));
    return excerpt(access(answers), await send(access(answers), { path: "/x" }));
  };
  assert.equal(await said({ error: { message: `bad ${SECRET}\n key` } }), `: "bad *** key"`);
  assert.equal(await said({ detail: "Not Found" }), `: "Not Found"`);
  assert.equal((await said({ message: "x".repeat(500) })).length, 164);
});

Deno.test("printableUrl() leaves user and password out", () => {
  assert.equal(printableUrl("http://me:pw@host:1/v1/models"), "http://host:1/v1/models");
  assert.equal(printableUrl("http://host:1"), "http://host:1");
});

Deno.test("asCount() takes counts and refuses everything else", () => {
  assert.deepEqual(["16", 16, 0, 1.5].map(asCount), [16, 16, 0, 1.5]);
  for (const odd of [-1, NaN, Infinity, "", " ", "x", null, undefined, [], {}, true]) {
    assert.equal(asCount(odd), undefined);
  }
});

Deno.test("refusal() of a redirect names the new address, and survives one that is no address", async () => {
  const hint = async (location: string) => {
    const redirect = () =>
      Promise.resolve(new Response(null, { status: 307, headers: { location } }));
    const server = access(redirect);
    return refusal(server, await send(server, { path: "/v1/models" }), "the list").hint ?? "";
  };
  assert.match(await hint("https://other/v1/models"), /redirects to https:\/\/other\/v1\/models/);
  assert.match(await hint("/there"), /redirects to http:\/\/server:8000\/there/);
  for (const location of ["http://", "//[", "http://h:99999/"]) {
    assert.match(await hint(location), /redirects: give its final address/, location);
  }
});
