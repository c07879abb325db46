/**
 * `kvmark doctor`: what a server can prove about its cache.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { KvmarkError, oneLine } from "../lib/errors.ts";
import { mapStrings, redactorOf } from "../lib/redaction.ts";
import { calibrateClient } from "../lib/experiments/client_capacity.ts";
import { accessTo, type TargetConfig } from "../lib/experiments/session.ts";
import type { Host } from "../lib/host.ts";
import { diagnose, type DoctorReport } from "../lib/server/doctor.ts";
import { doctorText } from "../lib/server/doctor_text.ts";
import type { ServerAccess } from "../lib/server/http.ts";
import { probeServer } from "../lib/server/probe.ts";
import {
  addServerOptions,
  checkOptions,
  defaultWorkers,
  endpoint,
  TARGET_OPTIONS,
  targetFrom,
  targetProblems,
  whole,
} from "./_options.ts";

const EXAMPLES = `
Exit codes: 0 the cache is reused or it cannot be told; 4 the server cannot be reached, refuses the
key or has no such model; 5 the server does not reuse its KV cache.

Examples:
  kvmark doctor --api-endpoint http://localhost:8000
  kvmark doctor --api-endpoint http://router:8000 --metrics-url http://worker:8081/metrics --json
`;

const { apiEndpoint: _several, endpointSelection: _selection, promptFormat: _format, ...TARGET } =
  TARGET_OPTIONS;
const OPTIONS = v.object({
  ...TARGET,
  apiEndpoint: endpoint(),
  workers: v.optional(whole(1, 256)),
  client: v.boolean(),
  json: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark doctor")
    .description(
      "Find out in about a minute what a server can prove about its KV cache, what will be " +
        "missing in results, and the flag that would switch it on. Drops no cache.",
    )
    .requiredOption("--api-endpoint <url>", "server, with or without /v1")
    .option("--timeout <s>", "give a small request up after this time", "10")
    .option("--no-client", "do not measure what this host can drive")
    .option("--workers <n>", "sending threads of that measurement; one per core but one if absent")
    .option("--json", "one JSON object on stdout")
    .addHelpText("after", EXAMPLES);
  addServerOptions(one);
  return one.action((raw) => doctor(host, raw)) as unknown as Command;
}

async function doctor(host: Host, raw: unknown): Promise<void> {
  const options = checkOptions(
    OPTIONS,
    raw,
    ({ apiEndpoint: _one, ...rest }) => targetProblems(rest),
  );
  const interrupted = new AbortController();
  const release = host.onInterrupt(() => interrupted.abort());
  try {
    const { config, access } = await accessFrom(host, options, interrupted.signal);
    const facts = await probeServer(access, {
      api: config.api,
      nonce: crypto.randomUUID(),
      ...(config.model === undefined ? {} : { model: config.model }),
    });
    host.stderr.write("examining the cache …\n");
    const { clock } = host;
    const found = await diagnose(access, facts, { clock, nonce: crypto.randomUUID() });
    const whole = options.client ? await withClient(host, options, found) : found;
    const redact = redactorOf(config.headers);
    const report = mapStrings(whole, (text) => redact(oneLine(text)));
    host.stdout.write(options.json ? `${JSON.stringify(report)}\n` : doctorText(report));
    requireCaching(report);
  } finally {
    release();
  }
}

async function accessFrom(
  host: Host,
  options: Options,
  signal: AbortSignal,
): Promise<{ config: TargetConfig; access: ServerAccess }> {
  const config = await targetFrom(host, {
    ...options,
    apiEndpoint: [options.apiEndpoint],
    endpointSelection: "round-robin",
    promptFormat: "text",
  });
  const [baseUrl = options.apiEndpoint] = config.endpoints;
  const access = {
    ...await accessTo(host, config, baseUrl),
    timeoutMs: config.timeoutMs,
    signal,
  };
  return { config, access };
}

async function withClient(
  host: Host,
  options: Options,
  report: DoctorReport,
): Promise<DoctorReport> {
  host.stderr.write("measuring this client against the simulator …\n");
  const workers = options.workers ?? defaultWorkers(host);
  return { ...report, client: await calibrateClient(host, workers) };
}

function requireCaching({ caching, facts }: DoctorReport): void {
  if (caching.works !== "no") return;
  const { enable } = facts.capabilities.prefixCaching;
  throw new KvmarkError(
    "noCaching",
    `The server does not reuse its KV cache: ${caching.evidence}`,
    enable === undefined ? {} : { hint: enable },
  );
}
