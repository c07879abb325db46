import assert from "node:assert/strict";
import fc from "fast-check";
import { runCommandScript, shellQuote } from "./run_command.ts";

/** What a POSIX shell makes of quoted words: single quotes, backslashes, blanks. */
function shellWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] ?? "";
    if (char === "'") {
      const end = text.indexOf("'", i + 1);
      word = (word ?? "") + text.slice(i + 1, end);
      i = end;
    } else if (char === "\\") {
      i++;
      if (text[i] !== "\n") word = (word ?? "") + (text[i] ?? "");
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + char;
  }
  return word === undefined ? words : [...words, word];
}

Deno.test("shellQuote() keeps every text one word", () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: "grapheme" })), (words) => {
    assert.deepEqual(shellWords(words.map(shellQuote).join(" ")), words);
  }));
  assert.equal(shellQuote("--max-ttft=2.0"), "--max-ttft=2.0");
  assert.equal(shellQuote("$(reboot)"), "'$(reboot)'");
});

Deno.test("runCommandScript() writes one option a line and passes further ones on", () => {
  const script = runCommandScript(
    ["deno", "run", "main.ts", "cache-rate", "--context-sizes", "8000", "16000", "--skip-graphs"],
    "2026-01-02T03:04:05Z",
  );
  assert.match(script, /^#!\/bin\/sh\n/);
  assert.ok(script.endsWith(
    'deno run main.ts cache-rate \\\n  --context-sizes 8000 16000 \\\n  --skip-graphs "$@"\n',
  ));
});

Deno.test("runCommandScript() never has a secret", () => {
  const secret = "s3cr3t-canary";
  const script = runCommandScript([
    "kvmark",
    "--header",
    `Authorization: Bearer ${secret}`,
    `--header=X-Api-Key: ${secret}`,
    "--header",
    "Accept: text/event-stream",
    `X-Tenant: ${secret}`,
    "--api-key",
    secret,
    `--api-key=${secret}`,
    "--api-endpoint",
    `http://me:${secret}@host:8000/v1`,
    `--metrics-url=http://host/metrics?access_token=${secret}&x=1`,
    "--api-key-env",
    "MY_KEY",
  ], "now");
  assert.ok(!script.includes(secret), script);
  for (
    const kept of [
      `--header 'Authorization: '"\${KVMARK_HEADER_AUTHORIZATION:?`,
      `--header='X-Api-Key: '"\${KVMARK_HEADER_X_API_KEY:?`,
      "--header 'Accept: text/event-stream' 'X-Tenant: '\"${KVMARK_HEADER_X_TENANT:?",
      `http://"\${KVMARK_URL_CREDENTIALS:?is left out of this script: set it}"@host:8000/v1`,
      "'&x=1'",
      "--api-key-env MY_KEY",
      "\n  --api-endpoint http://",
    ]
  ) assert.ok(script.includes(kept), `${kept}\n${script}`);
});
