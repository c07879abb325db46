/**
 * The Kubernetes manifests of `deploy/`, read.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";

const FOLDER = fileURLToPath(new URL("../../deploy/kubernetes/", import.meta.url));

/** One object of a file. */
export interface Manifest {
  readonly path: string;
  readonly object: Record<string, unknown>;
}

/** Every object in every file, in order. */
export async function manifests(): Promise<Manifest[]> {
  const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name).sort();
  const all: Manifest[] = [];
  for (const name of names.filter((one) => one.endsWith(".yaml"))) {
    const text = await Deno.readTextFile(FOLDER + name);
    for (const document of parseAllDocuments(text, { strict: true, uniqueKeys: true })) {
      if (document.errors.length > 0) throw document.errors[0]!;
      all.push({ path: name, object: document.toJS() });
    }
  }
  return all;
}

interface Container {
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
}

/** The Job, and what its container is started with. */
export async function indexedJob(): Promise<Manifest & Container> {
  const job = (await manifests()).find(({ object }) => object.kind === "Job");
  if (job === undefined) throw new Error(`There is no Job in ${FOLDER}`);
  const { spec } = job.object as { spec: { template: { spec: { containers: Container[] } } } };
  const { args, env } = spec.template.spec.containers[0]!;
  return { ...job, args, env };
}
