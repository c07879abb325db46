/** A main module whose worker threads take their time to load, as on a machine with cold caches. */

if (self.name !== "") await new Promise((resolve) => setTimeout(resolve, 300));
if (self.name === "kvmark-load") {
  (await import("../../lib/load/worker.ts")).runLoadWorker();
} else if (self.name === "kvmark-sim") {
  (await import("../../lib/sim/worker.ts")).runSimWorker();
}
