/**
 * The version, from the package's own configuration.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };

/** Version of kvmark, as published. */
export const VERSION: string = config.version;
