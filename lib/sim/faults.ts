/**
 * What the simulated server can do wrong, on purpose. Faults touch inference routes only.
 *
 * @module
 */

/** Faults and what each does; the order decides which of several answers a request gets. */
export const FAULTS = {
  "reset-before-headers": "the connection is reset after the request was read",
  "reset-mid-headers": "half of the response headers, then a reset",
  "http-429": "status 429 with Retry-After: 1",
  "http-500": "status 500",
  "json-error-200": "status 200 with a JSON error object",
  "wrong-content-type": "the right body, labelled text/html",
  "reset-mid-stream": "half of the output tokens (at least one), then a reset",
  "stall": "half of the output tokens (at least one), then silence; the connection stays open",
  "slow-drip": "every event in pieces of 8 bytes, 2 ms apart",
  "split-utf8":
    "tokens outside ASCII; every event in two pieces, cut inside a character, 2 ms apart",
  "huge-line": "one event of 4 MiB in the middle of the stream",
  "crlf": "lines end with CR LF",
  "sse-comments": "comment lines every 10 ms until the first token",
  "role-only-deltas": "deltas without text as soon as the headers are sent",
  "multi-token-chunks": "four tokens in one event",
  "reasoning":
    "chat: the first half of the output as reasoning; `reasoning_content` in even requests, `reasoning` in odd ones",
  "tool-calls": "chat: the output as the arguments of a tool call",
  "no-usage": "no usage, even if asked for",
  "null-usage": "`usage: null` wherever usage belongs",
  "usage-on-last-choice": "usage in the event of the last token, no event of its own",
  "lying-cache-counter":
    "usage says that every whole block was cached; /metrics and the truth log stay true",
  "cache-off": "no prefix is looked up or kept",
  "constant-latency":
    "a constant time to the first token and between tokens; no cache, no batch, no queue",
} as const satisfies Readonly<Record<string, string>>;

/** A fault. */
export type FaultName = keyof typeof FAULTS;

/** A fault and the share of requests that it meets. */
export interface Fault {
  readonly name: FaultName;
  /** Over 0, up to 1. */
  readonly rate: number;
}

/**
 * Reads `name` or `name:rate`.
 *
 * @throws {RangeError} If there is no such fault, or the rate is none.
 * @example
 * ```ts
 * import { parseFault } from "./faults.ts";
 * console.log(parseFault("http-500:0.1")); // { name: "http-500", rate: 0.1 }
 * ```
 */
export function parseFault(text: string): Fault {
  const [name = "", rateText = "1", ...rest] = text.split(":");
  if (!Object.hasOwn(FAULTS, name)) {
    throw new RangeError(
      `There is no fault "${name}": choose from ${Object.keys(FAULTS).join(", ")}`,
    );
  }
  const rate = /^[0-9.]+$/.test(rateText) ? Number(rateText) : NaN;
  if (!(rate > 0 && rate <= 1) || rest.length > 0) {
    throw new RangeError(`Cannot read the rate of "${text}": write a share such as ${name}:0.1`);
  }
  return { name: name as FaultName, rate };
}

/** `name` or `name:rate`, as {@linkcode parseFault} reads it. */
export function formatFault(fault: Fault): string {
  return fault.rate === 1 ? fault.name : `${fault.name}:${fault.rate}`;
}

/**
 * The faults of a request: a function of its number alone.
 *
 * A fault of rate r meets, among any n requests in a row, n * r of them, give or take one. Faults
 * of the same rate do not meet the same requests, because each starts at its own place.
 *
 * @param requestNumber From 0, in the order of arrival.
 */
export function faultsOf(faults: readonly Fault[], requestNumber: number): Set<FaultName> {
  const names = Object.keys(FAULTS);
  const met = faults.filter(({ name, rate }) => {
    if (rate === 1) return true;
    const start = names.indexOf(name) / names.length;
    return Math.floor((requestNumber + 1) * rate + start) >
      Math.floor(requestNumber * rate + start);
  });
  return new Set(met.map(({ name }) => name));
}

/** The first of `names` that decides how a request is answered, if any does. */
export function answerFault(names: ReadonlySet<FaultName>): FaultName | undefined {
  const answers: readonly FaultName[] = [
    "reset-before-headers",
    "reset-mid-headers",
    "http-429",
    "http-500",
    "json-error-200",
  ];
  return answers.find((name) => names.has(name));
}
