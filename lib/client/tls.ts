/**
 * Trusting a server whose certificate nobody vouches for (`--insecure`).
 *
 * Deno's fetch has no option to accept any certificate. What can be done is to ask the server for
 * its certificates once, without checking them, and to name them as authorities from then on.
 * That accepts a self-signed certificate and one of an unknown authority whose chain is sent
 * along. It does not accept a wrong host name, an expired certificate, a self-signed authority
 * that is used as the server's own certificate (what `openssl req -x509` makes by default), or a
 * leaf without its chain.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import tls from "node:tls";
import { KvmarkError } from "../errors.ts";
import { oneLine } from "./failures.ts";

const TIMEOUT_MS = 10_000;

/** What is used of node's certificate objects. */
interface PeerCertificate {
  readonly raw?: Uint8Array;
  readonly issuerCertificate?: PeerCertificate;
}

/**
 * The certificates that a server shows, in PEM, unchecked: its own and those of its chain.
 *
 * @param url An https URL; only host and port count.
 * @throws {KvmarkError} `unreachable` if no TLS connection comes about.
 */
export async function peerCertificatePem(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const chain = await peerChain(host, Number(port || "443"));
  return chain.map(toPem).join("");
}

function peerChain(host: string, port: number): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      socket.destroy();
      reject(
        new KvmarkError("unreachable", `Cannot read the certificate of ${host}:${port}: ${why}`, {
          hint: "check the address, and that the server speaks TLS on this port",
        }),
      );
    };
    const isName = !/^[\d.]+$|:/.test(host);
    const options = { host, port, rejectUnauthorized: false, timeout: TIMEOUT_MS };
    const socket = tls.connect({ ...options, ...(isName ? { servername: host } : {}) }, () => {
      const chain = walk(socket.getPeerCertificate(true) as PeerCertificate);
      socket.destroy();
      if (chain.length === 0) fail("it shows none");
      else resolve(chain);
    });
    socket.on("timeout", () => fail(`no answer within ${TIMEOUT_MS} ms`));
    socket.on("error", (error: Error) => fail(oneLine(error.message)));
  });
}

function walk(first: PeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  let at: PeerCertificate | undefined = first;
  while (at?.raw !== undefined) {
    const id = Buffer.from(at.raw).toString("base64");
    if (seen.has(id)) break;
    seen.add(id);
    chain.push(at.raw);
    at = at.issuerCertificate;
  }
  return chain;
}

function toPem(der: Uint8Array): string {
  const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
