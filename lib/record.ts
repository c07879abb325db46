/**
 * The types that cross every seam: what the experiments ask for, what the client saw.
 *
 * Instants are milliseconds on the run's monotonic clock (zero = start of the process); a name
 * that ends in `AtMs` is an instant, one that ends in `Ms` is a duration. What did not happen is
 * `undefined`, never 0.
 *
 * @module
 */

/** The OpenAI-compatible route that a request is sent to. */
export type ApiKind = "completions" | "chat";

/** How a prompt travels: as text, or as token ids (only `/v1/completions` takes these). */
export type PromptFormat = "text" | "token-ids";

/** What a request is for. Only `measure` requests are ever counted in a result. */
export type RequestPurpose = "probe" | "warmup" | "measure";

/** Where a request belongs. Copied unchanged from the request to its record and its row. */
export interface RequestLabels {
  /** The cell: `{context}_{rate}` or `{context}_{workingSet}_{rate}`, as in `progress.json`. */
  readonly cellId: string;
  /** The period: `RAMP_c4`, `RAMP_REFINE_c6_1`, `RETRY_2`, `FIXED_c8_run0`, `WARMUP`. */
  readonly periodId: string;
  readonly purpose: RequestPurpose;
  readonly contextSizeTokens: number;
  /** Nominal hit rate in percent, 0 to 100. */
  readonly hitRatePercent: number;
  /** Concurrency of the period that the request was sent in. */
  readonly concurrency: number;
  readonly workingSetTokens?: number;
  /** Index of the working-set prompt whose prefix is shared; absent for an all-unique prompt. */
  readonly promptIndex?: number;
  /** True if the server was told to compute the prompt, not to load it (A/B). */
  readonly recompute?: boolean;
}

/** What the prompt was built to be, in tokens as the server counts them (template included). */
export interface PromptPlan {
  /** Tokens in the whole prompt, as the server should count them. */
  readonly promptTokens: number;
  /** Tokens that the prompt shares with a prompt that was sent before (rounded to the chunk). */
  readonly sharedTokens: number;
  /** Of the shared tokens, those that the server can reuse: whole blocks, last block recomputed. */
  readonly achievableTokens: number;
  /** True where neither the words nor the template could be checked: `promptTokens` is a guess. */
  readonly isEstimate?: boolean;
}

/** One request, complete: body encoded, target chosen. Built before it is due. */
export interface InferenceRequest {
  /** Unique within the run. */
  readonly requestId: string;
  readonly labels: RequestLabels;
  readonly plan: PromptPlan;
  readonly api: ApiKind;
  /** Absolute URL of the route. */
  readonly url: string;
  /** The JSON body, encoded. Its buffer is transferred to the worker that sends it. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** Output tokens asked for. */
  readonly maxOutputTokens: number;
  /** The whole exchange is given up after this time. */
  readonly timeoutMs: number;
}

/** Why a request did not produce a complete answer. */
export type FailureKind =
  /** No connection: refused, unreachable host, DNS. */
  | "connect"
  | "tls"
  /** No complete answer within `timeoutMs`. */
  | "timeout"
  /** The connection broke before the response was complete. */
  | "disconnect"
  /** A status other than 200; `status` says which. */
  | "http_status"
  /** 200, but the body is not what the route promises. */
  | "protocol"
  /** 200, and an error object in the body or the stream. */
  | "server_error"
  /** A complete stream without a single generated token. */
  | "empty"
  /** The run was interrupted. */
  | "aborted";

/** A failure is data: it stands in the record of the request that failed. */
export interface Failure {
  readonly kind: FailureKind;
  /** One line, safe to print; never contains a key. */
  readonly message: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
}

/** Token counts that the server reported for one request. Absent where it did not. */
export interface ReportedUsage {
  readonly promptTokens?: number;
  readonly completionTokens?: number;
  /** Prompt tokens that the server took from its cache. */
  readonly cachedTokens?: number;
  /** The cached tokens by tier (SGLang, the simulator). */
  readonly cachedTokensByTier?: Readonly<Record<string, number>>;
}

/**
 * A count of the server that cannot be true (`token_counts.ts`). It is left out of the usage, so
 * that no figure rests on it.
 */
export interface CountBreach {
  readonly count: "prompt" | "output" | "cached" | "tier";
  /** As the server gave it. */
  readonly reported: number;
}

/** What happened to one request. Durations are derived from its instants in `metrics/`. */
export interface RequestRecord {
  readonly requestId: string;
  readonly labels: RequestLabels;
  readonly plan: PromptPlan;
  readonly api: ApiKind;
  readonly url: string;
  readonly maxOutputTokens: number;
  /** Index of the worker that sent it. */
  readonly worker: number;
  /** When the plan wanted the request to start. */
  readonly dueAtMs: number;
  /** When its bytes were handed to the network. */
  readonly sentAtMs: number;
  /** When the response headers arrived. */
  readonly headersAtMs?: number;
  /** The first read of any byte of the body. */
  readonly firstByteAtMs?: number;
  /** Each read that carried generated text, reasoning or a tool-call delta, in order. */
  readonly contentReadsAtMs: Float64Array;
  /** Stream events that carried content (one read may hold several). */
  readonly contentChunks: number;
  /** When the body ended, or the failure was seen. */
  readonly endAtMs: number;
  readonly status?: number;
  readonly usage?: ReportedUsage;
  /** Counts that are not in `usage` because they cannot be true; absent if there is none. */
  readonly countBreaches?: readonly CountBreach[];
  /** Generated tokens; `outputTokensSource` says who counted. */
  readonly outputTokens?: number;
  readonly outputTokensSource?: "usage" | "tokenizer" | "chunks";
  /** Estimated tokens in the first content-bearing read (1 unless chunks carry several). */
  readonly firstChunkTokens?: number;
  readonly finishReason?: string;
  /** The compression of the answer: it delays what is read, so its times are upper bounds. */
  readonly contentEncoding?: string;
  /** True if this was the first request of its slot in the period (see docs/metrics.md). */
  readonly rampIn: boolean;
  /** Of the TTFT, what the client itself may have added while its event loop was held up. */
  readonly ttftHeldMs?: number;
  /** How long before `endAtMs` the end may have been there, unseen by the client. */
  readonly endHeldMs?: number;
  /** The client stood still for long while the request was due or in flight. */
  readonly stalled?: true;
  readonly failure?: Failure;
}

/** How much the measuring client itself got in the way during one period. */
export interface ClientLoad {
  /** Event-loop lag of the worst worker. */
  readonly eventLoopLagP99Ms?: number;
  readonly eventLoopLagMaxMs?: number;
  /** Time of the window in which the client stood still for long at a stretch (`stalls.ts`). */
  readonly stoppedMs?: number;
  /** CPU time of the whole process over wall time; 1 = one core busy. */
  readonly cpuCores?: number;
  readonly receivedBytes?: number;
  readonly connectionsOpened?: number;
  readonly retries: number;
}

/** A stretch of a cell at one concurrency, measured. */
export interface PeriodOutcome {
  readonly cellId: string;
  readonly periodId: string;
  readonly concurrency: number;
  /** Start of the period: the first slot is filled. */
  readonly startAtMs: number;
  /** Launching stopped here; requests in flight were then drained. The measured window ends here. */
  readonly stopAtMs: number;
  /** The last request of the period ended. */
  readonly drainedAtMs: number;
  /** Every request that was launched in the period, failed ones included. */
  readonly records: readonly RequestRecord[];
  readonly client: ClientLoad;
  /** True if the period was cut short by a signal. */
  readonly interrupted: boolean;
  /** Why nothing may be concluded from the period: it is kept, measured again, never pooled. */
  readonly unusable?: string;
}
