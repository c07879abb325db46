/** The module that the tests of the pool start its workers from, as main.ts does. */

import { runLoadWorker } from "../../lib/load/worker.ts";

if (self.name === "kvmark-load") runLoadWorker();
