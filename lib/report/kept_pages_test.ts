import assert from "node:assert/strict";
import { sampleCacheRateRun } from "../../tests/support/sample_run.ts";
import { memoryDisk } from "../results/test_disk.ts";
import { writeReportBeside } from "./report.ts";

const FOREIGN = "<html><title>KV Cache Test</title>Plotly.newPlot(1)</html>";

/** A run of the Python suite whose folder holds these pages. */
async function folder(pages: Record<string, string>) {
  const disk = memoryDisk();
  await disk.files.makeDir("output");
  for (const [name, text] of Object.entries(pages)) {
    await disk.files.writeText(`output/${name}`, text);
  }
  const draw = async (singleFile = false) => {
    const names = (await disk.files.list("output")).sort();
    const files = [];
    for (const name of names) {
      const found = await disk.files.stat(`output/${name}`);
      if (found !== undefined && !found.isDirectory) files.push({ name, ...found });
    }
    const run = { ...sampleCacheRateRun(), writtenBy: "python" as const, files };
    return await writeReportBeside(disk.files, run, { singleFile });
  };
  const text = (name: string) => disk.files.readText(`output/${name}`);
  return { disk, draw, text };
}

Deno.test("writeReportBeside() keeps pages of another program, and a second time too", async () => {
  const { disk, draw, text } = await folder({
    "index.html": FOREIGN,
    "ttft_heatmap.html": `${FOREIGN} 2`,
    "extra.html": `${FOREIGN} 3`,
  });
  const first = await draw();
  const moved = first.kept.filter((page) => page.was !== undefined);
  assert.ok(moved.some((page) => page.was === "index.html" && page.name === "index.orig.html"));
  assert.equal(await text("index.orig.html"), FOREIGN);
  assert.match(await text("index.html"), /index\.orig\.html/);
  assert.equal(await text("extra.html"), `${FOREIGN} 3`);
  const names = (await disk.files.list("output")).sort();
  const index = await text("index.html");
  const second = await draw();
  assert.deepEqual(second.kept.map((page) => page.name), first.kept.map((page) => page.name));
  assert.ok(second.kept.every((page) => page.was === undefined));
  assert.deepEqual((await disk.files.list("output")).sort(), names);
  assert.equal(await text("index.html"), index);
});

Deno.test("writeReportBeside() keeps a second foreign page of the same name beside the first", async () => {
  const { draw, text } = await folder({ "index.html": FOREIGN, "index.orig.html": "another" });
  await draw();
  assert.equal(await text("index.orig.html"), "another");
  assert.equal(await text("index.orig-2.html"), FOREIGN);
});

Deno.test("writeReportBeside() leaves no page of its own beside a single file, and the others", async () => {
  const { disk, draw } = await folder({ "extra.html": FOREIGN });
  const many = (await draw()).files.filter((name) => name.endsWith(".html"));
  assert.ok(many.length > 2);
  await draw(true);
  const left = (await disk.files.list("output")).filter((name) => name.endsWith(".html"));
  assert.deepEqual(left.sort(), ["extra.html", "index.html"]);
});
