/**
 * The permissions of the product. They stand in one place, the `kvmark` task of `deno.json`; the
 * builds and the tests take them from there.
 *
 * @module
 */

/** The `--allow-…` flags of the `kvmark` task. Works from any current directory. */
export async function readProductFlags(): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("../deno.json", import.meta.url));
  return productFlags(JSON.parse(text).tasks.kvmark.command);
}

/**
 * The permission flags in a `deno run` command.
 *
 * @throws {RangeError} If there are none, or if the command allows everything.
 */
export function productFlags(command: string): string[] {
  const words = command.split(/\s+/);
  const flags = words.filter((word) => word.startsWith("--allow-"));
  const everything = words.includes("-A") || flags.includes("--allow-all");
  if (flags.length === 0 || everything) {
    throw new RangeError(`Permissions of the product must be listed: "${command}"`);
  }
  return flags;
}
