/**
 * kvmark: a benchmark for the KV cache of LLM inference servers.
 *
 * As a program it is `kvmark <command>`; this module is its library surface.
 *
 * @module
 */

export * from "./lib/record.ts";
export { EXIT_CODES, exitCodeOf, formatError, KvmarkError } from "./lib/errors.ts";
export type { ErrorKind, KvmarkErrorOptions } from "./lib/errors.ts";
export { choosePeak, decide, fixedPolicy, rampPolicy } from "./lib/load/controller.ts";
export type {
  Decision,
  FinishedPeriod,
  FixedSettings,
  Limits,
  Observation,
  Peak,
  PeriodKind,
  PlannedPeriod,
  Policy,
  RampSettings,
  Step,
} from "./lib/load/controller.ts";

if (import.meta.main) await (await import("./main.ts")).main();
