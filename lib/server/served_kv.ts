/**
 * What a server says about the KV cache that it serves a model with. Sends no prompt.
 *
 * @module
 */

import { KvmarkError } from "../errors.ts";
import { detectEngine, servedModels } from "./detect.ts";
import { type Documents, gatherDocuments } from "./documents.ts";
import type { Engine } from "./facts.ts";
import { asCount, printableUrl, refusal, type ServerAccess } from "./http.ts";

/** A served model and the form of its KV cache, as far as the server tells it. */
export interface ServedKv {
  /** The id that requests name. */
  readonly model: string;
  /** Names under which the weights may be found, the most telling first. */
  readonly weights: readonly string[];
  readonly engine: Engine;
  /** Precision of the KV cache where the server tells it and it is not that of the model. */
  readonly precision?: "fp8" | "fp16" | "bf16" | "int8" | "int4";
  /** GPUs of tensor parallelism. */
  readonly tp?: number;
  /** Bytes of a token on one GPU by the server's own capacity, where it tells bytes and tokens. */
  readonly bytesPerToken?: number;
}

/**
 * Asks a server what it serves.
 *
 * @param model The served model; the first one if absent.
 * @throws {KvmarkError} `unreachable`, if it does not answer, refuses the key or has no such model.
 */
export async function servedKv(access: ServerAccess, model?: string): Promise<ServedKv> {
  const documents = await gatherDocuments(access);
  if (documents.models.status !== 200) {
    throw refusal(access, documents.models, "the list of models");
  }
  const models = servedModels(documents.models.json) ?? [];
  const served = model === undefined
    ? models.find(({ adapter }) => !adapter) ?? models[0]
    : models.find(({ id, root }) => id === model || root === model);
  if (served === undefined) {
    const where = printableUrl(access.baseUrl);
    const ids = models.map(({ id }) => id).join(", ");
    throw new KvmarkError("unreachable", `${where} does not serve ${model ?? "any model"}`, {
      hint: ids === "" ? "check --api-endpoint" : `it serves: ${ids}`,
    });
  }
  const { engine } = detectEngine(documents, models);
  const precision = precisionOf(documents);
  const tp = asCount(documents.serverInfo?.["tp_size"]);
  const bytesPerToken = ownFigure(documents);
  const paths = [
    served.root,
    documents.serverInfo?.["model_path"],
    documents.props?.["model_path"],
    documents.info?.["model_id"],
    served.id,
  ];
  return {
    model: served.id,
    weights: [...new Set(paths.filter((path): path is string => typeof path === "string"))],
    engine,
    ...(precision === undefined ? {} : { precision }),
    ...(tp === undefined || tp < 1 ? {} : { tp }),
    ...(bytesPerToken === undefined ? {} : { bytesPerToken }),
  };
}

/** Labels of the metric with which vLLM describes its cache. */
function cacheConfig(documents: Documents): Readonly<Record<string, string>> | undefined {
  const samples = documents.metrics.exposition?.samples ?? [];
  return samples.find(({ name }) => name === "vllm:cache_config_info")?.labels;
}

/** vLLM tells both numbers where its cache was given a size (`--kv-cache-memory-bytes`). */
function ownFigure(documents: Documents): number | undefined {
  const labels = cacheConfig(documents);
  const bytes = asCount(labels?.["kv_cache_memory_bytes"]);
  const tokens = asCount(labels?.["kv_cache_size_tokens"]);
  return bytes && tokens ? bytes / tokens : undefined;
}

const PRECISIONS: readonly (readonly [RegExp, NonNullable<ServedKv["precision"]>])[] = [
  [/^fp8/, "fp8"],
  [/^(bfloat16|bf16)$/, "bf16"],
  [/^(float16|fp16|half)$/, "fp16"],
  [/^int8/, "int8"],
  [/^(nvfp4|fp4|int4)/, "int4"],
];

/** `auto` is the precision of the model, so it says nothing here. */
function precisionOf(documents: Documents): ServedKv["precision"] | undefined {
  const stated = cacheConfig(documents)?.["cache_dtype"] ??
    documents.serverInfo?.["kv_cache_dtype"];
  const name = String(stated ?? "");
  return PRECISIONS.find(([pattern]) => pattern.test(name))?.[1];
}
