/**
 * A doctor's report as text for a terminal.
 *
 * @module
 */

import { formatBytes, formatCount, formatMs, formatShort } from "../units.ts";
import { clockText } from "./clock_offset.ts";
import type { DoctorReport } from "./doctor.ts";
import { type CapabilityName, ENGINE_TITLES, type ServerFacts, type ServerTier } from "./facts.ts";

const TITLES: Readonly<Record<CapabilityName, string>> = {
  completions: "completions route",
  chat: "chat route",
  stream: "streams",
  streamUsage: "usage in streams",
  keepAlive: "connections stay open",
  cachedTokens: "cached tokens",
  prefixCaching: "prefix caching",
  tokenize: "/tokenize",
  tokenIds: "token ids as prompt",
  ignoreEos: "ignore_eos",
  minTokens: "min_tokens",
  metrics: "metrics route",
  cacheCounters: "hit counters",
  reset: "cache reset",
  resetExternal: "reset of lower tiers",
  cacheSalt: "cache_salt",
  recompute: "recompute on request",
};

/** The report, line by line. */
export function doctorText(report: DoctorReport): string {
  const sections = [
    table(serverLines(report)),
    table(cacheLines(report)),
    ["This server:", ...table(checkLines(report))],
    report.missing.length === 0
      ? ["Nothing will be missing in results."]
      : ["Missing in results:", ...report.missing.map((line) => `  - ${line}`)],
    report.facts.notes,
  ];
  const filled = sections.filter((lines) => lines.length > 0);
  return `${filled.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

type Line = readonly [name: string, value: string];

function table(lines: readonly Line[]): string[] {
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines.map(([name, value]) => `${name.padEnd(width)}${value}`);
}

function serverLines({ facts, roundTrip, clockOffset, overhead, client }: DoctorReport): Line[] {
  const { evidence } = facts;
  const version = facts.engineVersion === undefined ? "" : ` ${facts.engineVersion}`;
  const lines: Line[] = [
    ["server", `${ENGINE_TITLES[facts.engine]}${version} (${facts.engineEvidence})`],
    ["endpoint", facts.baseUrl],
    ["model", `${facts.model} on /v1/${facts.api === "chat" ? "chat/completions" : facts.api}`],
    ["context limit", stated(facts.maxContextTokens, evidence["maxContextTokens"])],
    ["HBM capacity", hbmText(facts)],
    ["round trip", `${formatMs(roundTrip.medianMs)} (least ${formatMs(roundTrip.minMs)})`],
  ];
  for (const tier of facts.tiers ?? []) {
    if (tier.name !== "HBM") lines.push([`${tier.name} capacity`, capacityText(tier)]);
  }
  if (facts.offload !== undefined) lines.push(["below HBM", facts.offload]);
  if (clockOffset !== undefined) lines.push(["clock", clockText(clockOffset, formatMs)]);
  lines.push(["around a prompt", overheadText(overhead)]);
  if (client !== undefined) {
    const { streams, tokensPerSec } = client;
    const text = `${formatCount(streams)} streams, ${formatShort(tokensPerSec)} tokens/s`;
    lines.push(["this client", `${text} (${client.evidence})`]);
  }
  return lines;
}

function overheadText({ beforeTokens, afterTokens, evidence }: DoctorReport["overhead"]): string {
  return `${beforeTokens} + ${afterTokens} tokens before and after the text (${evidence})`;
}

function stated(tokens: number | undefined, evidence: string | undefined): string {
  if (tokens === undefined) return "not stated";
  return `${formatCount(tokens)} tokens${evidence === undefined ? "" : ` (${evidence})`}`;
}

function hbmText({ hbmTokens, tiers, evidence }: ServerFacts): string {
  const tier = tiers?.find(({ name }) => name === "HBM");
  return hbmTokens === undefined && tier !== undefined
    ? capacityText(tier)
    : stated(hbmTokens, evidence["hbmTokens"]);
}

/** In tokens; in bytes where the server states only these. */
function capacityText({ capacityTokens, capacityBytes, evidence }: ServerTier): string {
  if (capacityTokens !== undefined || capacityBytes === undefined) {
    return stated(capacityTokens, evidence);
  }
  return `${formatBytes(capacityBytes)} (${evidence})`;
}

function cacheLines({ caching, block, facts }: DoctorReport): Line[] {
  const reported = caching.reportedCachedTokens;
  const line = (ttftMs: number | undefined, repeat: number) => {
    const cached = reported[repeat];
    const zero = facts.cachedTokensAbsentMeansZero ? "0" : "no count";
    return `TTFT ${formatMs(ttftMs)}, cached tokens: ${
      cached === undefined ? zero : formatCount(cached)
    }`;
  };
  const size = caching.promptTokens === undefined
    ? ""
    : `, prompts of ${formatCount(caching.promptTokens)} tokens`;
  return [
    ["prefix caching", `${caching.works} (${caching.evidence})`],
    ["cold", `${line(caching.coldTtftMs, 0)}${size}`],
    ["cached", line(caching.cachedTtftMs, 1)],
    ["cached again", line(caching.cachedAgainTtftMs, 2)],
    ["block, stated", stated(facts.blockTokens, facts.evidence["blockTokens"])],
    [
      "block, found",
      block.blockTokens === undefined
        ? `none (${block.evidence})`
        : `${block.blockTokens} tokens (${block.evidence})`,
    ],
  ];
}

function checkLines({ checks }: DoctorReport): Line[] {
  return checks.map(({ name, state, evidence, enable }) => [
    `  ${state.padEnd(7)} ${TITLES[name]}`,
    `${evidence}${enable === undefined ? "" : `; ${enable}`}`,
  ]);
}
