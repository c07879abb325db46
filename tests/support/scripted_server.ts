/**
 * A raw TCP server for the tests of the client: it sends exactly the bytes that a test says, in
 * exactly the writes that it says.
 */

/** One request as the server read it. */
export interface SeenRequest {
  readonly head: string;
  readonly body: Uint8Array;
  /** Index of the connection that it came on, from 0. */
  readonly connection: number;
}

/** The server's end of one connection, while it answers one request. */
export interface Answering {
  write(part: string | Uint8Array): Promise<void>;
  /** Ends the connection; with unread input the kernel sends a reset. */
  close(): void;
}

export interface ScriptedServer extends Disposable {
  readonly url: string;
  readonly port: number;
  readonly requests: SeenRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
}

/** Serves each request with `answer`. The connection stays open unless `answer` closes it. */
export function scriptedServer(
  answer: (request: SeenRequest, connection: Answering) => Promise<void> | void,
): ScriptedServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const requests: SeenRequest[] = [];
  const open = new Set<Deno.Conn>();
  let connections = 0;
  const close = (connection: Deno.Conn) => {
    if (open.delete(connection)) connection.close();
  };
  const accept = async () => {
    for await (const connection of listener) {
      open.add(connection);
      const index = connections++;
      serve(connection, index, async (request) => {
        requests.push(request);
        await answer(request, {
          write: (part) => writeAll(connection, part),
          close: () => close(connection),
        });
      }).catch(() => {}).finally(() => close(connection));
    }
  };
  accept().catch(() => {});
  const { port } = listener.addr as Deno.NetAddr;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    get connections() {
      return connections;
    },
    [Symbol.dispose]() {
      listener.close();
      for (const connection of [...open]) close(connection);
    },
  };
}

async function writeAll(connection: Deno.Conn, part: string | Uint8Array): Promise<void> {
  const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
  for (let done = 0; done < bytes.length;) done += await connection.write(bytes.subarray(done));
}

async function serve(
  connection: Deno.Conn,
  index: number,
  onRequest: (request: SeenRequest) => Promise<void>,
): Promise<void> {
  let pending = new Uint8Array();
  const chunk = new Uint8Array(64 * 1024);
  const more = async (): Promise<boolean> => {
    const count = await connection.read(chunk);
    if (count === null) return false;
    const joined = new Uint8Array(pending.length + count);
    joined.set(pending);
    joined.set(chunk.subarray(0, count), pending.length);
    pending = joined;
    return true;
  };
  while (true) {
    let headEnd: number;
    while ((headEnd = new TextDecoder("latin1").decode(pending).indexOf("\r\n\r\n")) < 0) {
      if (!await more()) return;
    }
    const head = new TextDecoder("latin1").decode(pending.subarray(0, headEnd));
    let whole = bodyIn(head, pending.subarray(headEnd + 4));
    while (whole === undefined) {
      if (!await more()) return;
      whole = bodyIn(head, pending.subarray(headEnd + 4));
    }
    const { body, taken } = whole;
    pending = pending.slice(headEnd + 4 + taken);
    await onRequest({ head, body, connection: index });
  }
}

/** The body of a request and the bytes that it takes on the wire; `undefined` if some are missing. */
function bodyIn(
  head: string,
  bytes: Uint8Array<ArrayBuffer>,
): { body: Uint8Array<ArrayBuffer>; taken: number } | undefined {
  if (!/^transfer-encoding: *chunked/im.test(head)) {
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    return bytes.length < length ? undefined : { body: bytes.slice(0, length), taken: length };
  }
  const text = new TextDecoder("latin1").decode(bytes);
  let content = "";
  for (let at = 0;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = parseInt(text.slice(at, lineEnd), 16);
    const end = lineEnd + 2 + size + 2;
    if (text.length < end) return undefined;
    content += text.slice(lineEnd + 2, lineEnd + 2 + size);
    if (size === 0) {
      return { body: Uint8Array.from(content, (c) => c.charCodeAt(0)), taken: end };
    }
    at = end;
  }
}

/** Head of a chunked answer of status 200. */
export const STREAM_HEAD =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/** The end of a chunked answer. */
export const STREAM_END = "0\r\n\r\n";

/** One chunk of a chunked answer. */
export function chunked(part: string | Uint8Array): Uint8Array {
  const bytes = typeof part === "string" ? new TextEncoder().encode(part) : part;
  const head = new TextEncoder().encode(`${bytes.length.toString(16)}\r\n`);
  const whole = new Uint8Array(head.length + bytes.length + 2);
  whole.set(head);
  whole.set(bytes, head.length);
  whole.set([13, 10], head.length + bytes.length);
  return whole;
}

/** An answer with a Content-Length. */
export function whole(status: string, body: string, headers = ""): string {
  const length = new TextEncoder().encode(body).length;
  return `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${headers}\r\n${body}`;
}
