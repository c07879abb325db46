/**
 * Whether runs may be compared, and in what they differ.
 *
 * @module
 */

import { formatCount } from "../units.ts";
import type { LabelledRun } from "./comparison.ts";
import { hasQueueInThroughput, numberParameter } from "./points.ts";
import { formatParameter } from "./tables.ts";

/** What has to be the same, and what each run says of it. `undefined`: the run does not say. */
const MUST_AGREE: readonly {
  readonly what: string;
  readonly of: (labelled: LabelledRun) => string | undefined;
}[] = [
  {
    what: "model",
    of: ({ run }) => run.config.model ?? run.summary.find((row) => row.model)?.model,
  },
  { what: "output length", of: (one) => tokens(one, "output-tokens") },
  { what: "chunk size", of: (one) => tokens(one, "chunk-size") },
  { what: "definitions of the figures", of: definitionsOf },
];

const QUEUE_IN_THROUGHPUT = "throughput with the prompts that still waited";

function tokens({ run }: LabelledRun, name: string): string | undefined {
  const value = numberParameter(run.config, name);
  return value === undefined ? undefined : `${formatCount(value)} tokens`;
}

/** The two programs and the modes of the Python suite compute their figures in different ways. */
function definitionsOf({ run }: LabelledRun): string {
  const strict = parameter(run.config.parameters, "strict-time-window") === "true"
    ? ", strict time window"
    : "";
  if (run.writtenBy === "kvmark") {
    return `kvmark${strict}${hasQueueInThroughput(run) ? `, ${QUEUE_IN_THROUGHPUT}` : ""}`;
  }
  const mode = parameter(run.config.parameters, "mode");
  return `Python suite${mode === undefined ? "" : `, ${mode} mode`}${strict}`;
}

function parameter(
  parameters: Readonly<Record<string, unknown>> | undefined,
  name: string,
): string | undefined {
  const value = parameters?.[name] ?? parameters?.[name.replaceAll("-", "_")];
  return value === undefined || value === null ? undefined : formatParameter(value);
}

/** Why runs should not be compared with the baseline: one sentence for each run and reason. */
export function incomparabilities(runs: readonly LabelledRun[], baseline: number): string[] {
  const base = runs[baseline];
  if (base === undefined) return [];
  return runs.flatMap((other) => {
    if (other === base) return [];
    return MUST_AGREE.flatMap(({ what, of }) => {
      const [a, b] = [of(base), of(other)];
      return a === undefined || b === undefined || a === b
        ? []
        : [printable(`${other.label}: other ${what}: ${b}, where ${base.label} has ${a}`)];
    });
  });
}

/** Names of models come from servers: none of them may steer a terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "\ufffd");
}

/** What has to agree but cannot be checked, because a run does not say it. */
export function unknownAgreements(runs: readonly LabelledRun[]): string[] {
  return MUST_AGREE.flatMap(({ what, of }) => {
    const silent = runs.filter((run) => of(run) === undefined).map((run) => run.label);
    return silent.length === 0 ? [] : [
      `Whether the ${what} is the same cannot be checked: ${silent.join(", ")} ${
        silent.length === 1 ? "does" : "do"
      } not say.`,
    ];
  });
}

/** Options that tell where a run was and not how it measured. */
const PLACES = /^(?:output-dir|force-restart|skip-graphs|verbose|test-id|workers|json|brief)$/;

/** Options in which the runs differ, by their name with dashes: one value for each run. */
export function differingOptions(
  runs: readonly { readonly parameters: Readonly<Record<string, string>> }[],
): (readonly [string, readonly (string | undefined)[]])[] {
  const maps = runs.map(({ parameters }) =>
    new Map(
      Object.entries(parameters).map(([name, value]) => [name.replaceAll("_", "-"), value]),
    )
  );
  const names = [...new Set(maps.flatMap((map) => [...map.keys()]))].filter((name) =>
    !PLACES.test(name)
  );
  return names.flatMap((name) => {
    const values = maps.map((map) => map.get(name));
    return new Set(values).size < 2 ? [] : [[name, values] as const];
  });
}
