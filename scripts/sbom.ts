/**
 * Writes the software bill of materials: every package of `deno.lock` with its hash, in the JSON
 * form of CycloneDX 1.5. Usage: `deno task sbom > dist/sbom.json`.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** A package that `deno.lock` pins. */
export interface Component {
  readonly type: "library";
  readonly name: string;
  readonly version: string;
  /** https://github.com/package-url/purl-spec */
  readonly purl: string;
  readonly hashes: readonly { readonly alg: "SHA-512"; readonly content: string }[];
}

interface Lock {
  readonly npm: Readonly<Record<string, { readonly integrity: string }>>;
}

/** The packages of a lock file, by name. */
export function componentsOf(lock: Lock): Component[] {
  return Object.entries(lock.npm).map(([key, { integrity }]) => {
    // `name@1.2.3`, or `name@1.2.3_peer@4.5.6`.
    const [, name = "", version = ""] = /^(.[^@]*)@([^_]+)/.exec(key) ?? [];
    const hash = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
    return {
      type: "library",
      name,
      version,
      purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
      hashes: [{ alg: "SHA-512", content: hash }],
    };
  });
}

/** The bill of materials of a version of kvmark. */
export function sbom(lock: Lock, version: string) {
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: { component: { type: "application", name: "kvmark", version } },
    components: componentsOf(lock),
  };
}

if (import.meta.main) {
  const read = async (name: string) =>
    JSON.parse(await Deno.readTextFile(new URL(`../${name}`, import.meta.url)));
  const { version } = await read("deno.json");
  console.log(JSON.stringify(sbom(await read("deno.lock"), version), undefined, 2));
}
