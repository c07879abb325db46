/**
 * The simulated server on a thread of its own, so that it and the client that measures it do not
 * wait for each other's event loop.
 *
 * @module
 */

import { type ErrorKind, KvmarkError } from "../errors.ts";
import { type Simulator, startSimulator } from "./server.ts";
import type { SimulatorOptions, SimulatorSettings } from "./settings.ts";

/** Name of the worker; the main module starts {@linkcode runSimWorker} when it has this name. */
export const SIM_WORKER_NAME = "kvmark-sim";

type Order = { readonly start: SimulatorOptions } | { readonly close: true };

type Report =
  /** The thread listens: what was posted to it before this is lost. */
  | { readonly alive: true }
  | { readonly started: { readonly url: string; readonly settings: SimulatorSettings } }
  | { readonly failed: Failed }
  | { readonly closed: true };

interface Failed {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string | undefined;
  readonly problems: readonly string[];
}

/** The thread's side: takes orders from {@linkcode startSimulatorThread}. */
export function runSimWorker(): void {
  const scope = self as unknown as DedicatedWorkerGlobalScope;
  const report = (message: Report) => scope.postMessage(message);
  let simulator: Simulator | undefined;
  scope.onmessage = async ({ data }: MessageEvent<Order>) => {
    try {
      if ("start" in data) {
        simulator = await startSimulator(data.start);
        report({ started: { url: simulator.url, settings: simulator.settings } });
      } else {
        await simulator?.close();
        report({ closed: true });
      }
    } catch (error) {
      report({ failed: failedOf(error) });
    }
  };
  report({ alive: true });
}

/** An error as data: a class does not survive the way to another thread. */
function failedOf(error: unknown): Failed {
  if (error instanceof KvmarkError) {
    const { kind, message, hint, problems } = error;
    return { kind, message, hint, problems };
  }
  const message = error instanceof Error ? error.stack ?? error.message : String(error);
  return { kind: "internal", message, hint: undefined, problems: [] };
}

/**
 * Starts a simulator on a new thread.
 *
 * @param workerModule Module whose worker of the name `kvmark-sim` calls `runSimWorker()`:
 * `host.workerModule`.
 * @throws {KvmarkError} As `startSimulator`; `io` if a permission is missing; `internal` if the
 * thread dies.
 */
export async function startSimulatorThread(
  workerModule: string,
  options: SimulatorOptions = {},
): Promise<Simulator> {
  const worker = new Worker(workerModule, { type: "module", name: SIM_WORKER_NAME });
  try {
    await answerOf(worker);
    const report = await ask(worker, { start: options });
    if (!("started" in report)) throw new KvmarkError("internal", "The simulator did not start");
    let closing: Promise<void> | undefined;
    const close = () => closing ??= closeThread(worker);
    return { ...report.started, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    worker.terminate();
    throw error;
  }
}

async function closeThread(worker: Worker): Promise<void> {
  try {
    await ask(worker, { close: true });
  } finally {
    worker.terminate();
  }
}

/** Sends an order and waits for the report on it. */
function ask(worker: Worker, order: Order): Promise<Report> {
  const answer = answerOf(worker);
  worker.postMessage(order);
  return answer;
}

/** The next report of the thread. */
function answerOf(worker: Worker): Promise<Report> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Report>) => {
      if (!("failed" in data)) return resolve(data);
      const { kind, message, hint, problems } = data.failed;
      reject(new KvmarkError(kind, message, { problems, ...(hint === undefined ? {} : { hint }) }));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      // The thread needs read access to its module, which the caller may not have.
      const kind = /--allow-\w+ flag/.test(event.message) ? "io" : "internal";
      reject(new KvmarkError(kind, `The simulator's thread died: ${event.message}`));
    };
  });
}
