/**
 * Why an exchange failed, from what Deno's fetch says.
 *
 * Deno throws a `TypeError` for every network failure; the cause is told apart by its text. The
 * texts were read off Deno 2.9.6 against real sockets, and `stream_test.ts` does it again, so that
 * a new version that words them otherwise fails the tests.
 *
 * @module
 */

import type { Failure } from "../record.ts";

/** Longest message that is kept. */
const MESSAGE_CHARS = 300;

/**
 * The failure behind an error that fetch, or a read of its body, has thrown.
 *
 * @param gotHeaders True if the response had begun.
 */
export function failureOfThrown(
  error: unknown,
  gotHeaders: boolean,
): Failure {
  const text = errorText(error);
  if (gotHeaders) {
    return { kind: "disconnect", message: "the connection broke before the answer was complete" };
  }
  const connecting = /client error \(Connect\): (.*)$/s.exec(text)?.[1];
  if (connecting !== undefined) {
    const isTcp = /^(tcp connect error|dns error|tcp open error)/.test(connecting);
    return { kind: isTcp ? "connect" : "tls", message: oneLine(connecting) };
  }
  const sending = /client error \(SendRequest\): (.*)$/s.exec(text)?.[1];
  if (sending !== undefined) {
    return /invalid HTTP|parse/i.test(sending)
      ? { kind: "protocol", message: `the answer is not HTTP: ${oneLine(sending)}` }
      : { kind: "disconnect", message: oneLine(sending) };
  }
  const broken = /reset by peer|broken pipe|closed before|unexpected eof|aborted/i.test(text);
  return { kind: broken ? "disconnect" : "connect", message: oneLine(text) };
}

/** The innermost message: fetch wraps the cause in "fetch failed". */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? errorText(error.cause) : error.message;
}

/**
 * The failure behind a status other than 200.
 *
 * @param body Of the response, as far as it arrived.
 */
export function failureOfStatus(
  status: number,
  facts: { location?: string; retryAfter?: string; date?: string },
  body: string,
): Failure {
  const retryAfterMs = retryAfter(facts.retryAfter, facts.date);
  return {
    kind: "http_status",
    message: statusMessage(status, facts.location, body),
    status,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function statusMessage(status: number, location: string | undefined, body: string): string {
  if (status >= 300 && status < 400) {
    return `HTTP ${status}: redirected to ${bareLocation(location)}, which is not followed`;
  }
  const said = errorMessageIn(body) ?? (/^\s*</.test(body) ? "" : oneLine(body));
  return said === "" ? `HTTP ${status}` : `HTTP ${status}: ${said}`;
}

/** A Location without what may be secret in it. */
function bareLocation(location: string | undefined): string {
  if (location === undefined) return "nowhere (no Location)";
  const url = URL.parse(location);
  return oneLine(url === null ? location.split(/[?#]/)[0] ?? "" : url.origin + url.pathname);
}

/** The message of the error object in a JSON text, if there is one. */
function errorMessageIn(text: string): string | undefined {
  try {
    return errorMessage(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * The message of an error object as servers send it: `{"error": {"message"}}`, `{"error": "…"}`,
 * `{"object": "error", "message"}`, `{"detail": …}` or `{"message"}` with a `code` or `type`.
 */
export function errorMessage(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { error, object, message, detail, code, type } = value as Record<string, unknown>;
  if (typeof error === "string" && error !== "") return oneLine(error);
  if (typeof error === "object" && error !== null) {
    const { message: inner, n_ctx: limit } = error as Record<string, unknown>;
    if (typeof inner !== "string" || inner === "") return oneLine(JSON.stringify(error));
    // llama.cpp: the limit that a prompt went beyond; older ones name it in this field only.
    const isMissing = typeof limit === "number" && !inner.includes(`${limit}`);
    return oneLine(isMissing ? `${inner} (n_ctx ${limit})` : inner);
  }
  const isError = object === "error" || code !== undefined || type !== undefined;
  if (typeof message === "string" && isError) return oneLine(message);
  if (typeof detail === "string") return oneLine(detail);
  return detail === undefined ? undefined : oneLine(JSON.stringify(detail));
}

/** A delay in ms from a Retry-After header: seconds, or a date against the response's own date. */
function retryAfter(text: string | undefined, date: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Number(text) * 1000;
  const until = Date.parse(text);
  const from = Date.parse(date ?? "");
  if (Number.isNaN(until) || Number.isNaN(from)) return undefined;
  return Math.max(0, until - from);
}

/** Control characters and line breaks become spaces; what is too long is cut. */
export function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  const line = text.slice(0, 4 * MESSAGE_CHARS).replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ")
    .trim();
  return line.length <= MESSAGE_CHARS ? line : `${line.slice(0, MESSAGE_CHARS - 1)}…`;
}
