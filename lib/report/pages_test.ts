import assert from "node:assert/strict";
import fc from "fast-check";
import { plotlyText } from "./figure.ts";
import { documentPage, inlineJson, inlineScript, tableHtml } from "./pages.ts";
import { csvOf, formatCell, formatParameter } from "./tables.ts";

const SITE = { kind: "Test", made: "now" };

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return btoa(String.fromCharCode(...new Uint8Array(digest)));
}

Deno.test("documentPage() allows its own script by hash, and no other", async () => {
  const page = await documentPage(SITE, { title: "t", body: "<main>b</main>" });
  const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page)?.[1] ?? "";
  const script = /<script type="module">([^]*?)<\/script>/.exec(page)?.[1] ?? "";
  assert.ok(script.length > 1000);
  assert.match(policy, /^default-src &#39;none&#39;; script-src &#39;self&#39; &#39;sha256-/);
  assert.ok(policy.includes(await sha256(script)));
  assert.doesNotMatch(policy, /script-src[^;]*unsafe/);
  assert.ok(page.includes(`<script defer src="assets/plotly.min.js">`));
});

Deno.test("documentPage() that stands alone allows its inlined plotly and loads nothing", async () => {
  const plotly = "var Plotly = '<!-- </script>';";
  const page = await documentPage({ ...SITE, inlinePlotly: plotly }, { title: "t", body: "" });
  const inlined = inlineScript(plotly);
  assert.ok(page.includes(`<script>${inlined}</script>`));
  assert.ok(page.includes(await sha256(inlined)));
  assert.doesNotMatch(page, /src=/);
  assert.doesNotMatch(page, /script-src[^;]*self/);
});

Deno.test("inlineScript() gives a script that means the same and cannot end its element", () => {
  const source = `"</script><!--</SCRIPT>"`;
  const safe = inlineScript(source);
  assert.doesNotMatch(safe, /<\/script|<!--/i);
  assert.equal((0, eval)(safe), "</script><!--</SCRIPT>");
});

Deno.test("inlineJson() comes back as it was, and holds no markup", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = inlineJson(value);
    assert.ok(!text.includes("<"));
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
  }));
});

Deno.test("documentPage() and tableHtml() show any text as text", async () => {
  const hostile = `<script>x</script>"'&🙂`;
  const escaped = "&lt;script&gt;x&lt;/script&gt;&quot;&#39;&amp;🙂";
  const page = await documentPage(SITE, { title: hostile, body: "" });
  assert.ok(page.includes(`<title>${escaped}</title>`));
  const table = tableHtml(
    { columns: [{ label: hostile, kind: "text" }], rows: [[hostile]] },
    hostile,
  );
  assert.equal(table.split(escaped).length - 1, 4);
  assert.ok(!table.includes("<script"));
});

Deno.test("plotlyText() leaves no tag, no placeholder and no formula", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => {
    assert.doesNotMatch(plotlyText(text), /[<>$]|%\{/);
  }));
  assert.equal(plotlyText("x".repeat(500)).length, 60);
  assert.equal(plotlyText("🙂".repeat(70)), "🙂".repeat(59) + "…");
});

Deno.test("formatCell() prints units and a dash for what is absent", () => {
  assert.equal(formatCell("seconds", 0.0842), "84.2 ms");
  assert.equal(formatCell("percent", 97.56), "97.6 %");
  assert.equal(formatCell("rate", 8234), "8.23k");
  assert.equal(formatCell("count", 60_000), "60,000");
  assert.equal(formatCell("ratio", 6.94), "6.9×");
  assert.equal(formatCell("seconds", undefined), "–");
  assert.equal(formatCell("seconds", 0), "0 µs");
  assert.equal(formatCell("text", undefined), "");
});

Deno.test("csvOf() keeps raw values and puts the unit into the header", () => {
  const table = {
    columns: [
      { label: "TTFT", kind: "seconds" },
      { label: "TTFT median", kind: "ms" },
      { label: "Name", kind: "text" },
    ] as const,
    rows: [[0.123456789, 123.456789, undefined]],
  };
  assert.deepEqual(csvOf(table), {
    header: ["TTFT (s)", "TTFT median (ms)", "Name"],
    rows: [[0.123456789, 123.456789, null]],
  });
});

Deno.test("formatParameter() prints lists, objects and what is unset", () => {
  assert.equal(formatParameter([0, 50, 100]), "0, 50, 100");
  assert.equal(formatParameter({ a: 1 }), `{"a":1}`);
  assert.equal(formatParameter(null), "–");
  assert.equal(formatParameter([]), "–");
  assert.equal(formatParameter(false), "false");
});
