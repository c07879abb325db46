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

Deno.test("no file of kvmark is written through a link, a pipe or a folder of its name", async () => {
  const dir = await Deno.makeTempDir();
  const host = denoHost(import.meta.url);
  try {
    const target = `${dir}/precious`;
    await Deno.writeTextFile(target, "precious");
    for (const name of ["a.csv", "b.json.tmp", "c.json", ".kvmark.lock"]) {
      await Deno.symlink(target, `${dir}/${name}`);
    }
    await assert.rejects(files.appendText(`${dir}/a.csv`, "x"), /a\.csv is a symbolic link/);
    await files.writeText(`${dir}/b.json`, "new");
    await files.writeText(`${dir}/c.json`, "new");
    assert.equal(await files.readText(`${dir}/b.json`), "new");
    assert.equal(await files.readText(`${dir}/c.json`), "new");
    assert.ok((await Deno.lstat(`${dir}/c.json`)).isFile);
    await assert.rejects(host.tryLock(`${dir}/.kvmark.lock`), /is a symbolic link/);
    assert.equal(await files.readText(target), "precious");
    const pipe = `${dir}/pipe.csv`;
    assert.ok((await new Deno.Command("mkfifo", { args: [pipe] }).output()).success);
    await assert.rejects(files.appendText(pipe, "x"), /is no plain file/);
    await Deno.mkdir(`${dir}/folder.csv`);
    await assert.rejects(files.appendText(`${dir}/folder.csv`, "x"), /is a folder/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
