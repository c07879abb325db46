/** lib/server end to end, against the simulator: what is found out, and what is concluded from it. */

import assert from "node:assert/strict";
import { systemClock } from "../lib/host.ts";
import { findBlockTokens } from "../lib/server/block_size.ts";
import type { ServerAccess } from "../lib/server/http.ts";
import { infer, type ProbeAnswer } from "../lib/server/infer.ts";
import { usageRequest } from "../lib/server/inference_probe.ts";
import { type SentRequest, theoreticalHits } from "../lib/server/lru.ts";
import { measureOverhead } from "../lib/server/overhead.ts";
import { probeText } from "../lib/server/probe_text.ts";
import { probeServer, type ServerFacts } from "../lib/server/probe.ts";
import { proveCold } from "../lib/server/reset.ts";
import { startScraper } from "../lib/server/scrape.ts";
import { type HitEvidence, type HitVerdict, judgeHitRate } from "../lib/server/verdict.ts";
import { startSimulator } from "../lib/sim/server.ts";
import type { SimulatorOptions } from "../lib/sim/settings.ts";

const FAST: SimulatorOptions = {
  port: 0,
  hbmTokens: 64_000,
  dramTokens: 0,
  ssdTokens: 0,
  maxModelTokens: 16_000,
  blockTokens: 16,
  prefillTokensPerSec: 500_000,
  itlMs: 0.1,
};

let nonces = 0;

function nextNonce(): string {
  return `sim-test-${nonces++}`;
}

async function withSimulator<T>(
  options: SimulatorOptions,
  use: (access: ServerAccess) => Promise<T>,
): Promise<T> {
  await using simulator = await startSimulator({ ...FAST, ...options });
  return await use({ baseUrl: simulator.url, headers: {}, fetch });
}

async function probe(access: ServerAccess): Promise<ServerFacts> {
  return await probeServer(access, { nonce: nextNonce() });
}

function states(facts: ServerFacts): Record<string, string> {
  return Object.fromEntries(
    Object.entries(facts.capabilities).map(([name, { state }]) => [name, state]),
  );
}

Deno.test("probeServer() finds all that the simulator can do", async () => {
  await withSimulator({ dramTokens: 32_000 }, async (access) => {
    const facts = await probe(access);
    assert.equal(facts.engine, "kvmark-sim");
    assert.deepEqual(states(facts), {
      completions: "yes",
      chat: "yes",
      stream: "yes",
      streamUsage: "yes",
      prefixCaching: "yes",
      cachedTokens: "yes",
      cacheSalt: "yes",
      recompute: "yes",
      tokenize: "yes",
      tokenIds: "yes",
      ignoreEos: "yes",
      minTokens: "yes",
      metrics: "yes",
      cacheCounters: "yes",
      reset: "yes",
      resetExternal: "yes",
      // Needs a socket of its own, which this way of asking has not.
      keepAlive: "unknown",
    });
    const { maxContextTokens, blockTokens, hbmTokens, api } = facts;
    assert.deepEqual([maxContextTokens, blockTokens, hbmTokens, api], [
      16_000,
      16,
      64_000,
      "completions",
    ]);
    assert.deepEqual(
      facts.tiers?.map(({ name, capacityTokens }) => [name, capacityTokens]),
      [["HBM", 64_000], ["DRAM", 32_000]],
    );
    assert.equal(facts.cachedTokensDisproved, false);
  });
});

Deno.test("probeServer() sees that caching is off", async () => {
  await withSimulator({ faults: ["cache-off"] }, async (access) => {
    const { capabilities } = await probe(access);
    assert.equal(capabilities.prefixCaching.state, "no");
    assert.match(capabilities.prefixCaching.evidence, /enable_prefix_caching=False/);
  });
});

Deno.test("probeServer() disproves a count of cached tokens for prompts never sent", async () => {
  await withSimulator({ faults: ["lying-cache-counter"] }, async (access) => {
    const facts = await probe(access);
    assert.equal(facts.cachedTokensDisproved, true);
    assert.equal(facts.capabilities.cachedTokens.state, "no");
    // The counters are true, and tell that the cache works.
    assert.equal(facts.capabilities.prefixCaching.state, "yes");
  });
});

Deno.test("probeServer() sees that usage is missing, and takes the counters for caching", async () => {
  for (const fault of ["no-usage", "null-usage"]) {
    await withSimulator({ faults: [fault] }, async (access) => {
      const { capabilities } = await probe(access);
      assert.equal(capabilities.streamUsage.state, "no", fault);
      assert.equal(capabilities.cachedTokens.state, "no", fault);
      assert.equal(capabilities.prefixCaching.state, "yes", fault);
    });
  }
});

Deno.test("measureOverhead() finds the simulator's begin token and chat template", async () => {
  const settings = { beginTokens: 1, chatTokensBefore: 9, chatTokensAfter: 5 };
  await withSimulator(settings, async (access) => {
    const facts = await probe(access);
    for (const [api, before, after] of [["completions", 1, 0], ["chat", 9, 5]] as const) {
      const overhead = await measureOverhead(access, facts, api);
      assert.deepEqual(
        [overhead.beforeTokens, overhead.afterTokens, overhead.certainty],
        [before, after, "measured"],
        `${api}: ${overhead.evidence}`,
      );
      // Without a tokenizer usage still tells the sum.
      const tokenize = { state: "no", evidence: "" } as const;
      const capabilities = { ...facts.capabilities, tokenize };
      const summed = await measureOverhead(access, { ...facts, capabilities }, api);
      assert.equal(summed.beforeTokens, before + after, summed.evidence);
      assert.equal(summed.certainty, "total");
    }
  });
});

Deno.test("proveCold() proves the simulator cold, lower tiers included", async () => {
  await withSimulator({ dramTokens: 32_000 }, async (access) => {
    const facts = await probe(access);
    const proof = await proveCold(access, facts, { api: "completions", nonce: nextNonce() });
    assert.equal(proof.proved, true, proof.evidence.join("\n"));
    assert.deepEqual(proof.reset.tiers.map(({ outcome }) => outcome), ["dropped"]);
  });
});

Deno.test("proveCold() proves nothing where caching is off or the count lies", async () => {
  for (const fault of ["cache-off", "lying-cache-counter", "no-usage"]) {
    await withSimulator({ faults: [fault] }, async (access) => {
      const facts = await probe(access);
      const proof = await proveCold(access, facts, { api: "completions", nonce: nextNonce() });
      assert.equal(proof.proved, false, fault);
      assert.match(proof.evidence.join("\n"), /proves nothing/);
    });
  }
});

Deno.test("findBlockTokens() finds the simulator's block by experiment, on both routes", async () => {
  for (const blockTokens of [1, 16, 48, 272]) {
    await withSimulator(
      { blockTokens, chatTokensBefore: 9, chatTokensAfter: 5 },
      async (access) => {
        const facts = await probe(access);
        for (const api of ["completions", "chat"] as const) {
          const overhead = await measureOverhead(access, facts, api);
          const found = await findBlockTokens(access, facts, { api, overhead, nonce: nextNonce() });
          assert.equal(found.blockTokens, blockTokens, found.evidence);
        }
      },
    );
  }
});

Deno.test("findBlockTokens() does not trust a count that was disproved", async () => {
  await withSimulator({ faults: ["lying-cache-counter"] }, async (access) => {
    const facts = await probe(access);
    const overhead = { beforeTokens: 1, afterTokens: 0, certainty: "measured" } as const;
    const options = { api: "completions", overhead, nonce: nextNonce() } as const;
    assert.equal((await findBlockTokens(access, facts, options)).blockTokens, undefined);
  });
});

/** A cell: prompts that share their beginning with one of `prompts` warmed ones. */
interface Cell {
  readonly prompts: number;
  readonly rounds: number;
  readonly sharedTokens: number;
  readonly promptTokens: number;
  readonly chunkTokens: number;
  /** Requests of another client, one after each of ours. */
  readonly intruder?: boolean;
}

interface Sent extends SentRequest {
  readonly answer: ProbeAnswer;
}

const CELL: Cell = {
  prompts: 4,
  rounds: 3,
  sharedTokens: 1024,
  promptTokens: 2048,
  chunkTokens: 256,
};

/** Sends the cell as token ids, so that every count is exact. */
async function runCell(access: ServerAccess, facts: ServerFacts, cell: Cell): Promise<HitVerdict> {
  const scraper = startScraper({ access, facts, intervalMs: 60_000, clock: systemClock });
  const nonce = nextNonce();
  const send = async (promptIndex: number, round: number): Promise<Sent> => {
    const shared = await idsOf(access, `${nonce}-${promptIndex}`, cell.sharedTokens);
    const rest = cell.promptTokens - cell.sharedTokens;
    const unique = await idsOf(access, `${nonce}-${promptIndex}-${round}`, rest);
    const request = usageRequest(facts, "completions", [...shared, ...unique], true);
    const block = facts.blockTokens ?? 1;
    return {
      promptIndex,
      sharedTokens: cell.sharedTokens,
      achievableTokens: Math.floor(cell.sharedTokens / block) * block,
      promptTokens: cell.promptTokens,
      outputTokens: 1,
      counted: round > 0,
      answer: await infer(access, request),
    };
  };
  const sent: Sent[] = [];
  for (let i = 0; i < cell.prompts; i++) sent.push(await send(i, 0));
  await scraper.scrapeNow();
  const fromAtMs = systemClock.nowMs();
  for (let round = 1; round <= cell.rounds; round++) {
    for (let i = 0; i < cell.prompts; i++) {
      sent.push(await send(i, round));
      if (cell.intruder) await intrude(access, facts);
    }
  }
  const toAtMs = systemClock.nowMs();
  await scraper.scrapeNow();
  const delta = scraper.delta(fromAtMs, toAtMs);
  await scraper.stop();
  const hits = delta?.hits;
  return judgeHitRate({
    ...evidenceOf(facts, cell, sent),
    ...(hits === undefined ? {} : {
      counterPercent: 100 * hits.hitTokens / hits.queryTokens,
      counterQueryTokens: hits.queryTokens,
      ...(hits.promptTokens === undefined ? {} : { counterPromptTokens: hits.promptTokens }),
    }),
  });
}

async function idsOf(access: ServerAccess, label: string, count: number): Promise<number[]> {
  const response = await access.fetch(`${access.baseUrl}/tokenize`, {
    method: "POST",
    body: JSON.stringify({ prompt: probeText(label, "cell", count), add_special_tokens: false }),
  });
  const { tokens } = await response.json();
  assert.ok(tokens.length >= count);
  return tokens.slice(0, count);
}

async function intrude(access: ServerAccess, facts: ServerFacts): Promise<void> {
  const text = probeText(nextNonce(), "intruder", 2000);
  await infer(access, usageRequest(facts, "completions", text, true));
}

function evidenceOf(facts: ServerFacts, cell: Cell, sent: readonly Sent[]): HitEvidence {
  const counted = sent.filter((request) => request.counted !== false);
  const prompt = counted.length * cell.promptTokens;
  const achievable = counted.reduce((sum, request) => sum + request.achievableTokens, 0);
  const reported = counted.map(({ answer }) => answer.usage?.cachedTokens);
  const capacityTokens = facts.hbmTokens;
  const theoretical = capacityTokens === undefined
    ? undefined
    : theoreticalHits(sent, { capacityTokens, blockTokens: facts.blockTokens ?? 1 });
  const isComplete = reported.every((cached) => cached !== undefined);
  return {
    nominalPercent: 100 * cell.sharedTokens / cell.promptTokens,
    achievablePercent: 100 * achievable / prompt,
    requests: counted.filter(({ answer }) => answer.ok).length,
    promptTokens: cell.promptTokens,
    chunkTokens: cell.chunkTokens,
    sentPromptTokens: prompt,
    workingSetTokens: cell.prompts * cell.promptTokens,
    engine: facts.engine,
    prefixCaching: facts.capabilities.prefixCaching.state,
    cachedTokens: facts.capabilities.cachedTokens.state,
    cachedTokensDisproved: facts.cachedTokensDisproved,
    ...(isComplete
      ? { reportedPercent: 100 * reported.reduce((sum: number, c) => sum + (c ?? 0), 0) / prompt }
      : {}),
    ...(capacityTokens === undefined ? {} : { capacityTokens }),
    ...(facts.blockTokens === undefined ? {} : { blockTokens: facts.blockTokens }),
    ...(theoretical === undefined ? {} : { theoreticalPercent: theoretical.hitRatePercent }),
  };
}

async function verdictOf(options: SimulatorOptions, cell: Partial<Cell> = {}) {
  return await withSimulator(options, async (access) => {
    const facts = await probe(access);
    return await runCell(access, facts, { ...CELL, ...cell });
  });
}

function outcome({ verdict, causeCode }: HitVerdict): string {
  return `${verdict}: ${causeCode}`;
}

Deno.test("a cell on a good server is confirmed", async () => {
  const found = await verdictOf({});
  assert.equal(outcome(found), "confirmed: as-intended", found.cause);
  assert.equal(found.observedPercent, 50);
  assert.deepEqual(found.notes, []);
});

Deno.test("a cell without caching differs, and caching is the cause", async () => {
  const found = await verdictOf({ faults: ["cache-off"] });
  assert.equal(outcome(found), "differs: caching-off", found.cause);
  assert.equal(found.observedPercent, 0);
});

Deno.test("a cell with a lying counter differs, also where the lie is the right number", async () => {
  for (const sharedTokens of [1024, 2048]) {
    const found = await verdictOf({ faults: ["lying-cache-counter"] }, { sharedTokens });
    assert.equal(outcome(found), "differs: counter-lies", found.cause);
  }
});

Deno.test("a cell on too small a cache differs, and eviction is the cause", async () => {
  const found = await verdictOf({ hbmTokens: 4096, maxModelTokens: 4096 });
  assert.equal(outcome(found), "differs: eviction", found.cause);
  assert.match(found.cause, /8,192 .* 4,096/);
});

Deno.test("a cell beside another client is confirmed by usage, and the traffic is told", async () => {
  const found = await verdictOf({}, { intruder: true });
  assert.equal(outcome(found), "confirmed: as-intended", found.cause);
  assert.match(found.notes.join(), /Another client/);
});

Deno.test("a cell beside another client cannot be checked by counters alone", async () => {
  const found = await verdictOf({ faults: ["no-usage"] }, { intruder: true });
  assert.equal(outcome(found), "unchecked: other-traffic", found.cause);
});

Deno.test("a cell without usage is confirmed by the counters", async () => {
  const found = await verdictOf({ faults: ["no-usage"] });
  assert.equal(outcome(found), "confirmed: as-intended", found.cause);
  assert.equal(found.observedBy, "counters");
});

Deno.test("a cell whose chunks are not whole blocks is confirmed at what blocks allow", async () => {
  const found = await verdictOf({ blockTokens: 96, hbmTokens: 96_000 });
  assert.equal(outcome(found), "confirmed: as-intended", found.cause);
  assert.equal(found.observedPercent, 100 * 960 / 2048);
});
