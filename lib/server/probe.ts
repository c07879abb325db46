/**
 * One capability probe per endpoint: what the server is, what it can prove, and with what evidence.
 *
 * @module
 */

import type { ApiKind } from "../record.ts";
import { KvmarkError } from "../errors.ts";
import type { ServerAccess } from "./http.ts";
import type { ServerFacts } from "./facts.ts";

export * from "./facts.ts";

/** Options of {@linkcode probeServer}. */
export interface ProbeOptions {
  /** The model to use; the first one of the server if absent. */
  readonly model?: string;
  /** The route to measure on; `auto` takes `/v1/completions` where it works, else chat. */
  readonly api?: "auto" | ApiKind;
  /** Makes the text of the probes unlike any text sent before: never use one twice. */
  readonly nonce: string;
}

/**
 * Finds out what a server can do. Sends some ten tiny requests.
 *
 * @throws {KvmarkError} `unreachable` if the server does not answer, refuses the key, has no
 * model, or does not have the one that was asked for.
 */
export function probeServer(_access: ServerAccess, _options: ProbeOptions): Promise<ServerFacts> {
  throw new KvmarkError("internal", "probeServer is not written yet");
}
