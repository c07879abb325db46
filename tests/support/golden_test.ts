import assert from "node:assert/strict";
import { withTempDir } from "./command.ts";
import { assertGolden } from "./golden.ts";

Deno.test("assertGolden() fails while a golden is missing or differs", async () => {
  await withTempDir(async (dir) => {
    const compare = (text: string) => assertGolden("help/a.txt", text, { dir, write: false });
    await assert.rejects(compare("one\n"), /is missing: run deno task goldens/);
    await Deno.mkdir(`${dir}/help`);
    await Deno.writeTextFile(`${dir}/help/a.txt`, "# Regenerate: deno task goldens\none\n");
    await compare("one\n");
    await assert.rejects(compare("two\n"), /differs/);
    await Deno.writeTextFile(`${dir}/help/a.txt`, "one\n");
    await assert.rejects(compare("one\n"), /does not begin with/);
  });
});

Deno.test("assertGolden() fails in the run that writes a golden, and passes after it", async () => {
  await withTempDir(async (dir) => {
    const write = (text: string) => assertGolden("a.txt", text, { dir, write: true });
    await assert.rejects(write("one\n"), /was written/);
    await write("one\n");
    await assert.rejects(write("two\n"), /was written/);
    await assertGolden("a.txt", "two\n", { dir, write: false });
  });
});
