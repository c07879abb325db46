import assert from "node:assert/strict";
import { brokenMentions, forbiddenNames, undocumented } from "./check_docs.ts";

function mentions(page: string): string[] {
  const sources = new Map([
    ["deno.json", `{"tasks":{"test":"x"}}`],
    ["docs/a.md", page],
    ["docs/b.md", "# Here\n"],
    ["lib/errors.ts", ""],
  ]);
  return brokenMentions(sources, new Set(sources.keys()));
}

Deno.test("brokenMentions() accepts what exists", () => {
  const page =
    "# A\n[b](b.md#here) [self](#a) [code](../lib/errors.ts) [web](https://example.org)\n" +
    "`lib/errors.ts` `lib/` `deno task test` `lib/x_*.ts`\n";
  assert.deepEqual(mentions(page), []);
});

Deno.test("brokenMentions() rejects links, anchors, files and tasks that do not exist", () => {
  const page =
    "[x](c.md)\n[x](b.md#there)\n`lib/gone.ts`\n```sh\nnpx -y deno@2.9.6 task nope\n```\n";
  assert.deepEqual(mentions(page), [
    "docs/a.md:1: the link c.md leads nowhere",
    "docs/a.md:2: docs/b.md has no heading #there",
    "docs/a.md:3: there is no lib/gone.ts",
    "docs/a.md:4: there is no task nope",
  ]);
});

Deno.test("forbiddenNames() finds registry hosts and folders of one machine", () => {
  const host = ["registry", "npmjs", "org"].join(".");
  const folder = ["", "root", "x"].join("/");
  const text = `ok\nsee https://${host}/a\ncd ${folder}\nlib/root/x work/it\n`;
  assert.deepEqual(forbiddenNames(new Map([["a.md", text]])), [
    `a.md:2: names the registry host ${host}`,
    `a.md:3: names the folder ${["", "root", ""].join("/")}`,
  ]);
});

Deno.test("undocumented() names modules and exports without a sentence", () => {
  const symbol = (name: string, declarationKind: string, doc?: string) => ({
    name,
    declarations: [{
      declarationKind,
      location: { filename: "file:///a.ts", line: 3 },
      ...(doc === undefined ? {} : { jsDoc: { doc } }),
    }],
  });
  const again = symbol("again", "export");
  const reference = { ...again.declarations[0]!, kind: "reference" };
  const nodes = {
    "file:///a.ts": {
      module_doc: { doc: "About.\n" },
      symbols: [
        symbol("good", "export", "Does."),
        symbol("bad", "export"),
        symbol("own", "private"),
        { name: "again", declarations: [reference] },
      ],
    },
    "file:///b.ts": { module_doc: {}, symbols: [] },
  };
  assert.deepEqual(undocumented({ nodes }), [
    "file:///a.ts:3: bad has no JSDoc",
    "file:///b.ts:1: the module has no JSDoc",
  ]);
});
