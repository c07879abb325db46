/**
 * Flat stays flat: against a server of constant latency and no cache, the measured TTFT and input
 * throughput must not depend on the hit rate.
 *
 *     deno run --allow-run --allow-read --allow-write scripts/flat.ts [seconds per rate] [percent]
 *
 * @module
 */

const seconds = Deno.args[0] ?? "20";
/** How far the rates may be apart. */
const limitPercent = Number(Deno.args[1] ?? 1);
const flags = ["run", "--allow-net", "--allow-read", "--allow-write", "--allow-env", "--allow-sys"];
const main = new URL("../main.ts", import.meta.url).pathname;

const server = new Deno.Command(Deno.execPath(), {
  args: [
    ...flags,
    main,
    "simulate",
    "--port",
    "0",
    "--fault",
    "constant-latency",
    "--constant-ttft-ms",
    "300",
  ],
  stdout: "piped",
  stderr: "inherit",
}).spawn();
try {
  const url = await readUrl(server.stdout);
  const dir = await Deno.makeTempDir({ prefix: "kvmark-flat-" });
  const run = await new Deno.Command(Deno.execPath(), {
    args: [
      ...[...flags, main, "cache-rate", "--api-endpoint", url, "--output-dir", dir],
      ...["--context-sizes", "32000", "--working-set-size", "512000"],
      ...["--cache-hit-rates", "0", "50", "100", "--output-tokens", "32"],
      ...["--mode", "fixed", "--fixed-concurrency-levels", "16", "--num-retries", "0"],
      ...["--ramp-duration", seconds, "--test-duration", seconds, "--skip-graphs", "--json"],
    ],
    stderr: "inherit",
  }).output();
  const { rows } = JSON.parse(new TextDecoder().decode(run.stdout)) as {
    rows: Record<string, number>[];
  };
  if (rows.length !== 3) throw new Error(`${rows.length} rows instead of 3`);
  console.log("| hit rate | requests | mean TTFT (s) | input tokens/s | event-loop lag p99 (ms) |");
  console.log("|---|---|---|---|---|");
  for (const row of rows) {
    console.log(
      `| ${row.cache_hit_rate} % | ${row.total_requests} | ${row.avg_ttft?.toFixed(4)} | ` +
        `${Math.round(row.input_tokens_per_sec ?? NaN)} | ${row.event_loop_lag_p99_ms} |`,
    );
  }
  for (const name of ["avg_ttft", "input_tokens_per_sec"]) {
    const values = rows.map((row) => row[name] ?? NaN);
    const percent = 100 * (Math.max(...values) / Math.min(...values) - 1);
    console.log(`${name}: largest over smallest is ${percent.toFixed(2)} % above 1`);
    if (!(percent <= limitPercent)) Deno.exitCode = 1;
  }
  await Deno.remove(dir, { recursive: true });
} finally {
  server.kill("SIGTERM");
  await server.status;
}

async function readUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  return (JSON.parse(text.split("\n")[0] ?? "") as { url: string }).url;
}
