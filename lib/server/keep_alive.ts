/**
 * Does the server keep its connection open after a streamed answer, as HTTP/1.1 lets it be
 * expected? Where it closes without having said so, the next request on that connection is lost
 * whenever it leaves before the close was seen: llama-server loses three in ten that way.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import { type Capability, no, unknown, yes } from "./facts.ts";
import type { ServerAccess } from "./http.ts";

/** So many connections, and so many answers on each that stays: a close now and then is seen too. */
const CONNECTIONS = 3;
const ANSWERS = 2;
/** A server that keeps a connection does so for seconds; one that drops it does so at once. */
const STAYS_OPEN_MS = 150;
const ANSWER_TIMEOUT_MS = 30_000;

/** The capability, for servers that are asked by a connection of the probe's own. */
export async function probeKeepAlive(
  access: ServerAccess,
  api: ApiKind,
  model: string,
): Promise<Capability> {
  if (access.openConnection === undefined) return unknown("not tried");
  const seen: AfterAnswer[] = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const one = await afterStreamedAnswer(access, api, model).catch((error) => String(error));
    if (one !== "open" && one !== "closed" && one !== "announced") {
      return unknown(`a connection of its own was not answered (${one})`);
    }
    seen.push(one);
  }
  const closed = seen.filter((one) => one === "closed").length;
  if (closed > 0) {
    return no(
      `${closed} of ${CONNECTIONS} connections were closed right after a streamed answer, ` +
        "without a word in its headers",
    );
  }
  return seen.includes("announced")
    ? no("it says Connection: close")
    : yes(`${CONNECTIONS} connections stayed open after a streamed answer`);
}

/** True where requests have to ask for a new connection each, so that none is lost. */
export function losesRequests({ state, evidence }: Capability): boolean {
  return state === "no" && !evidence.startsWith("it says");
}

type AfterAnswer = "open" | "closed" | "announced";

async function afterStreamedAnswer(
  access: ServerAccess,
  api: ApiKind,
  model: string,
): Promise<AfterAnswer | string> {
  const connection = await access.openConnection!();
  const timer = setTimeout(() => connection.close(), ANSWER_TIMEOUT_MS);
  try {
    let next: Promise<Uint8Array | undefined> | undefined;
    for (let answer = 0; answer < ANSWERS; answer++) {
      connection.write(requestText(access, api, model));
      let text = "";
      while (!isWhole(text)) {
        const bytes = await (next ?? connection.read());
        next = undefined;
        if (bytes === undefined) return text === "" ? "no answer" : "the answer has no end";
        text += new TextDecoder("latin1").decode(bytes);
      }
      if (!/^HTTP\/1\.1 200/.test(text)) return text.split("\r\n", 1)[0] ?? "";
      if (/^connection: *close/im.test(headOf(text))) return "announced";
      next = connection.read();
      if (!await staysOpen(next)) return "closed";
    }
    return "open";
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}

async function staysOpen(next: Promise<Uint8Array | undefined>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stays = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), STAYS_OPEN_MS);
  });
  const isOpen = await Promise.race([next.then((bytes) => bytes !== undefined), stays]);
  clearTimeout(timer);
  return isOpen;
}

function requestText(access: ServerAccess, api: ApiKind, model: string): string {
  const { host, pathname } = new URL(access.baseUrl);
  const path = `${pathname.replace(/\/$/, "")}/v1/${api === "chat" ? "chat/completions" : api}`;
  const content = "Say a word.";
  const prompt = api === "chat" ? { messages: [{ role: "user", content }] } : { prompt: content };
  const body = JSON.stringify({ model, max_tokens: 2, temperature: 0, stream: true, ...prompt });
  const headers = {
    host,
    "content-type": "application/json",
    "content-length": `${new TextEncoder().encode(body).length}`,
    ...access.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

function headOf(text: string): string {
  return text.slice(0, Math.max(0, text.indexOf("\r\n\r\n")));
}

/** Whether an answer is complete: by its length, else by the chunk of no bytes that ends it. */
function isWhole(text: string): boolean {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return false;
  const length = /^content-length: *(\d+)/im.exec(text.slice(0, headEnd))?.[1];
  const body = text.slice(headEnd + 4);
  return length === undefined ? /(^|\r\n)0\r\n\r\n$/.test(body) : body.length >= Number(length);
}
