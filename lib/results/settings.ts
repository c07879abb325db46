/**
 * The settings of a run as its files keep them: by option name, with durations in seconds, as the
 * Python suite has them.
 *
 * @module
 */

/** Settings by option name. */
export type Settings = Readonly<Record<string, unknown>>;

/** Options that are parsed to milliseconds and kept in seconds. */
const DURATIONS: ReadonlySet<string> = new Set(["test_duration", "ramp_duration"]);
/** Settings that are shown with their unit. */
const IN_SECONDS: ReadonlySet<string> = new Set([...DURATIONS, "max_ttft"]);

/** Settings whose durations are in milliseconds, with them in seconds. */
export function withDurationsInSeconds(settings: Settings): Settings {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) =>
      DURATIONS.has(name) && typeof value === "number" ? [name, value / 1000] : [name, value]
    ),
  );
}

/**
 * Settings as a file of this format keeps them.
 *
 * @param format Of the file; those before 2, and those without a mark, have durations in
 *   milliseconds.
 */
export function storedSettings(settings: Settings, format: unknown): Settings {
  const isCurrent = typeof format === "number" && format >= 2;
  return isCurrent ? settings : withDurationsInSeconds(settings);
}

/** The unit of a setting, for people: ` s`, or nothing. */
export function unitOf(name: string): string {
  return IN_SECONDS.has(name.replaceAll("-", "_")) ? " s" : "";
}
