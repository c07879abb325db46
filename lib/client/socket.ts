/**
 * A plain connection to a server, for what `fetch` hides: whether the server closes it.
 *
 * @module
 */

import net from "node:net";
import tls from "node:tls";

/** A connection that was opened. */
export interface OpenedConnection {
  write(text: string): void;
  /** What comes next; `undefined` once the server has closed its side. Never rejects. */
  read(): Promise<Uint8Array | undefined>;
  close(): void;
}

/**
 * Connects to host and port of a URL.
 *
 * @param caPem Certificate authorities to trust besides those of the system.
 * @throws {Error} If no connection comes about within `timeoutMs`.
 */
export function openRawConnection(
  url: string,
  caPem: string | undefined,
  timeoutMs: number,
): Promise<OpenedConnection> {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  const isTls = protocol === "https:";
  const at = { host, port: Number(port || (isTls ? "443" : "80")) };
  return new Promise((resolve, reject) => {
    const opened = () => {
      clearTimeout(timer);
      resolve(readable(socket));
    };
    const isName = !/^[\d.]+$|:/.test(host);
    const socket = isTls
      ? tls.connect({
        ...at,
        ...(isName ? { servername: host } : {}),
        ...(caPem === undefined ? {} : { ca: [...tls.rootCertificates, caPem] }),
      }, opened)
      : net.connect(at, opened);
    const timer = setTimeout(
      () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.on("error", (error: Error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

function readable(socket: net.Socket): OpenedConnection {
  const arrived: Uint8Array[] = [];
  let isClosed = false;
  let wake = () => {};
  socket.on("data", (bytes: Uint8Array) => {
    arrived.push(bytes);
    wake();
  });
  const onClose = () => {
    isClosed = true;
    wake();
  };
  socket.on("end", onClose);
  socket.on("close", onClose);
  return {
    write: (text) => void socket.write(text),
    async read() {
      while (arrived.length === 0 && !isClosed) {
        await new Promise<void>((resolve) => wake = resolve);
      }
      return arrived.shift();
    },
    close: () => void socket.destroy(),
  };
}
