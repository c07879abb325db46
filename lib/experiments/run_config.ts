/**
 * `run.json`: how a run was made, for the report and for whoever repeats it.
 *
 * @module
 */

import type { ExperimentKind, RunConfig } from "../results/schema.ts";
import { CAPABILITIES, type CapabilityName, ENGINE_TITLES } from "../server/facts.ts";
import type { OutputConfig } from "./config.ts";
import type { Session } from "./session.ts";

/** Everything that is known about how a run is made. Holds no key. */
export function runConfig(
  experiment: ExperimentKind,
  session: Session,
  output: OutputConfig,
  warnings: readonly string[],
  startedAt: Date,
): RunConfig {
  const facts = session.facts[0]!;
  const { overhead, vocabulary, config } = session;
  const serverFacts = (Object.keys(CAPABILITIES) as CapabilityName[]).map((name) => ({
    name: CAPABILITIES[name],
    value: facts.capabilities[name].state,
    evidence: facts.capabilities[name].evidence,
  }));
  return {
    experiment,
    kvmarkVersion: output.version,
    startedAt: startedAt.toISOString(),
    model: session.model,
    endpoints: config.endpoints,
    server: `${ENGINE_TITLES[facts.engine]} ${facts.engineVersion ?? ""}`.trim(),
    serverFacts,
    parameters: output.identity,
    notes: [
      `Prompts: ${vocabulary.source}, ${vocabulary.proof}; sent as ${config.promptFormat} on ` +
      `/v1/${session.api === "chat" ? "chat/completions" : "completions"}`,
      `The server adds ${overhead.beforeTokens} tokens before and ${overhead.afterTokens} after ` +
      `the text (${overhead.evidence})`,
      ...(config.insecure ? ["TLS certificates were not verified (--insecure)"] : []),
    ],
    warnings,
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    ...(facts.tiers === undefined ? {} : { tiers: facts.tiers }),
  };
}
