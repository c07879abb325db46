import assert from "node:assert/strict";
import { KvmarkError } from "../errors.ts";
import { denoHost } from "../host.ts";
import { readOwnText } from "./own_text.ts";
import { storedProgress } from "./run_files.ts";

const { files } = denoHost(import.meta.url);

Deno.test("a progress.json of 600 MB, or a folder of its name, is a clear error", async () => {
  const dir = await Deno.makeTempDir();
  const path = `${dir}/progress.json`;
  const isIo = (pattern: RegExp) => (error: unknown) =>
    error instanceof KvmarkError && error.kind === "io" && pattern.test(error.message);
  try {
    await Deno.writeTextFile(path, "");
    await Deno.truncate(path, 600_000_000); // takes no space: a hole
    await assert.rejects(storedProgress(files, dir, false), isIo(/has 600000000 bytes/));
    assert.equal(await storedProgress(files, dir, true), undefined, "--force-restart starts over");
    await Deno.remove(path);
    await Deno.mkdir(path);
    await assert.rejects(storedProgress(files, dir, false), isIo(/is a folder/));
    await Deno.writeTextFile(`${dir}/small`, "text");
    assert.equal(await readOwnText(files, `${dir}/small`), "text");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
