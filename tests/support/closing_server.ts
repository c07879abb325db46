/**
 * A server with the habit of llama-server's HTTP library: it promises to keep its connections, and
 * closes them right after every streamed answer.
 */

import {
  chunked,
  type ScriptedServer,
  scriptedServer,
  STREAM_END,
  whole,
} from "./scripted_server.ts";

/** When a connection is closed after a streamed answer. */
export type Closing = "always" | "never" | "every third";

/** Puts such a server in front of another one, which gives its answers. */
export function closingServer(upstream: string, closing: Closing = "always"): ScriptedServer {
  let streams = 0;
  return scriptedServer(async ({ head, body }, connection) => {
    const [method = "GET", path = "/"] = head.split(" ");
    const response = await fetch(`${upstream}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(method === "GET" ? {} : { body: new Uint8Array(body) }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "text/plain";
    if (!type.startsWith("text/event-stream")) {
      const status = `${response.status} ${response.statusText}`;
      return await connection.write(whole(status, text, `Content-Type: ${type}\r\n`));
    }
    const isAsked = /^connection: *close/im.test(head);
    const promise = isAsked ? "Connection: close" : "Keep-Alive: timeout=5, max=100";
    await connection.write(
      `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n${promise}\r\n\r\n`,
    );
    await connection.write(chunked(text));
    await connection.write(STREAM_END);
    const isTurn = closing === "always" || (closing === "every third" && ++streams % 3 === 0);
    if (isAsked || isTurn) connection.close();
  });
}
