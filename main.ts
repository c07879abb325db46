/**
 * The entry of the program and of its worker threads, which are started from this module by name.
 *
 * @module
 */

import { denoHost } from "./lib/host.ts";

/** Runs the command line of this process and exits with its code. */
export async function main(): Promise<void> {
  const { runCommandLine } = await import("./commands/mod.ts");
  Deno.exit(await runCommandLine(denoHost(import.meta.url)));
}

if (self.name === "kvmark-load") {
  (await import("./lib/load/worker.ts")).runLoadWorker();
} else if (self.name === "kvmark-sim") {
  (await import("./lib/sim/worker.ts")).runSimWorker();
} else if (import.meta.main) {
  await main();
}
