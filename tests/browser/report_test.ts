/**
 * The report in a real browser, opened from disk: no error, no request outside the folder, graphs
 * with the traces that the figures have, theme, downloads, phone width, accessibility.
 */

import assert from "node:assert/strict";
import type { Browser } from "playwright-core";
import { graphsOf } from "../../lib/report/figures.ts";
import { writeReport } from "../../lib/report/report.ts";
import { withTierMap } from "../../commands/_draw.ts";
import { readRun } from "../../lib/results/read.ts";
import type { RunData } from "../../lib/results/schema.ts";
import { diskFiles } from "../support/disk_files.ts";
import {
  assertNoSidewaysScroll,
  assertPagesWork,
  browserTest,
  drawAll,
  HOSTILE,
  oneOfEachKind,
  open,
  violations,
} from "../support/report_browser.ts";
import {
  sampleCacheRateRun,
  samplePythonSustainedRun,
  sampleSinglePromptRun,
  sampleWorkingSetRun,
} from "../support/sample_run.ts";
import { sampleTierRun } from "../support/sample_tier_run.ts";

// Names of the page, in functions that run there and not here.
// deno-lint-ignore no-explicit-any
declare const document: any;
declare function getComputedStyle(element: unknown): { readonly backgroundColor: string };

const RUNS: readonly (readonly [string, RunData])[] = [
  ["cache-rate", sampleCacheRateRun()],
  ["working-set", sampleWorkingSetRun()],
  ["single-prompt", sampleSinglePromptRun()],
  ["Python sustained", samplePythonSustainedRun("working-set")],
];

for (const [kind, sample] of RUNS) {
  browserTest(`writeReport() makes pages that work from disk: ${kind}`, async (browser, dir) => {
    await assertReportWorks(browser, { ...sample, dir });
  });
}

for (const order of ["cyclic", "random"] as const) {
  browserTest(`writeReport() makes a tier map that works: ${order}`, async (browser, dir) => {
    const run = { ...sampleTierRun(order), dir };
    const names = await writeReport(diskFiles, run);
    // The other pages are like those of the working-set run above.
    const own = names.filter((name) => /^(index|tier_map|performance)/.test(name));
    await assertPagesWork(browser, dir, own, graphsOf(run));
  });
}

const fixtures = Deno.env.get("KVMARK_FIXTURES");
for (const folder of fixtures === undefined ? [] : [...Deno.readDirSync(fixtures)]) {
  if (!folder.isDirectory) continue;
  browserTest(`writeReport() makes pages that work of ${folder.name}`, async (browser, dir) => {
    const run = await withTierMap(await readRun(diskFiles, `${fixtures}/${folder.name}`));
    await assertReportWorks(browser, { ...run, dir });
  });
}

/** Writes the report into `run.dir` and opens one page of each kind. */
async function assertReportWorks(browser: Browser, run: RunData): Promise<void> {
  const names = await writeReport(diskFiles, run);
  await assertPagesWork(browser, run.dir, names, graphsOf(run));
}

browserTest(
  "the dashboard shows the tiers, the knees and what shows them",
  async (browser, dir) => {
    const run = { ...sampleTierRun(), dir };
    const knees = run.tierMap?.knees ?? [];
    assert.equal(knees.length, 3, run.tierMap?.headline);
    await writeReport(diskFiles, run);
    const { page, troubles } = await open(browser, dir, "index.html", { width: 390 });
    await drawAll(page);
    const names = ["HBM", "DRAM", "SSD", "recompute"];
    const graph = page.locator('[id="tier_map_ctx8000_cache100"]');
    const drawn = await graph.locator(".plot").evaluate((plot) => {
      // deno-lint-ignore no-explicit-any
      const layout = (plot as any)._fullLayout;
      return {
        labels: layout.annotations.map((one: { text: string }) => one.text),
        lines: layout.shapes.filter((one: { type: string }) => one.type === "line").length,
      };
    });
    assert.deepEqual(drawn.labels.filter((text: string) => names.includes(text)), names);
    assert.equal(drawn.lines, 3 * knees.length, "on each of the three panels");
    const section = page.locator("section", { has: page.locator("#tiers") });
    const [tiers, ends] = await section.locator("table").allInnerTexts();
    for (const name of names) assert.ok(tiers?.includes(name), `${name} is not in the table`);
    for (const { from, to, workingSetTokens } of knees) {
      assert.ok(ends?.includes(`${from} → ${to}`), ends);
      assert.ok(ends?.includes(workingSetTokens.toLocaleString("en-US")), ends);
    }
    await section.getByText("What shows it").click();
    assert.match(await section.innerText(), /12 working-set sizes, all at concurrency 1/);
    // The table beside the graph holds each size.
    assert.equal(await graph.locator("tbody tr").count(), 12);
    await assertNoSidewaysScroll(page);
    assert.deepEqual(troubles, []);
  },
);

browserTest("a dashboard fits on paper, light and unfolded", async (browser, dir) => {
  await writeReport(diskFiles, { ...sampleTierRun(), dir });
  // A4 between margins of 1 cm.
  const { page, troubles } = await open(browser, dir, "index.html", { dark: true, width: 718 });
  await page.locator("figure.graph .plot").first().scrollIntoViewIfNeeded();
  await page.locator("figure.graph .main-svg").first().waitFor();
  const look = () =>
    page.evaluate(() => ({
      background: getComputedStyle(document.body).backgroundColor,
      plots: [...document.querySelectorAll("figure.graph .plot")]
        .filter((plot) => !plot.closest("details:not([open])"))
        .map((plot) => plot.querySelector(".main-svg")?.clientWidth),
      evidence: document.querySelector("details.printed").open,
      text: document.querySelector(".plot")._fullLayout.font.color,
      width: document.documentElement.scrollWidth,
    }));
  const before = await look();
  await page.emulateMedia({ media: "print" });
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  const printed = await look();
  assert.equal(printed.background, "rgb(255, 255, 255)");
  assert.notEqual(printed.text, before.text);
  assert.ok(printed.plots.length > 1, "graphs that were not scrolled to are drawn for paper");
  assert.ok(printed.plots.every((width: number) => width === 700), `${printed.plots}`);
  assert.deepEqual([before.evidence, printed.evidence], [false, true]);
  assert.ok(printed.width <= 718, `a table is cut off at the right: ${printed.width}`);
  for (const hidden of [".tools", "#theme", "nav.contents", ".graph > details"]) {
    assert.ok(!await page.locator(hidden).first().isVisible(), `${hidden} is printed`);
  }
  await page.emulateMedia({ media: "screen" });
  await page.evaluate(() => dispatchEvent(new Event("afterprint")));
  const after = await look();
  assert.deepEqual(
    [after.background, after.text, after.evidence],
    [before.background, before.text, false],
  );
  assert.deepEqual(troubles, []);
});

browserTest("report.js follows the theme and the switch", async (browser, dir) => {
  await writeReport(diskFiles, { ...sampleCacheRateRun(), dir });
  const { page, troubles } = await open(browser, dir, "index.html", { dark: true });
  await page.locator("figure.graph .main-svg").first().waitFor();
  const look = () =>
    page.evaluate(() => [
      getComputedStyle(document.body).backgroundColor,
      document.querySelector(".plot")._fullLayout.font.color,
    ]);
  const dark = await look();
  await page.getByRole("button", { name: "Theme: auto" }).click();
  const light = await look();
  assert.equal(light[0], "rgb(255, 255, 255)");
  assert.notEqual(light[1], dark[1]);
  await page.getByRole("button", { name: "Theme: light" }).click();
  assert.deepEqual(await look(), dark);
  await page.reload();
  await page.getByRole("button", { name: "Theme: dark" }).waitFor();
  assert.deepEqual(troubles, []);
});

browserTest(
  "report.js downloads PNG and CSV, and switches to a log scale",
  async (browser, dir) => {
    const run = { ...sampleCacheRateRun(), dir };
    await writeReport(diskFiles, run);
    const name = "performance_vs_cache_rate_8000";
    const { page, troubles } = await open(browser, dir, "index.html");
    const graph = page.locator(`[id="${name}"]`);
    await graph.scrollIntoViewIfNeeded();
    await graph.locator(".main-svg").first().waitFor();
    const download = async (button: string) => {
      const waiting = page.waitForEvent("download");
      await graph.getByRole("button", { name: button }).click();
      const file = await waiting;
      return { name: file.suggestedFilename(), bytes: await Deno.readFile(await file.path()) };
    };
    const png = await download("PNG");
    assert.equal(png.name, `${name}.png`);
    assert.deepEqual([...png.bytes.slice(1, 4)], [0x50, 0x4e, 0x47]);
    assert.ok(png.bytes.length > 20_000, `${png.bytes.length} bytes is an empty picture`);
    const csv = await download("CSV");
    assert.equal(csv.name, `${name}.csv`);
    const lines = new TextDecoder().decode(csv.bytes).trim().split("\r\n");
    const first = run.summary.find((row) => row.context_size === 8000);
    assert.equal(lines.length, 6);
    assert.match(lines[0] ?? "", /^Nominal hit rate \(%\),"Input, tokens\/s",/);
    assert.deepEqual(lines[1]?.split(",").slice(0, 2), ["0", String(first?.input_tokens_per_sec)]);

    const log = graph.getByRole("button", { name: "Log scale" });
    const axis = () =>
      // deno-lint-ignore no-explicit-any
      graph.locator(".plot").evaluate((plot) => (plot as any)._fullLayout.yaxis.type);
    // Throughput spans a decade here, so that the graph opens with the logarithmic scale.
    assert.equal(await axis(), "log");
    assert.equal(await log.getAttribute("aria-pressed"), "true");
    const reused = await graph.locator(".plot").evaluate((plot) =>
      // deno-lint-ignore no-explicit-any
      (plot as any)._fullData.find((trace: any) => trace.name === "reused").y
    );
    assert.equal(reused[0], null, "nothing reused at 0 %: a gap on a logarithmic scale");
    assert.ok(reused[1] > 0);
    await log.click();
    assert.equal(await axis(), "linear");
    assert.deepEqual(troubles, []);
  },
);

browserTest("report.js points at the same hit rate in linked graphs", async (browser, dir) => {
  await writeReport(diskFiles, { ...sampleCacheRateRun(), dir });
  const { page, troubles } = await open(browser, dir, "index.html");
  await drawAll(page);
  const first = page.locator('[id="input_throughput_comparison"]');
  await first.scrollIntoViewIfNeeded();
  await first.locator(".nsewdrag").first().hover();
  const other = page.locator('[id="performance_vs_cache_rate_32000"] .hoverlayer .legend');
  await other.first().waitFor({ state: "attached" });
  assert.match(await other.first().textContent() ?? "", /50 % nominal hit rate/);
  assert.deepEqual(troubles, []);
});

browserTest("writeReport() shows hostile text as text", async (browser, dir) => {
  const run = { ...sampleCacheRateRun({ hostileText: HOSTILE, requests: 30 }), dir };
  const names = await writeReport(diskFiles, run);
  for (const name of ["index.html", "requests_over_time_8000.html", "ramp_ctx8000_cache50.html"]) {
    assert.ok(names.includes(name));
    const { page, troubles } = await open(browser, dir, name, { width: 390 });
    await drawAll(page);
    assert.ok(!(await page.title()).startsWith("owned"), "injected script ran");
    assert.equal(await page.locator("img").count(), 0, "injected element");
    await assertNoSidewaysScroll(page);
    assert.ok((await page.locator("body").innerText()).includes(HOSTILE), `${name}: text lost`);
    assert.deepEqual(troubles, [], name);
    await page.context().close();
  }
});

browserTest("the policy of a page blocks a script that got into it", async (browser, dir) => {
  let asked = 0;
  const outside = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    asked++;
    return new Response();
  });
  const url = `http://127.0.0.1:${outside.addr.port}`;
  const [name = ""] = await writeReport(diskFiles, { ...sampleCacheRateRun(), dir });
  const html = await Deno.readTextFile(`${dir}/${name}`);
  const injected = [
    `<script>document.title = "owned"</script>`,
    `<img src="data:," onerror="document.title = 'owned'">`,
    `<a id="js" href="javascript:document.title='owned'">x</a>`,
    `<script src="data:text/javascript,document.title='owned'"></script>`,
    `<iframe srcdoc="<script>parent.document.title = 'owned'</script>"></iframe>`,
    `<object data="data:text/html,<script>parent.document.title='owned'</script>"></object>`,
    `<base href="${url}/"><link rel="stylesheet" href="${url}/x.css">`,
    `<img src="${url}/x.png">`,
  ].join("\n");
  await Deno.writeTextFile(`${dir}/${name}`, html.replace(/<main/, `${injected}<main`));
  const { page, troubles } = await open(browser, dir, name);
  await page.locator("#js").click();
  await page.locator("figure.graph .main-svg").first().waitFor();
  assert.ok(!(await page.title()).startsWith("owned"), "an injected script ran");
  // Each kind was refused, by name; the page itself still works.
  const refused = troubles.filter((line) => /Content Security Policy/.test(line)).join("\n");
  for (
    const directive of ["script-src", "frame-src|default-src", "base-uri", "img-src", "style-src"]
  ) {
    assert.match(refused, new RegExp(directive));
  }
  await outside.shutdown();
  assert.equal(asked, 0, "the page spoke to a server");
});

browserTest("hovers show hostile text as text", async (browser, dir) => {
  const run = { ...sampleCacheRateRun({ hostileText: HOSTILE, requests: 30 }), dir };
  await writeReport(diskFiles, run);
  const { page } = await open(browser, dir, "requests_over_time_8000.html");
  await drawAll(page);
  const text = await page.locator(".plot").evaluate((plot) => {
    // deno-lint-ignore no-explicit-any
    const graph = plot as any;
    const index = graph._fullData.findIndex((trace: { name: string }) => trace.name === "failed");
    // deno-lint-ignore no-explicit-any
    (globalThis as any).Plotly.Fx.hover(graph, [{ curveNumber: index, pointNumber: 0 }]);
    return graph.querySelector(".hoverlayer").textContent;
  });
  assert.match(text, /^failed after /);
  const beginning = HOSTILE.slice(0, HOSTILE.indexOf(" %{x}"));
  assert.ok(text.includes(`http_status: ${beginning}`), text);
  assert.equal(await page.locator(".hoverlayer a, .hoverlayer image").count(), 0);
});

browserTest("writeReport() makes one file that needs nothing else", async (browser, dir) => {
  const run = { ...sampleCacheRateRun(), dir };
  assert.deepEqual(await writeReport(diskFiles, run, { singleFile: true }), ["index.html"]);
  assert.deepEqual([...Deno.readDirSync(dir)].map((entry) => entry.name), ["index.html"]);
  const { page, troubles } = await open(browser, dir, "index.html");
  await drawAll(page);
  const count = await page.locator("figure.graph").count();
  assert.equal(count, graphsOf(run).length);
  assert.deepEqual(troubles, []);
});

browserTest("every kind of page has no serious accessibility violation", async (browser, dir) => {
  for (const sample of [sampleCacheRateRun(), sampleSinglePromptRun(), sampleTierRun()]) {
    const names = await writeReport(diskFiles, { ...sample, dir });
    const most = sample.tierMap === undefined ? 3 : 1;
    for (const dark of [false, true]) {
      for (const name of oneOfEachKind(names).slice(0, dark ? 1 : most)) {
        const { page } = await open(browser, dir, name, { dark });
        await drawAll(page);
        assert.deepEqual(await violations(page), [], `${name}, dark: ${dark}`);
        await page.context().close();
      }
    }
  }
});
