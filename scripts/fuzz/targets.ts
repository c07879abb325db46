/**
 * What is fuzzed: every reader of something that kvmark did not write itself, or that may have been
 * damaged since. A target throws if the reader does anything but read, or say in one error why not.
 *
 * @module
 */

import { FILES } from "./folders.ts";
import { MODELS } from "./models.ts";
import { EXPOSITION, REQUESTS } from "./servers.ts";
import { SSE } from "./streams.ts";
import { CSV } from "./tables.ts";
import type { FuzzTarget } from "./target.ts";
import { TEXTS } from "./texts.ts";

/** Everything that is fuzzed. */
export const FUZZ_TARGETS: readonly FuzzTarget[] = [
  ...[SSE, CSV, FILES, EXPOSITION, MODELS, REQUESTS, TEXTS].flat(),
];
