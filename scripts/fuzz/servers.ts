/**
 * What servers say about themselves, and what clients send to the simulated one.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { ApiKind } from "../../lib/record.ts";
import { parseExposition } from "../../lib/server/exposition.ts";
import { ApiError, parseBody, parseGeneration } from "../../lib/sim/generation.ts";
import { resolveSettings } from "../../lib/sim/settings.ts";
import { byteEdits, edited, jsonEdited, jsonEdits } from "./mutations.ts";
import { target } from "./target.ts";

const encoder = new TextEncoder();
const METRICS = encoder.encode([
  "# HELP vllm:prefix_cache_hits_total Hits, \\\\ escaped",
  "# TYPE vllm:prefix_cache_hits_total counter",
  'vllm:prefix_cache_hits_total{engine="0",model_name="a\\"b\\\\c\\n"} 1.5e3 1700000000',
  'http_request_duration_seconds_bucket{le="+Inf", path="/v1"} 7 # {trace="x"} 0.5',
  "up 1",
  "",
].join("\n"));

/** Targets. */
export const EXPOSITION = [
  target("Prometheus text: with changed bytes", byteEdits, (edits) => {
    assertExposition(new TextDecoder().decode(edited(METRICS, edits)));
  }),
  target(
    "Prometheus text: long hostile lines",
    fc.tuple(
      fc.constantFrom("a{", 'a{b="', 'a{b="\\', "a ", "# TYPE ", 'a{b="c",', "1"),
      fc.constantFrom("\\", '"', "a", " ", "{", ',b="c"', '\\"', "9", "#", "\t"),
      fc.integer({ min: 1, max: 20_000 }),
    ),
    ([head, part, times]) => assertExposition(head + part.repeat(times)),
  ),
  target(
    "Prometheus text: any text",
    fc.string({ unit: "binary", maxLength: 200 }),
    assertExposition,
  ),
];

function assertExposition(text: string): void {
  const { samples } = parseExposition(text);
  for (const { name, labels, value } of samples) {
    assert.ok(name !== "" && typeof value === "number");
    assert.ok(Object.values(labels).every((label) => typeof label === "string"));
  }
}

const SIM_SETTINGS = await resolveSettings({ profile: "demo" });
const BODY = {
  model: SIM_SETTINGS.model,
  prompt: "one two",
  messages: [{ role: "user", content: [{ type: "text", text: "hello" }] }],
  max_tokens: 4,
  min_tokens: 2,
  stream: true,
  stream_options: { include_usage: true },
  cache_salt: "x",
};

/** Targets. */
export const REQUESTS = [
  target(
    "simulate: bodies with changed entries",
    fc.tuple(fc.constantFrom<ApiKind>("chat", "completions"), jsonEdits),
    ([api, edits]) => {
      try {
        const body = parseBody(JSON.stringify(jsonEdited(BODY, edits)) ?? "");
        const found = parseGeneration(api, body, SIM_SETTINGS);
        assert.ok(found.promptIds.length > 0 && found.outputTokens > 0);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        assert.ok(error.status >= 400 && error.status < 500);
      }
    },
  ),
  target("simulate: any body", fc.oneof(fc.string(), fc.json()), (text) => {
    try {
      parseGeneration("chat", parseBody(text), SIM_SETTINGS);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }),
];
