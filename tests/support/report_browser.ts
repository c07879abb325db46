/**
 * Reports in a real browser, opened from disk: one browser for a test file, one new folder for a
 * test.
 *
 * @module
 */

import assert from "node:assert/strict";
import axe from "axe.min.js" with { type: "text" };
import { type Browser, chromium, type Page } from "playwright-core";
import type { Graph } from "../../lib/report/figure.ts";
import { findChromium, MISSING_CHROMIUM } from "./chromium.ts";

// Names of the page, in functions that run there and not here.
// deno-lint-ignore no-explicit-any
declare const document: any;
declare const innerWidth: number;

/** Text that does harm wherever it is taken for anything else. */
export const HOSTILE =
  `<img src=x onerror="document.title='owned'">"'</script><b>=cmd()🙂 %{x} $x^2$` +
  "A".repeat(430);

const executablePath = findChromium();
if (executablePath === undefined) console.error(MISSING_CHROMIUM);

/** One browser for all tests: starting it takes longer than most of them. */
let shared: Promise<Browser> | undefined;

function sharedBrowser(): Promise<Browser> {
  shared ??= chromium.launch({ executablePath: executablePath ?? "", args: ["--no-sandbox"] });
  return shared;
}

Deno.test.afterAll(async () => {
  await (await shared)?.close();
});

export function browserTest(
  name: string,
  run: (browser: Browser, dir: string) => Promise<void>,
): void {
  Deno.test({
    name: executablePath === undefined ? `${name} (IGNORED: no Chromium)` : name,
    ignore: executablePath === undefined,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const dir = await Deno.makeTempDir({ prefix: "kvmark-report-" });
      const browser = await sharedBrowser();
      try {
        await run(browser, dir);
      } finally {
        for (const context of browser.contexts()) await context.close();
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

/** Opens a page and collects whatever goes wrong on it. */
export async function open(
  browser: Browser,
  dir: string,
  name: string,
  options: { width?: number; dark?: boolean } = {},
): Promise<{ page: Page; troubles: string[] }> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: 900 },
    colorScheme: options.dark ? "dark" : "light",
    acceptDownloads: true,
  });
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") troubles.push(message.text());
  });
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("request", (request) => {
    const url = request.url();
    const inside = url.startsWith(`file://${dir}/`) || url.startsWith("data:") ||
      url.startsWith(`blob:`);
    if (!inside) troubles.push(`request outside the folder: ${url}`);
  });
  await page.goto(`file://${dir}/${name}`);
  return { page, troubles };
}

/** Scrolls through the page so that every graph that is not folded away is drawn. */
export async function drawAll(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const group of document.querySelectorAll("details.group")) group.setAttribute("open", "");
  });
  const plots = page.locator("figure.graph .plot");
  for (let i = 0; i < await plots.count(); i++) {
    await plots.nth(i).scrollIntoViewIfNeeded();
    await plots.nth(i).locator(".main-svg").first().waitFor({ state: "attached" });
  }
}

/** Traces and their points of the graph `name`, as plotly holds them. */
export function drawn(page: Page, name: string): Promise<{ type: string; points: number }[]> {
  return page.locator(`[id="${name}"] .plot`).evaluate((plot) =>
    // deno-lint-ignore no-explicit-any
    (plot as any)._fullData.map((trace: any) => ({
      type: trace.type,
      points: trace.type === "heatmap" ? trace.z.flat().length : trace.x.length,
    }))
  );
}

/** No page may scroll sideways, on no width. */
export async function assertNoSidewaysScroll(page: Page): Promise<void> {
  const [scroll, width] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    innerWidth,
  ]);
  assert.ok(scroll !== undefined && width !== undefined && scroll <= width, `${scroll} > ${width}`);
}

/** The first page of each kind: names that differ only in numbers are of one kind. */
export function oneOfEachKind(names: readonly string[]): string[] {
  const kinds = new Map<string, string>();
  for (const name of names.filter((one) => one.endsWith(".html"))) {
    const kind = name.replace(/\d+/g, "#");
    if (!kinds.has(kind)) kinds.set(kind, name);
  }
  return [...kinds.values()];
}

/** What axe-core finds that is serious or critical, as `rule: element`. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe); // Through the debugger: the page's own policy would refuse it.
  return await page.evaluate(async () => {
    // deno-lint-ignore no-explicit-any
    const { violations, passes } = await (globalThis as any).axe.run();
    if (passes.length < 10) return [`axe checked only ${passes.length} rules`];
    // deno-lint-ignore no-explicit-any
    return violations.filter((one: any) => one.impact === "serious" || one.impact === "critical")
      // deno-lint-ignore no-explicit-any
      .flatMap((one: any) => one.nodes.map((node: any) => `${one.id}: ${node.html.slice(0, 160)}`));
  });
}

/** Traces and points that a graph has to have on a page. */
export function expectedTraces(
  graphs: readonly Graph[],
  name: string,
): { type: string; points: number }[] {
  const graph = graphs.find((one) => one.name === name);
  return (graph?.figure?.data ?? []).map((trace) => ({
    type: String(trace["type"]),
    points: trace["type"] === "heatmap"
      ? (trace["z"] as unknown[][]).flat().length
      : (trace["x"] as unknown[]).length,
  }));
}

/**
 * Opens one page of each kind on a phone's width: every graph is drawn with its traces and points,
 * nothing goes wrong, nothing scrolls sideways.
 */
export async function assertPagesWork(
  browser: Browser,
  dir: string,
  names: readonly string[],
  graphs: readonly Graph[],
): Promise<void> {
  assert.equal(names[0], "index.html");
  const pages = oneOfEachKind(names);
  assert.ok(pages.length > 2);
  const { page, troubles } = await open(browser, dir, "index.html", { width: 390 });
  for (const name of pages) {
    if (name !== "index.html") await page.goto(`file://${dir}/${name}`);
    await drawAll(page);
    const found = await page.locator("figure.graph:has(.plot)").evaluateAll((all) =>
      all.map((one) => one.id)
    );
    for (const graph of found) {
      assert.deepEqual(await drawn(page, graph), expectedTraces(graphs, graph), `${name} ${graph}`);
    }
    if (!name.startsWith("summary_")) assert.ok(found.length > 0, `${name} draws nothing`);
    assert.deepEqual(troubles, [], name);
    await assertNoSidewaysScroll(page);
  }
}
