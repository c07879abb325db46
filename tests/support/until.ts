/**
 * Waits for what another process does to a folder.
 *
 * @module
 */

const TRIES = 6000;
const PAUSE_MS = 10;

/** Resolves as soon as a file is there and has a text in it. @throws {Error} After a minute. */
export async function untilThere(path: string, text = ""): Promise<void> {
  for (let tries = 0; tries < TRIES; tries++) {
    const found = await Deno.readTextFile(path).catch(() => undefined);
    if (found?.includes(text)) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Error(`${path} with "${text}" did not appear`);
}

/** Resolves to the name of a file that begins so, as soon as it has a text in it. */
export async function untilFile(dir: string, prefix: string, text: string): Promise<string> {
  for (let tries = 0; tries < TRIES; tries++) {
    const name = names(dir).find((one) => one.startsWith(prefix) && !one.endsWith(".tmp"));
    if (name !== undefined) {
      await untilThere(`${dir}/${name}`, text);
      return name;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Error(`${dir}/${prefix}… did not appear`);
}

function names(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((entry) => entry.name);
  } catch {
    return [];
  }
}
