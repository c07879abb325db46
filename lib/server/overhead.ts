/**
 * Tokens that a server puts around the text of a prompt: BOS, and the chat template.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import type { ApiKind } from "../record.ts";
import type { ServerFacts } from "./facts.ts";
import type { ServerAccess } from "./http.ts";

/** Tokens around the content, and how they were counted. */
export interface MeasuredOverhead {
  /** Tokens before the content: these are shared by every prompt. */
  readonly beforeTokens: number;
  /** Tokens after it. */
  readonly afterTokens: number;
  readonly evidence: string;
  /**
   * `measured`: both numbers are known. `total`: the sum is known, the split is not (all of it is
   * counted as before). `assumed`: nothing is known, both are 0.
   */
  readonly certainty: "measured" | "total" | "assumed";
}

/** Measures the tokens that the server adds to a prompt on `api`. */
export function measureOverhead(
  _access: ServerAccess,
  _facts: ServerFacts,
  _api: ApiKind,
): Promise<MeasuredOverhead> {
  throw new KvmarkError("internal", "measureOverhead is not written yet");
}

/** `usage.prompt_tokens` of a request for one token; `undefined` if the server does not say. */
export function countPromptTokens(
  _access: ServerAccess,
  _facts: ServerFacts,
  _api: ApiKind,
  _text: string,
): Promise<number | undefined> {
  throw new KvmarkError("internal", "countPromptTokens is not written yet");
}
