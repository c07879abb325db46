/**
 * The pages of `combine` in a real browser, opened from disk.
 */

import assert from "node:assert/strict";
import { compareRuns, type Comparison } from "../../lib/report/comparison.ts";
import { comparisonGraphs } from "../../lib/report/comparison_figures.ts";
import { writeComparisonPages } from "../../lib/report/comparison_pages.ts";
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
  open,
  violations,
} from "../support/report_browser.ts";
import { sampleCacheRateRun, sampleSinglePromptRun } from "../support/sample_run.ts";
import { sampleTierRun } from "../support/sample_tier_run.ts";

// A name of the page, in functions that run there and not here.
// deno-lint-ignore no-explicit-any
declare const document: any;

function pairOf(a: RunData, b: RunData, labels = ["DRAM", "GDS + DRAM"]): Comparison {
  return compareRuns([a, b].map((run, i) => ({ label: labels[i] ?? "", run })), 0);
}

const SMALL = { contexts: [8000], rates: [0, 50, 100] };

browserTest("writeComparisonPages() makes pages that work from disk", async (browser, dir) => {
  const pairs: Record<string, Comparison> = {
    cache: pairOf(sampleCacheRateRun(SMALL), sampleCacheRateRun({ ...SMALL, rates: [0, 100] })),
    tiers: pairOf(sampleTierRun(), sampleTierRun("random")),
    single: pairOf(sampleSinglePromptRun(), sampleSinglePromptRun({ contexts: [2000, 8000] })),
  };
  for (const [name, comparison] of Object.entries(pairs)) {
    const folder = `${dir}/${name}`;
    await Deno.mkdir(folder);
    const pages = await writeComparisonPages(diskFiles, folder, comparison);
    await assertPagesWork(browser, folder, pages, comparisonGraphs(comparison));
  }
});

const fixtures = Deno.env.get("KVMARK_FIXTURES");
if (fixtures !== undefined) {
  browserTest(
    "writeComparisonPages() makes pages that work of the A/B pair",
    async (browser, dir) => {
      const read = async (name: string) =>
        await withTierMap(await readRun(diskFiles, `${fixtures}/${name}`));
      const pair = pairOf(
        await read("python-working-set-dram"),
        await read("python-working-set-gds-dram"),
      );
      const names = await writeComparisonPages(diskFiles, dir, pair);
      await assertPagesWork(browser, dir, names, comparisonGraphs(pair));
    },
  );
}

browserTest("a comparison shows hostile text as text, in one file too", async (browser, dir) => {
  const run = sampleCacheRateRun({ ...SMALL, hostileText: HOSTILE, requests: 30 });
  const comparison = pairOf(run, run, [HOSTILE, `${HOSTILE}2`]);
  const names = await writeComparisonPages(diskFiles, dir, comparison, { singleFile: true });
  assert.deepEqual(names, ["index.html"]);
  const { page, troubles } = await open(browser, dir, "index.html", { width: 390 });
  await drawAll(page);
  assert.equal(await page.locator("img").count(), 0, "injected element");
  await assertNoSidewaysScroll(page);
  assert.ok((await page.locator("body").textContent() ?? "").includes(HOSTILE), "text lost");
  assert.deepEqual(troubles, []);
});

browserTest("a comparison has no serious accessibility violation", async (browser, dir) => {
  const run = sampleTierRun();
  await writeComparisonPages(diskFiles, dir, pairOf(run, run));
  for (const dark of [false, true]) {
    const { page } = await open(browser, dir, "index.html", { dark });
    await drawAll(page);
    await page.evaluate(() => {
      for (const part of document.querySelectorAll("details")) part.setAttribute("open", "");
    });
    assert.deepEqual(await violations(page), [], `dark: ${dark}`);
    await page.context().close();
  }
});
