/**
 * An OpenAI-compatible server that repeats the key of a request wherever it can: in every error, in
 * headers, and in what it does not know. For tests that a key is never shown.
 *
 * @module
 */

/** A server that answers on loopback. */
export interface EchoServer extends AsyncDisposable {
  readonly url: string;
}

/** @param accepts Whether it serves; otherwise it refuses the key with a 401. */
export function startEchoServer(accepts: boolean): EchoServer {
  let requests = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const key = [...request.headers.values()].filter((value) => value.includes("canary")).join(" ");
    const refuse = (status: number) =>
      Response.json({ error: { message: `Incorrect API key provided: ${key}` } }, {
        status,
        headers: { "www-authenticate": key, "x-your-key": key },
      });
    if (!accepts) return refuse(401);
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/models") return Response.json({ data: [{ id: "m", object: "model" }] });
    if (pathname !== "/v1/completions") return refuse(404);
    const body = await request.json();
    const isMeasured = /FIXED/.test(request.headers.get("x-request-id") ?? "");
    if (isMeasured && requests++ % 2 === 1) return refuse(500);
    return body.stream === true ? streamed() : Response.json(answer("a"));
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function answer(text: string): object {
  return {
    choices: [{ index: 0, text, finish_reason: "length" }],
    usage: {
      prompt_tokens: 512,
      completion_tokens: 1,
      prompt_tokens_details: { cached_tokens: 0 },
    },
  };
}

function streamed(): Response {
  const events = `data: ${JSON.stringify(answer(" a"))}\n\ndata: [DONE]\n\n`;
  return new Response(events, { headers: { "content-type": "text/event-stream" } });
}
