/**
 * A key is found nowhere: not in a file of a run, not on stdout or stderr, whatever the server does
 * with it.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { type Finished, kvmark, withTempDir } from "../support/command.ts";
import { type EchoServer, startEchoServer } from "../support/echo_server.ts";
import { EXACT_SIMULATE, SMALL_EXACT_RUN } from "../support/exact_run.ts";
import { startSimulateCommand } from "../support/simulator.ts";

const KEY = "sk-canary-0123456789abcdef";
const ENV = { OPENAI_API_KEY: KEY, HF_TOKEN: `hf_${KEY}` };
const WITH_PAGES = SMALL_EXACT_RUN.filter((word) => word !== "--skip-graphs");

/** The places of a key in what a command printed and wrote. */
function places(dir: string, ...runs: readonly Finished[]): string[] {
  const found = runs.flatMap(({ stdout, stderr }) => [["stdout", stdout], ["stderr", stderr]]);
  for (const path of filesBelow(dir)) {
    found.push([path, Deno.readTextFileSync(path)]);
  }
  return found.filter(([, text]) => text?.includes("canary")).map(([name]) => name ?? "");
}

function filesBelow(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${dir}/${name}`) : [`${dir}/${name}`]
  );
}

Deno.test("places() finds a key", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/a`, `x${KEY}`);
    const run = { code: 0, stdout: KEY, stderr: "" };
    assert.deepEqual(places(dir, run), ["stdout", `${dir}/a`]);
  });
});

Deno.test("a key of the environment, of a file or of a header is found nowhere", async () => {
  await withTempDir(async (dir) => {
    const keyFile = await Deno.makeTempFile();
    await Deno.writeTextFile(keyFile, `${KEY}\n`);
    await using server = startEchoServer(true);
    const runs = await Promise.all([
      run(WITH_PAGES, server, `${dir}/env`, ENV, "--json"),
      run(SMALL_EXACT_RUN, server, `${dir}/file`, {}, "--api-key-file", keyFile, "--verbose"),
      run(
        ...[SMALL_EXACT_RUN, server, `${dir}/header`, {}] as const,
        ...["--header", `X-Team: ${KEY}`, `Authorization: Key ${KEY}`],
      ),
      kvmark(["doctor", "--api-endpoint", server.url, "--no-client", "--json"], { env: ENV }),
    ]);
    await Deno.remove(keyFile);
    for (const { code, stderr } of runs.slice(0, 3)) assert.equal(code, 0, stderr);
    const names = filesBelow(dir);
    assert.ok(names.some((name) => name.endsWith("index.html")));
    for (const kind of ["run.json", "detailed_results_", "run_command_"]) {
      assert.equal(names.filter((name) => name.includes(kind)).length, 3, kind);
    }
    const rows = names.filter((name) => name.includes("detailed_results_"))
      .map((name) => Deno.readTextFileSync(name)).join("");
    assert.match(rows, /Incorrect API key provided: .*\*\*\*/, "the server did repeat it");
    assert.deepEqual(places(dir, ...runs), []);
  });
});

Deno.test("a key that a server spells in other ways is found in none, nor a line that it made up", async () => {
  await withTempDir(async (dir) => {
    const key = 'p"q/<é>&z9';
    const spelled = [
      JSON.stringify(key).slice(1, -1),
      encodeURIComponent(key),
      key.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
      btoa(String.fromCharCode(...new TextEncoder().encode(`user:${key}`))),
    ];
    let asked = 0;
    await using simulator = await startSimulateCommand(EXACT_SIMULATE);
    await using server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      async (it) => {
        const { pathname, search } = new URL(it.url);
        const isMeasured = it.headers.has("x-request-id");
        if (isMeasured && asked++ % 3 === 0) {
          const message = `wrong key ${spelled.join(" ")}\nwarning: made up`;
          return Response.json({ error: { message } }, { status: 500 });
        }
        const body = it.method === "POST" ? await it.text() : undefined;
        const headers = { "content-type": "application/json" };
        const answer = await fetch(simulator.url + pathname + search, {
          method: it.method,
          ...(body === undefined
            ? {}
            : { body: body.replaceAll(/evil[^"]*z/g, "sim-model"), headers }),
        });
        return new Response(answer.body, { status: answer.status, headers: answer.headers });
      },
    );
    const { port } = server.addr;
    const finished = await kvmark([
      ...WITH_PAGES,
      ...["--api-endpoint", `http://127.0.0.1:${port}`, "--output-dir", dir, "--verbose"],
      ...["--api", "completions", "--header", `X-Team: ${encodeURI("plain")}`],
    ], { env: { OPENAI_API_KEY: key } });
    const texts = [finished.stdout, finished.stderr];
    for (const path of filesBelow(dir)) texts.push(Deno.readTextFileSync(path));
    const all = texts.join("\n");
    assert.match(all, /wrong key (?:\*\*\*)/, `the server did repeat it: ${finished.stderr}`);
    for (const text of [key, ...spelled]) assert.ok(!all.includes(text), `${text} is there`);
    assert.doesNotMatch(finished.stderr, /^warning: made up/m);
  });
});

function run(
  command: readonly string[],
  server: Pick<EchoServer, "url">,
  out: string,
  env: Readonly<Record<string, string>>,
  ...more: string[]
): Promise<Finished> {
  const args = [
    ...["--api-endpoint", server.url, "--output-dir", out, "--api", "completions"],
    // The server fails requests on purpose.
    ...["--min-success", "0"],
  ];
  return kvmark([...command, ...args, ...more], { env });
}

Deno.test("a server that refuses a key by repeating it does not make kvmark repeat it", async () => {
  await withTempDir(async (dir) => {
    await using server = startEchoServer(false);
    const runs = [
      await run(SMALL_EXACT_RUN, server, `${dir}/out`, ENV),
      await kvmark(["doctor", "--api-endpoint", server.url], { env: ENV }),
    ];
    for (const { code, stderr } of runs) {
      assert.equal(code, EXIT_CODES.unreachable.code, stderr);
      assert.match(stderr, /401/);
    }
    assert.deepEqual(places(dir, ...runs), []);
  });
});

Deno.test("a redirect to another host is not followed: that host sees neither key nor request", async () => {
  await withTempDir(async (dir) => {
    let seen = 0;
    const serve = (handler: Deno.ServeHandler) =>
      Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
    await using other = serve(() => {
      seen++;
      return new Response(null, { status: 404 });
    });
    const elsewhere = `http://localhost:${other.addr.port}`;
    for (const isAll of [true, false]) {
      await using server = serve((request) => {
        const { pathname } = new URL(request.url);
        return !isAll && pathname === "/v1/models"
          ? Response.json({ data: [{ id: "m", object: "model" }] })
          : new Response(null, { status: 307, headers: { location: `${elsewhere}${pathname}` } });
      });
      const url = `http://127.0.0.1:${server.addr.port}`;
      const { code, stderr } = await run(SMALL_EXACT_RUN, { url }, `${dir}/${isAll}`, ENV);
      assert.equal(code, EXIT_CODES.unreachable.code, stderr);
      assert.ok(stderr.includes(`redirects to ${elsewhere}/v1/`), stderr);
    }
    assert.equal(seen, 0);
  });
});

Deno.test("what a server says does not steer the terminal", async () => {
  await using simulator = await startSimulateCommand(["--model", "m\u001b]0;title\u0007\u009b31m"]);
  const server = ["--api-endpoint", simulator.url, "--no-client"];
  const { stdout } = await kvmark(["doctor", ...server]);
  assert.match(stdout, /model +m \]0;title 31m/);
  const { stderr } = await kvmark(["doctor", ...server, "--model", "other"]);
  assert.match(stderr, /it serves: m \]0;title/);
  for (const control of "\u001b\u0007\u009b") assert.ok(!(stdout + stderr).includes(control));
});

Deno.test("simulate asks for a key and does not show it", async () => {
  const log = await Deno.makeTempFile();
  await using simulator = await startSimulateCommand(
    ["--api-key-env", "THE_KEY", "--truth-log", log],
    { THE_KEY: KEY },
  );
  for (const key of ["wrong", KEY]) {
    const { status, body } = await fetch(`${simulator.url}/v1/models`, {
      headers: { authorization: `Bearer ${key}` },
    });
    await body?.cancel();
    assert.equal(status, key === KEY ? 200 : 401);
  }
  const shown = JSON.stringify(simulator.ready) + simulator.stderr() + await Deno.readTextFile(log);
  assert.ok(!shown.includes("canary"));
  await Deno.remove(log);
});
