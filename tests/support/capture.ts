/**
 * The text form of a golden capture: one answer of a real server, as it arrived. Written by
 * `scripts/record_capture.ts`, read by the tests of the decoders and of the scripted stand-ins.
 *
 * ```text
 * # Comment lines: what it is, and the command that records it again.
 * request POST /v1/completions
 * request-body {"model":"kvmark-tiny","prompt":"Hello"}
 * status 200
 * header content-type: text/event-stream; charset=utf-8
 * read 31.7 "data: {\"id\":…}\n\n"
 * read 44.2 base64 ZGF0YTog…
 * end 57.9
 * ```
 *
 * Every `read` is one read of the network stream: milliseconds after the request was sent, and the
 * bytes: a JSON string, or base64 where the read begins or ends inside a UTF-8 character.
 *
 * @module
 */

/** One read of the network stream. */
export interface CapturedRead {
  /** Milliseconds after the request was sent, to a tenth. */
  readonly atMs: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** One request and its answer. */
export interface Capture {
  /** Comment lines without the `# `. */
  readonly comments: readonly string[];
  readonly method: string;
  /** Path and query, for instance `/v1/completions`. */
  readonly path: string;
  /** The body that was sent; undefined for a request without one. */
  readonly requestBody?: string;
  readonly status: number;
  /** Headers of the answer, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly reads: readonly CapturedRead[];
  /** When the answer was over, in milliseconds after the request was sent. */
  readonly endAtMs: number;
}

/** Writes a capture in its text form. `parseCapture` gives the same capture back. */
export function formatCapture(capture: Capture): string {
  const lines = capture.comments.map((comment) => `# ${comment}`);
  lines.push(`request ${capture.method} ${capture.path}`);
  if (capture.requestBody !== undefined) {
    lines.push(`request-body ${JSON.stringify(capture.requestBody)}`);
  }
  lines.push(`status ${capture.status}`);
  for (const [name, value] of Object.entries(capture.headers)) {
    lines.push(`header ${name}: ${value}`);
  }
  for (const read of capture.reads) {
    lines.push(`read ${read.atMs.toFixed(1)} ${formatBytes(read.bytes)}`);
  }
  lines.push(`end ${capture.endAtMs.toFixed(1)}`);
  return lines.join("\n") + "\n";
}

/**
 * Reads a capture's text form.
 *
 * @throws {SyntaxError} naming the line that is not understood, or what is missing.
 */
export function parseCapture(text: string): Capture {
  const comments: string[] = [];
  const headers: Record<string, string> = {};
  const reads: CapturedRead[] = [];
  let request: { method: string; path: string } | undefined;
  let requestBody: string | undefined;
  let status: number | undefined;
  let endAtMs: number | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "") continue;
    const [, keyword = "", rest = ""] = /^(\S+) ?(.*)$/s.exec(line) ?? [];
    if (keyword === "#") comments.push(rest);
    else if (keyword === "request") request = splitRequest(rest);
    else if (keyword === "request-body") requestBody = JSON.parse(rest);
    else if (keyword === "status") status = Number(rest);
    else if (keyword === "header") addHeader(headers, rest);
    else if (keyword === "read") reads.push(parseRead(rest));
    else if (keyword === "end") endAtMs = Number(rest);
    else throw new SyntaxError(`line ${index + 1} of the capture: unknown word "${keyword}"`);
  }
  if (request === undefined || status === undefined || endAtMs === undefined) {
    throw new SyntaxError("the capture lacks its request, status or end line");
  }
  return {
    comments,
    ...request,
    ...(requestBody === undefined ? {} : { requestBody }),
    status,
    headers,
    reads,
    endAtMs,
  };
}

/** All bytes of the answer's body, joined. */
export function capturedBody(capture: Capture): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(capture.reads.reduce((sum, read) => sum + read.bytes.length, 0));
  let offset = 0;
  for (const read of capture.reads) {
    whole.set(read.bytes, offset);
    offset += read.bytes.length;
  }
  return whole;
}

function formatBytes(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    // ignoreBOM: a byte order mark is a byte of the answer too.
    return JSON.stringify(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return `base64 ${bytes.toBase64()}`;
  }
}

function parseRead(rest: string): CapturedRead {
  const space = rest.indexOf(" ");
  const value = rest.slice(space + 1);
  const bytes = value.startsWith("base64 ")
    ? Uint8Array.fromBase64(value.slice("base64 ".length))
    : new TextEncoder().encode(JSON.parse(value));
  return { atMs: Number(rest.slice(0, space)), bytes };
}

function splitRequest(rest: string): { method: string; path: string } {
  const [method = "", path = ""] = rest.split(" ");
  return { method, path };
}

function addHeader(headers: Record<string, string>, rest: string): void {
  const colon = rest.indexOf(": ");
  headers[rest.slice(0, colon)] = rest.slice(colon + 2);
}
