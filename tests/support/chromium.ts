/**
 * Where the browser for the browser tests is.
 *
 * @module
 */

/** Said on stderr, so that nobody takes ignored tests for passed ones. */
export const MISSING_CHROMIUM = [
  "",
  "!!! NO CHROMIUM FOUND: the browser tests of the report are IGNORED, not passed. !!!",
  "    Install `chromium` (Debian: apt-get install chromium), or set KVMARK_CHROMIUM to its path.",
  "",
].join("\n");

/** Path of the browser: `KVMARK_CHROMIUM`, or `chromium` and its other names on the PATH. */
export function findChromium(): string | undefined {
  const named = Deno.env.get("KVMARK_CHROMIUM");
  if (named) return named;
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of ["chromium", "chromium-browser", "google-chrome", "chrome"]) {
      const path = `${folder}/${name}`;
      try {
        if (Deno.statSync(path).isFile) return path;
      } catch {
        // Not there: look on.
      }
    }
  }
  return undefined;
}
