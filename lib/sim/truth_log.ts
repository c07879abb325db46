/**
 * The truth log: what the simulated server did, one JSON line a request. It is the oracle of the
 * accuracy tests, so that its fields are written down here and nowhere else.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import type { FaultName } from "./faults.ts";
import type { TokensByTier } from "./tiered_cache.ts";

/**
 * One line of the truth log. Instants are milliseconds since the Unix epoch with fractions, taken
 * from the monotonic clock plus its time origin; what did not happen is absent.
 */
export interface TruthEntry {
  /** Number of the request, from 0 in the order of arrival; faults depend on it. */
  readonly number: number;
  /** The header `X-Request-Id`, else the id that the server gave. */
  readonly requestId: string;
  readonly api: ApiKind;
  readonly stream: boolean;
  /** The request's headers were read. TTFT is counted from here. */
  readonly receivedEpochMs: number;
  /** 0 if the client left before its request was complete. */
  readonly status: number;
  readonly promptTokens?: number;
  /** Hash of all tokens of the prompt. */
  readonly promptHash?: string;
  /**
   * Hash of the content of each full block, in order, whatever stands before it; only with
   * `--truth-blocks`. Two prompts share a prefix as long as these are the same from the start.
   */
  readonly blockHashes?: readonly string[];
  readonly cacheSalt?: string;
  /** Where the prompt's tokens were found; the rest was computed. */
  readonly cached?: TokensByTier;
  /**
   * The computed tokens of the prompt, step by step: each part evenly from its start to its end.
   * Their sum is the prompt less what was cached. Work that a preemption undid is left out.
   */
  readonly prefill?: readonly (readonly [
    startEpochMs: number,
    endEpochMs: number,
    tokens: number,
  ])[];
  /** The engine took the request in (or began to read its prefix). */
  readonly scheduledEpochMs?: number;
  /** Speed of the server at that instant; 1 is what its settings say. */
  readonly speed?: number;
  readonly headersEpochMs?: number;
  /** When the model had the first token: what TTFT would be without the server's own delay. */
  readonly firstTokenDueEpochMs?: number;
  /** Each event with output: the instant right before it was written, and its tokens. */
  readonly chunks: readonly (readonly [epochMs: number, tokens: number])[];
  /** Output tokens sent. */
  readonly outputTokens: number;
  /** Output tokens that the request was due to get. */
  readonly plannedOutputTokens?: number;
  readonly endedEpochMs: number;
  /** How it ended: as asked, because the client left, because of a fault, or refused. */
  readonly finish: "length" | "stop" | "disconnect" | "fault" | "refused" | "closed";
  readonly faults: readonly FaultName[];
}

/** One line, with times to the microsecond. */
export function formatTruth(entry: TruthEntry): string {
  return JSON.stringify(entry, (key, value) => {
    if (typeof value !== "number") return value;
    return key.endsWith("EpochMs") || !Number.isInteger(value) ? Number(value.toFixed(3)) : value;
  }) + "\n";
}

/** Lines of a truth log as text. @throws {SyntaxError} If a line is no JSON. */
export function parseTruth(text: string): TruthEntry[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** Collects lines and writes them in batches, so that logging does not disturb the sending. */
export class TruthLog {
  readonly #write: (text: string) => Promise<void>;
  #lines: string[] = [];
  #writing: Promise<void> = Promise.resolve();
  #failure: unknown;

  /** `write` appends text to the log; calls never overlap. */
  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  append(entry: TruthEntry): void {
    this.#lines.push(formatTruth(entry));
  }

  /** Resolves when everything so far is written. @throws What writing threw, once. */
  async flush(): Promise<void> {
    if (this.#lines.length > 0) {
      const text = this.#lines.join("");
      this.#lines = [];
      this.#writing = this.#writing.then(() => this.#write(text))
        .catch((error) => void (this.#failure ??= error));
    }
    await this.#writing;
    if (this.#failure === undefined) return;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }
}
