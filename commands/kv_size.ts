/**
 * `kvmark kv-size`: bytes of KV cache per token and per context.
 *
 * @module
 */

import { Command } from "@commander-js/extra-typings";
import * as v from "valibot";
import { KvmarkError } from "../lib/errors.ts";
import { accessTo } from "../lib/experiments/session.ts";
import type { Host } from "../lib/host.ts";
import { servedPrecision } from "../lib/model/bytes_per_token.ts";
import { tierCapacities } from "../lib/model/capacity.ts";
import { kvSize } from "../lib/model/kv_size.ts";
import { kvSizeReport } from "../lib/model/kv_size_report.ts";
import { kvSizeText } from "../lib/model/kv_size_text.ts";
import {
  KV_ENGINE_TITLES,
  KV_ENGINES,
  type KvEngine,
  type Precision,
  PRECISIONS,
} from "../lib/model/precision.ts";
import type { ModelShape } from "../lib/model/shape.ts";
import { findModel, type FoundModel, type ModelOptions } from "../lib/model/source.ts";
import { kvSizePage } from "../lib/report/kv_size_page.ts";
import { type ServedKv, servedKv } from "../lib/server/served_kv.ts";
import { parseBytes } from "../lib/units.ts";
import {
  addServerOptions,
  checkOptions,
  oneOf,
  type Readable,
  TARGET_OPTIONS,
  targetFrom,
  targetProblems,
  tokens,
  whole,
} from "./_options.ts";

const EXAMPLES = `
Sizes: --hbm and --weights are of one GPU (with --tp its share); --dram and --ssd of all together.
The precision is fp8 unless it is given, as in the Python tool; with --api-endpoint it is the
server's, with llama.cpp fp16. How each architecture is computed: docs/kv-size.md.

Examples:
  kvmark kv-size meta-llama/Llama-3.3-70B-Instruct --precision fp16
  kvmark kv-size ./model/config.json --engine vllm --tp 4 --hbm 80GiB --weights 35GiB --dram 1TiB
  kvmark kv-size model.gguf --custom-tokens 8k 32k 128k --html kv.html
  kvmark kv-size --api-endpoint http://localhost:8000 --json
`;

const DEFAULT_TOKENS = ["1", "1000", "10000", "100000"];

/** A size in bytes: `80GiB`. */
function size() {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parseBytes(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
        return NEVER;
      }
    }),
    v.minValue(1, "must be at least 1 byte"),
    v.maxValue(Number.MAX_SAFE_INTEGER, "is too large"),
  );
}

const { apiEndpoint: _several, endpointSelection: _selection, promptFormat: _format, ...TARGET } =
  TARGET_OPTIONS;
const OPTIONS = v.object({
  ...TARGET,
  apiEndpoint: v.optional(v.string()),
  precision: v.optional(oneOf(...PRECISIONS)),
  batchSize: whole(1, 1_000_000),
  customTokens: v.array(v.pipe(tokens(1), v.maxValue(1e9, "must be at most 1G tokens"))),
  engine: v.optional(oneOf(...KV_ENGINES)),
  tp: v.optional(whole(1, 1024)),
  mtp: v.optional(v.boolean(), false),
  encoderTokens: v.optional(tokens(1)),
  hbm: v.optional(size()),
  weights: v.optional(size()),
  dram: v.optional(size()),
  ssd: v.optional(size()),
  revision: v.optional(v.string()),
  assume: v.optional(v.boolean(), false),
  html: v.optional(v.string()),
  json: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof OPTIONS>;

/** The command, ready to parse its arguments. */
export function command(host: Host): Command {
  const one = new Command("kvmark kv-size")
    .description(
      "Compute how many bytes of KV cache a model takes: per token, at each length, and how many " +
        "tokens and sessions fit into each memory tier. Reads the config only, never runs code.",
    )
    .argument("[model]", "hub id, folder, config.json or .gguf file")
    .option("--precision <name>", `of the KV cache: ${PRECISIONS.join(", ")}`)
    .option("--batch-size <n>", "sequences", "1")
    .option("--custom-tokens <tokens...>", "lengths to compute (8k, 1M)", DEFAULT_TOKENS)
    .option("--engine <name>", `what this engine reserves: ${KV_ENGINES.join(", ")}`)
    .option("--tp <n>", "GPUs of tensor parallelism")
    .option("--mtp", "count the layers of multi-token prediction")
    .option("--encoder-tokens <tokens>", "tokens of the encoder, of models that have one")
    .option("--hbm <size>", "memory of one GPU (80GiB)")
    .option("--weights <size>", "of it, what weights and everything else take")
    .option("--dram <size>", "DRAM for KV blocks")
    .option("--ssd <size>", "SSD for KV blocks")
    .option("--revision <name>", "branch, tag or commit on the hub")
    .option("--assume", "compute an unknown architecture as what its config looks like")
    .option("--html <file>", "write a page with a graph")
    .option("--json", "one JSON object on stdout")
    .option("--api-endpoint <url>", "take model, engine and precision from a running server")
    .option("--timeout <s>", "give a request to it up after this time", "10")
    .addHelpText("after", EXAMPLES);
  addServerOptions(one);
  return one.action((model, raw) => run(host, model, raw)) as unknown as Command;
}

function across(options: Readable<Options>): string[] {
  const { apiEndpoint: _, ...target } = options;
  return [
    ...targetProblems(target),
    ...(options.weights !== undefined && options.hbm === undefined
      ? ["--weights needs --hbm"]
      : []),
  ];
}

async function run(host: Host, model: string | undefined, raw: unknown): Promise<void> {
  const options = checkOptions(OPTIONS, raw, across);
  if (model === undefined && options.apiEndpoint === undefined) {
    throw new KvmarkError("usage", "No model is given", {
      hint: "give a hub id, a folder, a config.json or a .gguf file, or --api-endpoint URL",
    });
  }
  const served = options.apiEndpoint === undefined
    ? undefined
    : await askServer(host, options.apiEndpoint, options);
  const found = await find(host, model === undefined ? served?.weights ?? [] : [model], options);
  const { precision, engine, notes } = servingOf(options, found, served);
  const tp = options.tp ?? served?.tp;
  const size = kvSize(found.shape, {
    precision,
    batchSize: options.batchSize,
    mtp: options.mtp,
    ...(engine === undefined ? {} : { engine }),
    ...(tp === undefined ? {} : { tp }),
    ...(options.encoderTokens === undefined ? {} : { encoderTokens: options.encoderTokens }),
  });
  const lengths = [...new Set(options.customTokens)].sort((a, b) => a - b);
  const name = model ?? served?.model ?? "";
  const report = kvSizeReport({
    model: name,
    source: found.source,
    shape: found.shape,
    size,
    lengths,
    tiers: tierCapacities(size, tierSizes(options), lengths),
    notes: [...notes, ...withoutEffect(options, found.shape)],
  });
  if (options.html !== undefined) {
    const longestTokens = Math.max(found.shape.maxPositions ?? 0, ...lengths);
    const page = { title: name, source: found.source, size, longestTokens };
    await write(host, options.html, await kvSizePage(page));
  }
  host.stdout.write(options.json ? `${JSON.stringify(report)}\n` : kvSizeText(report));
}

/** Options that this model has no use for. */
function withoutEffect(options: Options, shape: ModelShape): string[] {
  const cross = shape.caches.some((cache) => cache.kind === "cross");
  return [
    ...(options.mtp && shape.mtpCaches.length === 0
      ? ["--mtp has no effect: the config has no layers of multi-token prediction."]
      : []),
    ...(options.encoderTokens !== undefined && !cross
      ? ["--encoder-tokens has no effect: the model has no cross-attention."]
      : []),
  ];
}

function tierSizes({ hbm, weights, dram, ssd }: Options) {
  return {
    ...(hbm === undefined ? {} : { hbmBytes: hbm }),
    ...(weights === undefined ? {} : { weightsBytes: weights }),
    ...(dram === undefined ? {} : { dramBytes: dram }),
    ...(ssd === undefined ? {} : { ssdBytes: ssd }),
  };
}

async function askServer(host: Host, url: string, options: Options): Promise<ServedKv> {
  const config = await targetFrom(host, {
    ...options,
    apiEndpoint: [url],
    endpointSelection: "round-robin",
    promptFormat: "text",
  });
  const access = await accessTo(host, config, config.endpoints[0] ?? url);
  return await servedKv({ ...access, timeoutMs: config.timeoutMs }, config.model);
}

/** The first of these names that leads to a model; the error of the last one. */
async function find(
  host: Host,
  names: readonly string[],
  options: Options,
): Promise<FoundModel> {
  const modelOptions: ModelOptions = {
    files: host.files,
    env: (name) => host.env(name),
    assume: options.assume,
    ...(options.revision === undefined ? {} : { revision: options.revision }),
  };
  let failure: unknown;
  for (const name of names) {
    try {
      return await findModel(name, modelOptions);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** How it is served: as asked for, else as the server does, else by the defaults. */
function servingOf(options: Options, found: FoundModel, served: ServedKv | undefined): {
  readonly precision: Precision;
  readonly engine: KvEngine | undefined;
  readonly notes: readonly string[];
} {
  const engine = options.engine ?? KV_ENGINES.find((one) => one === served?.engine) ??
    (found.isGguf ? "llamacpp" : undefined);
  const title = engine === undefined ? "" : KV_ENGINE_TITLES[engine];
  const notes = options.engine === undefined && engine !== undefined
    ? [`The engine is taken to be ${title}; another can be named by --engine.`]
    : [];
  if (options.precision !== undefined) return { precision: options.precision, engine, notes };
  if (served !== undefined) {
    const precision = served.precision ?? servedPrecision(found.shape, engine);
    const why = served.precision === undefined
      ? "The server does not name another precision of the KV cache than that of the model."
      : `The server keeps the KV cache in ${precision}.`;
    const own = served.bytesPerToken === undefined
      ? []
      : [`By its own capacity the server counts ${served.bytesPerToken} bytes a token on a GPU.`];
    return { precision, engine, notes: [...notes, why, ...own] };
  }
  const precision = engine === "llamacpp" ? "fp16" : "fp8";
  const own = servedPrecision(found.shape, engine);
  if (own !== precision) {
    notes.push(`Without --kv-cache-dtype engines keep this model in ${own} (--precision ${own}).`);
  }
  return { precision, engine, notes };
}

async function write(host: Host, path: string, text: string): Promise<void> {
  try {
    await host.files.writeText(path, text);
  } catch (error) {
    throw new KvmarkError("io", `Cannot write ${path}: ${(error as Error).message}`, {
      hint: "check the path that --html names",
      cause: error,
    });
  }
}
