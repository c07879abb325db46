import assert from "node:assert/strict";
import { componentsOf, sbom } from "../scripts/sbom.ts";

function read(name: string): string {
  return Deno.readTextFileSync(new URL(`../${name}`, import.meta.url));
}

Deno.test("docs/dependencies.md names every package with its exact version, and no other one", () => {
  const listed = [...read("docs/dependencies.md").matchAll(/^\| `([^`]+)` (\S+)/gm)]
    .map((match) => `${match[1]}@${match[2]}`);
  const locked = componentsOf(JSON.parse(read("deno.lock"))).map(({ name, version }) =>
    `${name}@${version}`
  );
  assert.deepEqual(listed.toSorted(), locked.toSorted());
  const imports: Record<string, string> = JSON.parse(read("deno.json")).imports;
  for (const specifier of Object.values(imports)) {
    const exact = /^npm:((?:@[^/]+\/)?[^@/]+)@(\d+\.\d+\.\d+)(?:\/|$)/.exec(specifier);
    assert.ok(exact !== null, `${specifier} is no exact version`);
    assert.ok(locked.includes(`${exact[1]}@${exact[2]}`), specifier);
  }
});

Deno.test("sbom() lists every package with its hash", () => {
  const { components } = sbom(JSON.parse(read("deno.lock")), "0.1.0");
  assert.ok(components.length > 20);
  for (const { purl, hashes } of components) {
    assert.match(purl, /^pkg:npm\/(?:%40[\w.-]+\/)?[\w.-]+@\d+\.\d+\.\d+$/);
    assert.match(hashes[0]?.content ?? "", /^[0-9a-f]{128}$/);
  }
});
