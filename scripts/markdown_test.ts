import assert from "node:assert/strict";
import { anchors, codeSpans, fencedBlocks, links, table } from "./markdown.ts";

const PAGE = [
  "# A `b` & c",
  "",
  "See [one](docs/one.md#top) and ![two](two.png), `not [a](link)`.",
  '<img src="three.svg" alt="">',
  "",
  "<!-- run: simulator -->",
  "```sh",
  "kvmark demo",
  "[no](link.md) `span`",
  "```",
  "## A `b` & c",
  "`lib/errors.ts`",
  "~~~",
  "open to the end",
].join("\n");

Deno.test("fencedBlocks() gives code, language, line and the comment before it", () => {
  assert.deepEqual(fencedBlocks(PAGE), [
    {
      line: 7,
      language: "sh",
      code: "kvmark demo\n[no](link.md) `span`",
      marker: "run: simulator",
    },
    { line: 13, language: "", code: "open to the end" },
  ]);
});

Deno.test("links() finds Markdown and HTML links outside of code", () => {
  assert.deepEqual(links(PAGE), [
    { line: 3, target: "docs/one.md#top" },
    { line: 3, target: "two.png" },
    { line: 4, target: "three.svg" },
  ]);
});

Deno.test("codeSpans() leaves fenced blocks out", () => {
  assert.deepEqual(codeSpans(PAGE).map((span) => span.target), [
    "b",
    "not [a](link)",
    "b",
    "lib/errors.ts",
  ]);
});

Deno.test("anchors() numbers equal headings", () => {
  assert.deepEqual([...anchors(PAGE)], ["a-b--c", "a-b--c-1"]);
});

Deno.test("table() escapes bars and line breaks", () => {
  assert.equal(table(["a", "b"], [["x|y", "1\n2"]]), "| a | b |\n| --- | --- |\n| x\\|y | 1 2 |");
});

Deno.test("fencedBlocks() lets an empty line stand between the comment and the block", () => {
  assert.equal(fencedBlocks("<!-- run -->\n\n```sh\na\n```\n")[0]?.marker, "run");
  assert.equal(fencedBlocks("<!-- run -->\n\nText.\n\n```sh\na\n```\n")[0]?.marker, undefined);
});
