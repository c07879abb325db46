/**
 * What every client of the benchmark is told, and what it says at the end. The Python ones
 * (`load.py`) do the same.
 *
 * @module
 */

/** The load: a closed loop. */
export interface ClientTask {
  readonly url: string;
  readonly streams: number;
  /** Chunks of the middle answer. */
  readonly tokens: number;
  /** Requests are begun for so long. */
  readonly seconds: number;
}

/** One request that ended well. */
export interface ClientRequest {
  readonly id: string;
  readonly ttftMs: number;
  readonly chunks: number;
}

/** Command line: URL, streams, tokens, seconds. */
export function clientTask(): ClientTask {
  const [url = "", streams, tokens, seconds] = Deno.args;
  return { url, streams: Number(streams), tokens: Number(tokens), seconds: Number(seconds) };
}

/** Chunks of the n-th request: streams that began together do not end together. */
export function tokensOf(task: ClientTask, n: number): number {
  const spread = Math.floor(task.tokens * 0.4);
  return task.tokens - spread + (n * 7919) % (2 * spread + 1);
}

/** The JSON body of the n-th request. */
export function bodyOf(task: ClientTask, n: number): string {
  return JSON.stringify({
    model: "golden",
    prompt: "time year people way day man thing",
    max_tokens: tokensOf(task, n),
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
}

/** Runs the closed loop: `send` sends the n-th request. */
export async function closedLoop(
  task: ClientTask,
  send: (n: number) => Promise<ClientRequest>,
): Promise<ClientRequest[]> {
  const endMs = performance.now() + task.seconds * 1000;
  const done: ClientRequest[] = [];
  let next = 0;
  const slot = async () => {
    while (performance.now() < endMs) done.push(await send(next++));
  };
  await Promise.all(Array.from({ length: task.streams }, slot));
  return done;
}
