import assert from "node:assert/strict";
import {
  SELF_SIGNED,
  SELF_SIGNED_AUTHORITY,
  type TestCertificate,
} from "../../tests/support/certificates.ts";
import { type Exchange, exchange } from "./stream.ts";
import { peerCertificatePem } from "./tls.ts";

/** Answers every request with `ok` over TLS. */
async function withTlsServer(
  certificate: TestCertificate,
  act: (port: number) => Promise<void>,
): Promise<void> {
  const options = { hostname: "127.0.0.1", port: 0, onListen: () => {}, ...certificate };
  const server = Deno.serve(options, () => new Response("ok"));
  try {
    await act(server.addr.port);
  } finally {
    await server.shutdown();
  }
}

async function ask(url: string, caCerts: string[]): Promise<Exchange> {
  using client = Deno.createHttpClient({ caCerts, http2: false });
  const body = new TextEncoder().encode("{}");
  const request = { requestId: "r", url, body, timeoutMs: 10_000, dueAtMs: 0 };
  const nowMs = () => performance.now();
  return await exchange(request, { worker: 0, headers: {}, nowMs, client });
}

Deno.test("peerCertificatePem() makes a self-signed server trusted, and only that one", async () => {
  await withTlsServer(SELF_SIGNED, async (port) => {
    const url = `https://localhost:${port}/`;
    const refused = await ask(url, []);
    assert.equal(refused.failure?.kind, "tls");
    assert.match(refused.failure?.message ?? "", /UnknownIssuer/);
    const pem = await peerCertificatePem(url);
    assert.equal(pem, SELF_SIGNED.cert);
    const trusted = await ask(url, [pem]);
    assert.equal(trusted.failure, undefined);
    assert.equal(new TextDecoder().decode(trusted.bytes), "ok");
    const other = await ask(url, [SELF_SIGNED_AUTHORITY.cert]);
    assert.equal(other.failure?.kind, "tls");
  });
});

Deno.test("exchange() says why a pinned certificate is refused: wrong name, an authority", async () => {
  await withTlsServer(SELF_SIGNED, async (port) => {
    const url = `https://127.0.0.1:${port}/`;
    const { failure } = await ask(url, [await peerCertificatePem(url)]);
    assert.equal(failure?.kind, "tls");
    assert.match(failure?.message ?? "", /not valid for name "127\.0\.0\.1"/);
  });
  await withTlsServer(SELF_SIGNED_AUTHORITY, async (port) => {
    const url = `https://localhost:${port}/`;
    const { failure } = await ask(url, [await peerCertificatePem(url)]);
    assert.equal(failure?.kind, "tls");
    assert.match(failure?.message ?? "", /CaUsedAsEndEntity/);
  });
});

Deno.test("peerCertificatePem() says why there is none", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const hungUp = listener.accept().then((connection) => connection.close());
  const url = `https://127.0.0.1:${port}/`;
  await assert.rejects(peerCertificatePem(url), { name: "KvmarkError", kind: "unreachable" });
  await hungUp;
  listener.close();
  await assert.rejects(peerCertificatePem(url), { kind: "unreachable", message: /refused/i });
});
