/** Whole runs against a server that closes its connections behind streamed answers. */

import assert from "node:assert/strict";
import { command } from "../commands/cache_rate.ts";
import { denoHost } from "../lib/host.ts";
import { startSimulator } from "../lib/sim/server.ts";
import { closingServer } from "./support/closing_server.ts";
import { withTempDir } from "./support/command.ts";

const WORKERS_FROM = new URL("../main.ts", import.meta.url).href;

Deno.test("cache-rate loses no request to a server that closes behind its streams, and says why", () =>
  withTempDir(async (dir) => {
    await using simulator = await startSimulator({
      port: 0,
      hbmTokens: 64_000,
      dramTokens: 0,
      ssdTokens: 0,
      maxModelTokens: 2000,
      prefillTokensPerSec: 500_000,
      itlMs: 0.1,
    });
    using server = closingServer(simulator.url);
    let stderr = "";
    let stdout = "";
    const terminal = { isTerminal: false, columns: () => 80 };
    const host = {
      ...denoHost(WORKERS_FROM),
      env: () => undefined,
      stdout: { ...terminal, write: (text: string) => void (stdout += text) },
      stderr: { ...terminal, write: (text: string) => void (stderr += text) },
      onInterrupt: () => () => {},
    };
    const args = [
      ...["--api-endpoint", server.url, "--output-dir", dir, "--context-sizes", "512"],
      ...["--working-set-size", "2048", "--chunk-size", "16", "--cache-hit-rates", "50"],
      ...["--mode", "fixed", "--fixed-concurrency-levels", "2", "--num-retries", "0"],
      ...["--output-tokens", "2", "--ramp-duration", "0.4", "--test-duration", "0.4"],
      ...["--workers", "1", "--skip-graphs", "--json"],
    ];
    await command(host).exitOverride().parseAsync(args, { from: "user" });
    const { rows: [row] } = JSON.parse(stdout);
    assert.ok(row.total_requests > 3, `${row.total_requests} requests`);
    assert.equal(row.failed_requests, 0);
    assert.match(stderr, /closes its connections .* Connection: close/);
    assert.equal(stderr.match(/Connection: close/g)?.length, 1, "said once");
    const measured = server.requests.filter(({ head }) => /^x-request-id/im.test(head));
    assert.ok(measured.length > row.total_requests);
    assert.ok(measured.every(({ head }) => /^connection: close/im.test(head)));
  }));
