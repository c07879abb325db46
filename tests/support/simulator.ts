/**
 * A simulator to test against: as the command `kvmark simulate`, or inside the test's process.
 *
 * @module
 */

import { type Simulator, startSimulator } from "../../lib/sim/server.ts";
import type { SimulatorOptions } from "../../lib/sim/settings.ts";
import { startKvmark } from "./command.ts";

/** A simulator that answers. Use it with `await using`: it is stopped at the end of the block. */
export interface SimulatorUnderTest extends AsyncDisposable {
  /** Base URL, without `/v1`. */
  readonly url: string;
  /** The whole object of the ready line: the URL and the settings. */
  readonly ready: Readonly<Record<string, unknown>>;
  readonly pid: number;
  /** What it has written to stderr so far. */
  stderr(): string;
}

/**
 * Starts `kvmark simulate --port 0` with further arguments.
 *
 * @throws {Error} If it ends before it is ready, or if its ready line is not the promised one.
 */
export async function startSimulateCommand(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<SimulatorUnderTest> {
  const process = await startKvmark(["simulate", "--port", "0", ...args], { env });
  try {
    const ready = parseReadyLine(process.readyLine);
    return {
      url: ready.url,
      ready,
      pid: process.pid,
      stderr: () => process.stderr(),
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Starts a simulator on the event loop of the test, on a free port of loopback. Its timing suffers
 * from whatever else the test does: for accuracy use {@linkcode startSimulateCommand}.
 */
export function startSimulatorInProcess(settings: SimulatorOptions = {}): Promise<Simulator> {
  return startSimulator({ port: 0, ...settings });
}

/** @throws {TypeError} If the line is not a JSON object with the URL of a loopback server. */
export function parseReadyLine(line: string): { url: string } & Record<string, unknown> {
  let ready: unknown;
  try {
    ready = JSON.parse(line);
  } catch {
    throw new TypeError(`The first line of simulate is not JSON: ${line}`);
  }
  const url = (ready as { url?: unknown } | null)?.url;
  if (typeof url !== "string" || !/^http:\/\/127\.0\.0\.1:\d+$/.test(url)) {
    throw new TypeError(`The first line of simulate names no loopback URL: ${line}`);
  }
  return { ...(ready as Record<string, unknown>), url };
}
