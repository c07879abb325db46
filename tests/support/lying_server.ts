/**
 * A server whose truth is known, with a switch for each lie. It is the vLLM stand-in, whose prefix
 * cache is real, and whose time to the first token is that of the tokens that it computes.
 */

import { VLLM, vllmMetrics } from "./stand_in_scripts.ts";
import { type StandIn, type StandInScript, type StandInState, startStandIn } from "./stand_ins.ts";

/** What the server gets wrong, on purpose. Left out: the truth. */
export interface Lies {
  /** False: it computes every prompt. */
  readonly caches?: boolean;
  /** The cached tokens of a request as usage reports them. */
  readonly cachedTokens?: (cached: number, promptTokens: number) => number;
  /** The hits of all requests as the counters report them. */
  readonly hits?: (hits: number, queries: number) => number;
  /** Tokens whose computing the first token waits for. */
  readonly waitsFor?: (computed: number, promptTokens: number) => number;
  readonly promptTokens?: (promptTokens: number) => number;
  readonly outputTokens?: (made: number) => number;
  /** Tokens that are really made. */
  readonly makes?: (asked: number) => number;
  /** Probes have prompts of other lengths: only prompts of so many tokens are lied about. */
  readonly only?: number;
  readonly msPerToken?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Starts the server on a free port. */
export function startLyingServer(lies: Lies = {}): StandIn {
  const { caches = true, msPerToken = 0.2, hits, waitsFor } = lies;
  const isMeant = (promptTokens: number) => lies.only === undefined || promptTokens === lies.only;
  const script: StandInScript = {
    ...VLLM,
    // Whether it caches is not stated: it has to be found out.
    metrics: {
      "/metrics": (state: StandInState) =>
        vllmMetrics({ ...state, hits: hits?.(state.hits, state.queries) ?? state.hits })
          .replace(`enable_prefix_caching="True",`, ""),
    },
    cachedTokens: "always",
    keeps: caches,
    waitMs: ({ promptTokens, cached }) =>
      msPerToken * (waitsFor?.(promptTokens - cached, promptTokens) ?? promptTokens - cached),
    makes: lies.makes,
    headers: lies.headers,
    tells: (truth) => {
      if (!isMeant(truth.promptTokens)) return truth;
      const { promptTokens, made, cached } = truth;
      return {
        promptTokens: lies.promptTokens?.(promptTokens) ?? promptTokens,
        made: lies.outputTokens?.(made) ?? made,
        cached: lies.cachedTokens?.(cached, promptTokens) ?? cached,
      };
    },
  };
  return startStandIn(script);
}
