import assert from "node:assert/strict";
import * as v from "valibot";
import { denoHost } from "../lib/host.ts";
import { LOAD_OPTIONS } from "./_load_options.ts";
import { outputConfig, type RunOptions } from "./_run_options.ts";

Deno.test("outputConfig() keeps durations in seconds, as the Python suite's keys say", () => {
  const { testDuration, rampDuration } = LOAD_OPTIONS;
  const options = v.parse(v.object({ testDuration, rampDuration }), {
    testDuration: "5m",
    rampDuration: "2.5",
  });
  assert.deepEqual(options, { testDuration: 300_000, rampDuration: 2500 });
  const { identity } = outputConfig(
    denoHost(import.meta.url),
    options as unknown as RunOptions,
  );
  assert.deepEqual(identity, { test_duration: 300, ramp_duration: 2.5 });
});
