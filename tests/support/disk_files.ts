/**
 * The file system for tests that write real folders.
 *
 * @module
 */

import { denoHost, type Files } from "../../lib/host.ts";

/** The files of this machine, as the program itself sees them. */
export const diskFiles: Files = denoHost(import.meta.url).files;
