import assert from "node:assert/strict";
import {
  sampleCacheRateRun,
  sampleSinglePromptRun,
  sampleWorkingSetRun,
} from "../../tests/support/sample_run.ts";
import type { Files } from "../host.ts";
import { graphsOf } from "./figures.ts";
import { reportPages, writeReport } from "./report.ts";

/** A disk in memory that holds what a report writes. */
function memoryFiles(): { files: Files; texts: Map<string, string> } {
  const texts = new Map<string, string>();
  const refuse = () => Promise.reject(new Error("a report only writes"));
  const files: Files = {
    readText: refuse,
    readBytes: (path) => Promise.resolve(new TextEncoder().encode(texts.get(path) ?? "")),
    writeBytes: refuse,
    appendText: refuse,
    remove: refuse,
    list: refuse,
    makeDir: () => Promise.resolve(),
    writeText: (path, text) => Promise.resolve(void texts.set(path, text)),
    stat(path) {
      const text = texts.get(path);
      return Promise.resolve(
        text === undefined
          ? undefined
          : { sizeBytes: new TextEncoder().encode(text).length, isDirectory: false, modifiedMs: 0 },
      );
    },
  };
  return { files, texts };
}

Deno.test("writeReport() writes the dashboard, a page a graph, and plotly once", async () => {
  const { files, texts } = memoryFiles();
  const run = sampleCacheRateRun();
  const names = await writeReport(files, run);
  assert.deepEqual(names, [
    "index.html",
    ...graphsOf(run).map((graph) => `${graph.name}.html`),
    "assets/plotly.min.js",
  ]);
  assert.deepEqual([...texts.keys()].sort(), names.map((name) => `output/${name}`).sort());
  for (const name of names.filter((one) => one.endsWith(".html"))) {
    const page = texts.get(`output/${name}`) ?? "";
    assert.ok(page.length < 400_000, `${name} is ${page.length} characters: plotly inside?`);
  }
});

Deno.test("writeReport() writes the same bytes from the same rows, also beside its own pages", async () => {
  const { files, texts } = memoryFiles();
  const run = sampleCacheRateRun();
  await writeReport(files, run);
  const first = new Map(texts);
  const own = [...texts].map(([path, text]) => ({
    name: path.slice("output/".length),
    sizeBytes: text.length,
  }));
  await writeReport(files, { ...run, files: [...run.files, ...own] });
  assert.deepEqual(texts, first);
});

Deno.test("writeReport() prints the date only where it is given", async () => {
  // The pages beside it carry the date too, so that their listed sizes may differ in the last digit.
  const index = async (options: { generatedAt?: string }) =>
    ((await reportPages(sampleSinglePromptRun(), options)).get("index.html") ?? "")
      .replace(/[\d.]+ KiB/g, "");
  const dated = await index({ generatedAt: "2026-07-12 10:00" });
  assert.match(dated, /made 2026-07-12 10:00/);
  assert.equal(dated.replace(", made 2026-07-12 10:00", ""), await index({}));
});

Deno.test("reportPages() names every file with its size, and links to names of any kind", async () => {
  const run = {
    ...sampleSinglePromptRun(),
    files: [{ name: `a b"<i>#?&.csv`, sizeBytes: 2048 }, { name: "old.html", sizeBytes: 1 }],
  };
  const index = (await reportPages(run)).get("index.html") ?? "";
  assert.ok(index.includes(`href="./a%20b%22%3Ci%3E%23%3F%26.csv"`));
  assert.ok(index.includes("a b&quot;&lt;i&gt;#?&amp;.csv</a>"));
  assert.match(index, /2 KiB/);
  assert.ok(!index.includes("old.html"));
});

Deno.test("reportPages() takes definitions in place of its own", async () => {
  const definitions = [{ name: "Zorkmid", unit: "zm", definition: "A <coin>" }];
  const index = (await reportPages(sampleSinglePromptRun(), { definitions })).get("index.html") ??
    "";
  assert.ok(index.includes("Zorkmid") && index.includes("A &lt;coin&gt;"));
  assert.ok(!index.includes("Role-only"));
});

Deno.test("reportPages() carries what is known of server, configuration and client", async () => {
  const index = (await reportPages(sampleCacheRateRun())).get("index.html") ?? "";
  for (
    const text of [
      "meta-llama/Llama-3.3-70B-Instruct",
      "vLLM 0.21.0",
      "vllm:cache_config_info",
      "160 KiB",
      "kvmark cache-rate --api-endpoint",
      "Event-loop lag, P99",
      "Role-only and empty deltas do not count",
      "The server also answers other clients",
    ]
  ) assert.ok(index.includes(text), text);
});

/** Text of paragraphs and list items that a reader sees without opening anything. */
function sentences(html: string): string[] {
  const shown = html.replaceAll(/<(script|style|details)\b.*?<\/\1>/gs, "");
  return [...shown.matchAll(/<(?:p|li|h1)\b[^>]*>(.*?)<\/(?:p|li|h1)>/gs)]
    .map((match) => (match[1] ?? "").replaceAll(/<[^>]*>/g, "").replaceAll(/\s+/g, " ").trim())
    .filter((text) => text.length > 40);
}

Deno.test("reportPages() shows the picture before any table, and says nothing twice", async () => {
  const runs = [sampleCacheRateRun(), sampleWorkingSetRun(), sampleSinglePromptRun()];
  for (const run of runs) {
    const index = (await reportPages(run)).get("index.html") ?? "";
    const [headline, picture, table] = ["<h1", 'class="graph"', "<table"].map((text) =>
      index.indexOf(text)
    );
    assert.ok(headline! > 0 && headline! < picture! && picture! < table!, run.kind);
    const said = sentences(index);
    assert.ok(said.length > 3, run.kind);
    assert.deepEqual(said.filter((text, at) => said.indexOf(text) !== at), [], run.kind);
    const [h1 = ""] = /<h1[^>]*>(.*?)<\/h1>/s.exec(index)?.slice(1) ?? [];
    assert.ok(h1.length > 10 && h1.length <= 120, `${run.kind}: ${h1}`);
  }
});
