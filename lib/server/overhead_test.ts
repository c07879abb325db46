import assert from "node:assert/strict";
import { startStandIn } from "../../tests/support/stand_ins.ts";
import { CAPABILITIES, type Capability, type CapabilityName, no, yes } from "./facts.ts";
import { countPromptTokens, measureOverhead, splitAround } from "./overhead.ts";

function capabilities(...names: CapabilityName[]): Record<CapabilityName, Capability> {
  const all = Object.keys(CAPABILITIES) as CapabilityName[];
  return Object.fromEntries(
    all.map((name) => [name, names.includes(name) ? yes("test") : no("test")]),
  ) as Record<CapabilityName, Capability>;
}

Deno.test("splitAround() finds the content between template tokens, also if its edges differ", () => {
  const found = { beforeTokens: 2, afterTokens: 1, contentTokens: 4 };
  assert.deepEqual(splitAround([1, 2, 10, 11, 12, 13, 3], [10, 11, 12, 13]), found);
  assert.deepEqual(splitAround([1, 2, 99, 11, 12, 98, 3], [10, 11, 12, 13]), found);
});

Deno.test("splitAround() finds nothing where the content is not there, or too short", () => {
  assert.equal(splitAround([1, 2, 3, 4, 5], [10, 11, 12, 13]), undefined);
  assert.equal(splitAround([1, 10, 11, 2], [10, 11]), undefined);
  assert.equal(splitAround([11, 12], [10, 11, 12, 13]), undefined);
});

const SCRIPT = { blockTokens: 16, cachedTokens: "always", usage: "always" } as const;

Deno.test("measureOverhead() tells the sum from usage where there is no tokenizer", async () => {
  await using standIn = startStandIn({ ...SCRIPT, chatTokens: [20, 5] });
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const facts = { engine: "unknown", model: "m", capabilities: capabilities("chat") } as const;
  const chat = await measureOverhead(access, facts, "chat");
  assert.deepEqual([chat.beforeTokens, chat.afterTokens, chat.certainty], [25, 0, "total"]);
  const completions = await measureOverhead(access, facts, "completions");
  assert.deepEqual([completions.beforeTokens, completions.certainty], [0, "measured"]);
});

Deno.test("measureOverhead() goes by usage where /tokenize knows no chat", async () => {
  await using standIn = startStandIn({
    ...SCRIPT,
    chatTokens: [20, 5],
    posts: {
      "/tokenize": (_, body) => {
        const { prompt } = body as { prompt?: string };
        return prompt === undefined
          ? new Response("no", { status: 400 })
          : Response.json({ tokens: prompt.split(" ").map((_, i) => i) });
      },
    },
  });
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const facts = { engine: "sglang", model: "m", capabilities: capabilities("tokenize") } as const;
  const { beforeTokens, certainty } = await measureOverhead(access, facts, "chat");
  assert.deepEqual([beforeTokens, certainty], [25, "total"]);
});

Deno.test("measureOverhead() believes usage where the tokenizer leaves template tokens out", async () => {
  await using standIn = startStandIn({
    ...SCRIPT,
    chatTokens: [20, 5],
    posts: {
      "/tokenize": (_, body) => {
        const { prompt } = body as { prompt?: string };
        const content = Array.from({ length: 24 }, (_, i) => 100 + i);
        return Response.json({ tokens: prompt === undefined ? [1, 2, ...content, 3] : content });
      },
    },
  });
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const facts = { engine: "vllm", model: "m", capabilities: capabilities("tokenize") } as const;
  const found = await measureOverhead(access, facts, "chat");
  assert.deepEqual([found.beforeTokens, found.afterTokens, found.certainty], [24, 1, "total"]);
});

Deno.test("measureOverhead() assumes none, and says so, where nothing tells", async () => {
  await using standIn = startStandIn({ ...SCRIPT, usage: "never" });
  const access = { baseUrl: standIn.url, headers: {}, fetch };
  const facts = { engine: "unknown", model: "m", capabilities: capabilities() } as const;
  const found = await measureOverhead(access, facts, "chat");
  assert.deepEqual([found.beforeTokens, found.afterTokens, found.certainty], [0, 0, "assumed"]);
  assert.equal(await countPromptTokens(access, facts, "chat", "a b"), undefined);
});
