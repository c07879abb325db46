import assert from "node:assert/strict";
import { denoHost } from "./host.ts";

const { files } = denoHost(import.meta.url);

Deno.test("readText() and readBytes() read pipes, and give endless ones up", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/file`, "ö\n");
    assert.equal(await files.readText(`${dir}/file`), "ö\n");
    const pipe = `${dir}/pipe`;
    assert.ok((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    const [text] = await Promise.all([files.readText(pipe), Deno.writeTextFile(pipe, "key\n")]);
    assert.equal(text, "key\n");
    await assert.rejects(files.readText("/dev/zero"), /\/dev\/zero does not end/);
    await assert.rejects(files.readBytes("/dev/zero"), /\/dev\/zero does not end/);
    await assert.rejects(files.readText(dir), Deno.errors.IsADirectory);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("readText() refuses a file that no string can hold", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.truncate(path, 2 ** 30); // takes no space: a hole
    await assert.rejects(files.readText(path), /is too long: 1073741824 bytes/);
  } finally {
    await Deno.remove(path);
  }
});
