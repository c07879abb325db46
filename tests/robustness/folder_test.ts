/**
 * What can happen to a results folder: no space, no permission, gone, of another version, in use.
 */

import assert from "node:assert/strict";
import { EXIT_CODES } from "../../lib/errors.ts";
import { commandUnderTest, type Finished, kvmark, withTempDir } from "../support/command.ts";
import { EXACT_SIMULATE, exactRows, SMALL_EXACT_RUN } from "../support/exact_run.ts";
import { untilThere } from "../support/until.ts";
import { type SimulatorUnderTest, startSimulateCommand } from "../support/simulator.ts";

const IO = EXIT_CODES.io.code;

/** One simulator for all tests. */
let shared: Promise<SimulatorUnderTest> | undefined;

async function run(dir: string, ...more: string[]): Promise<Finished> {
  return await kvmark(await argumentsFor(dir, ...more));
}

async function argumentsFor(dir: string, ...more: string[]): Promise<string[]> {
  shared ??= startSimulateCommand(EXACT_SIMULATE);
  const { url } = await shared;
  return [...SMALL_EXACT_RUN, "--api-endpoint", url, "--output-dir", dir, ...more];
}

Deno.test.afterAll(async () => {
  await (await shared)?.[Symbol.asyncDispose]();
});

/** A table of `/proc/mounts` of its own: mounts in it are gone with its last process. */
const canMount = await succeeds("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt");
if (!canMount) {
  console.error("!!! unshare and mount are not allowed here: the tests of a full and of a");
  console.error("    read-only disk are IGNORED, not passed. !!!");
}

async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/**
 * Runs a shell script in which `$1…` is the command of the run, `mnt` a folder to mount on, and
 * what is left in `kept` stays. The output folder of the run is `mnt/out`.
 */
async function inNamespace(script: string, check: (dir: string) => void): Promise<void> {
  await withTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/mnt`);
    const args = (await argumentsFor("mnt/out")).filter((word) => word !== "--skip-graphs");
    const command = [...await commandUnderTest(), ...args];
    const { stderr } = await new Deno.Command("unshare", {
      args: ["-rm", "sh", "-euc", script, "sh", ...command],
      cwd: dir,
      stdout: "null",
    }).output();
    assert.equal(new TextDecoder().decode(stderr), "");
    check(dir);
  });
}

function mountTest(name: string, script: string, check: (dir: string) => void): void {
  const ignored = canMount ? "" : " (IGNORED: no mounts)";
  Deno.test({ name: name + ignored, ignore: !canMount, fn: () => inNamespace(script, check) });
}

function text(path: string): string {
  return Deno.readTextFileSync(path);
}

mountTest(
  "cache-rate on a full disk says so, loses nothing, goes on, and prints its result without pages",
  `mount -t tmpfs -o size=28k none mnt
   if "$@" 2>first; then echo 0 >code; else echo $? >code; fi
   mount -o remount,size=200k mnt
   if "$@" 2>second >table; then echo 0 >>code; else echo $? >>code; fi
   cp -r mnt/out kept`,
  (dir) => {
    const [first, second] = [text(`${dir}/first`), text(`${dir}/second`)];
    assert.equal(text(`${dir}/code`), `${IO}\n${IO}\n`, first + second);
    assert.match(first, /Cannot write mnt\/out\/\S+: No space left .*\n.*hint: .*space/);
    assert.match(second, /Resuming the run of/);
    // There is space for the rows now, and none for the pages.
    assert.match(second, /^kvmark: Cannot write the pages in mnt\/out: No space left/m);
    assert.match(text(`${dir}/table`), /512 +50 %[^]*\n\nresults: mnt\/out/);
    assertWhole(`${dir}/kept`);
  },
);

mountTest(
  "cache-rate on a read-only disk fails before the first request",
  `mount -t tmpfs none mnt
   mkdir mnt/out
   mount -o remount,ro mnt
   if "$@" 2>first; then echo 0 >code; else echo $? >code; fi`,
  (dir) => {
    assert.equal(text(`${dir}/code`), `${IO}\n`);
    assert.match(text(`${dir}/first`), /^kvmark: Cannot write mnt\/out: Read-only file system/);
  },
);

/** The rows of an unbroken run, made once. */
let unbroken: ReturnType<typeof exactRows> | undefined;

function assertWhole(dir: string): void {
  const rows = exactRows(dir);
  assert.deepEqual(Object.values(rows).map((one) => one.length), [2, 4, 12]);
  unbroken ??= rows;
  assert.deepEqual(rows, unbroken);
}

Deno.test("cache-rate refuses what cannot be a folder", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    await Deno.symlink("loop", `${dir}/loop`);
    for (const name of ["file", "file/below", "loop"]) {
      const { code, stderr } = await run(`${dir}/${name}`);
      assert.equal(code, IO, name);
      assert.match(stderr, /kvmark: Cannot write .*\n {2}hint: /);
    }
  });
});

Deno.test("cache-rate notices that its folder was deleted, or replaced, under its hands", async () => {
  await Promise.all(["deleted", "replaced"].map((harm) =>
    withTempDir(async (dir) => {
      const out = `${dir}/out`;
      const running = run(out);
      await untilThere(`${out}/run.json`);
      await Deno.remove(out, { recursive: true });
      if (harm === "replaced") await Deno.mkdir(out);
      const { code, stderr } = await running;
      assert.equal(code, IO, stderr);
      assert.match(stderr, /kvmark: Cannot write .*\/out\/\S+: (No such file|it is gone)/);
    })
  ));
});

Deno.test("one folder: in use by one kvmark only, resumed, then of a later version", async () => {
  await withTempDir(async (dir) => {
    const out = `${dir}/out`;
    const first = run(out);
    await untilThere(`${out}/run.json`);
    const second = await run(out);
    assert.equal(second.code, IO, second.stderr);
    assert.match(second.stderr, /Another kvmark \(process \d+, since .*\) uses the folder/);
    assert.equal((await first).code, 0, (await first).stderr);
    assertWhole(out);

    const again = await run(out);
    assert.equal(again.code, 0);
    assert.match(again.stderr, /2 finished cells kept/);
    const changed = await run(out, "--output-tokens", "3");
    assert.equal(changed.code, EXIT_CODES.usage.code);
    assert.match(changed.stderr, /output_tokens was 2, now 3\n.*--force-restart/);
    assertWhole(out);

    const progress = text(`${out}/progress.json`);
    await Deno.writeTextFile(
      `${out}/progress.json`,
      progress.replace(/"format": \d+/, '"format": 99'),
    );
    const later = await run(out);
    assert.equal(later.code, IO);
    assert.match(later.stderr, /a later kvmark \(0\.1\.0\) wrote it\n.*--force-restart/);
    await Deno.writeTextFile(`${out}/progress.json`, progress);
    assertWhole(out);
  });
});
