/**
 * The records of a long period in little memory. A record as an object takes some kilobytes; here
 * it takes what its numbers take, and an object of two fields that reads them when it is asked.
 *
 * @module
 */

import { CodeColumn, ListColumn, NumberColumn } from "../columns.ts";
import type {
  CountBreach,
  Failure,
  ReportedUsage,
  RequestLabels,
  RequestRecord,
} from "../record.ts";

/** Records up to this number are kept as they are: a short period has no need of it. */
export const PLAIN_RECORDS = 2000;

type NumberName =
  | "maxOutputTokens"
  | "worker"
  | "dueAtMs"
  | "sentAtMs"
  | "headersAtMs"
  | "firstByteAtMs"
  | "contentChunks"
  | "endAtMs"
  | "status"
  | "outputTokens"
  | "firstChunkTokens"
  | "ttftHeldMs"
  | "endHeldMs";

const NUMBERS: readonly NumberName[] = [
  ...["maxOutputTokens", "worker", "dueAtMs", "sentAtMs", "headersAtMs", "firstByteAtMs"] as const,
  ...["contentChunks", "endAtMs", "status", "outputTokens", "firstChunkTokens"] as const,
  ...["ttftHeldMs", "endHeldMs"] as const,
];

/** Keeps records. */
export class RecordStore {
  readonly #plainRecords: number;
  #kept = 0;
  #columns: RecordColumns | undefined;

  /** @param plainRecords How many are kept as they are. */
  constructor(plainRecords = PLAIN_RECORDS) {
    this.#plainRecords = plainRecords;
  }

  /**
   * Takes a record and gives one that reads the same. Its properties are not its own: to copy it
   * use {@linkcode plainRecord}, not a spread.
   */
  keep(record: RequestRecord): RequestRecord {
    if (this.#kept++ < this.#plainRecords) return record;
    this.#columns ??= new RecordColumns();
    return this.#columns.add(record);
  }
}

/** The record as an object with properties of its own. */
export function plainRecord(record: RequestRecord): RequestRecord {
  return record instanceof StoredRecord ? record.plain() : record;
}

class RecordColumns {
  count = 0;
  readonly numbers = Object.fromEntries(
    NUMBERS.map((name) => [name, new NumberColumn()]),
  ) as Record<NumberName, NumberColumn>;
  readonly ids = new CodeColumn<string>();
  readonly labels = new CodeColumn<RequestLabels>();
  readonly promptIndex = new NumberColumn();
  readonly plans = new CodeColumn<RequestRecord["plan"]>();
  readonly apis = new CodeColumn<RequestRecord["api"]>();
  readonly urls = new CodeColumn<string>();
  readonly sources = new CodeColumn<NonNullable<RequestRecord["outputTokensSource"]>>();
  readonly reasons = new CodeColumn<string>();
  readonly encodings = new CodeColumn<string>();
  readonly stalled = new NumberColumn();
  readonly breaches = new Map<number, readonly CountBreach[]>();
  readonly rampIn = new NumberColumn();
  readonly reads = new ListColumn();
  readonly failures = new Map<number, Failure>();
  readonly usages = new UsageColumn();

  add(record: RequestRecord): RequestRecord {
    const row = this.count++;
    for (const name of NUMBERS) this.numbers[name].set(row, record[name]);
    const { promptIndex, ...labels } = record.labels;
    this.ids.set(row, record.requestId);
    this.labels.set(row, labels, JSON.stringify(labels));
    this.promptIndex.set(row, promptIndex);
    this.plans.set(row, record.plan, JSON.stringify(record.plan));
    this.apis.set(row, record.api);
    this.urls.set(row, record.url);
    this.sources.set(row, record.outputTokensSource);
    this.reasons.set(row, record.finishReason);
    this.encodings.set(row, record.contentEncoding);
    this.stalled.set(row, record.stalled === true ? 1 : undefined);
    if (record.countBreaches !== undefined) this.breaches.set(row, record.countBreaches);
    this.rampIn.set(row, record.rampIn ? 1 : 0);
    this.reads.set(row, record.contentReadsAtMs);
    this.usages.set(row, record.usage);
    if (record.failure !== undefined) this.failures.set(row, record.failure);
    return new StoredRecord(this, row);
  }
}

class UsageColumn {
  readonly #known = new NumberColumn();
  readonly #prompt = new NumberColumn();
  readonly #completion = new NumberColumn();
  readonly #cached = new NumberColumn();
  readonly #byTier = new CodeColumn<NonNullable<ReportedUsage["cachedTokensByTier"]>>();

  set(row: number, usage: ReportedUsage | undefined): void {
    if (usage === undefined) return;
    const { cachedTokensByTier: byTier } = usage;
    this.#known.set(row, 1);
    this.#prompt.set(row, usage.promptTokens);
    this.#completion.set(row, usage.completionTokens);
    this.#cached.set(row, usage.cachedTokens);
    if (byTier !== undefined) this.#byTier.set(row, byTier, JSON.stringify(byTier));
  }

  get(row: number): ReportedUsage | undefined {
    if (this.#known.get(row) === undefined) return undefined;
    return {
      ...given("promptTokens", this.#prompt.get(row)),
      ...given("completionTokens", this.#completion.get(row)),
      ...given("cachedTokens", this.#cached.get(row)),
      ...given("cachedTokensByTier", this.#byTier.get(row)),
    };
  }
}

/** A field that a record gets is named here by the compiler, until the store keeps it. */
type EveryField = { readonly [Name in keyof Required<RequestRecord>]: unknown };

/** Reads from the columns; nothing of it is kept twice. */
class StoredRecord implements RequestRecord, EveryField {
  readonly #columns: RecordColumns;
  readonly #row: number;

  constructor(columns: RecordColumns, row: number) {
    this.#columns = columns;
    this.#row = row;
  }

  get requestId() {
    return this.#columns.ids.get(this.#row)!;
  }

  get labels(): RequestLabels {
    const labels = this.#columns.labels.get(this.#row)!;
    return { ...labels, ...given("promptIndex", this.#columns.promptIndex.get(this.#row)) };
  }

  get plan() {
    return this.#columns.plans.get(this.#row)!;
  }

  get api() {
    return this.#columns.apis.get(this.#row)!;
  }

  get url() {
    return this.#columns.urls.get(this.#row)!;
  }

  get maxOutputTokens() {
    return this.#must("maxOutputTokens");
  }

  get worker() {
    return this.#must("worker");
  }

  get dueAtMs() {
    return this.#must("dueAtMs");
  }

  get sentAtMs() {
    return this.#must("sentAtMs");
  }

  get headersAtMs() {
    return this.#may("headersAtMs");
  }

  get firstByteAtMs() {
    return this.#may("firstByteAtMs");
  }

  get contentReadsAtMs() {
    return this.#columns.reads.get(this.#row);
  }

  get contentChunks() {
    return this.#must("contentChunks");
  }

  get endAtMs() {
    return this.#must("endAtMs");
  }

  get status() {
    return this.#may("status");
  }

  get usage() {
    return this.#columns.usages.get(this.#row)!;
  }

  get outputTokens() {
    return this.#may("outputTokens");
  }

  get outputTokensSource() {
    return this.#columns.sources.get(this.#row)!;
  }

  get firstChunkTokens() {
    return this.#may("firstChunkTokens");
  }

  get finishReason() {
    return this.#columns.reasons.get(this.#row)!;
  }

  get contentEncoding() {
    return this.#columns.encodings.get(this.#row)!;
  }

  get countBreaches() {
    return this.#columns.breaches.get(this.#row)!;
  }

  get ttftHeldMs() {
    return this.#may("ttftHeldMs");
  }

  get endHeldMs() {
    return this.#may("endHeldMs");
  }

  get stalled(): true {
    return (this.#columns.stalled.get(this.#row) === 1 || undefined)!;
  }

  get rampIn() {
    return this.#columns.rampIn.get(this.#row) === 1;
  }

  get failure() {
    return this.#columns.failures.get(this.#row)!;
  }

  plain(): RequestRecord {
    const names = Object.entries(Object.getOwnPropertyDescriptors(StoredRecord.prototype))
      .flatMap(([name, { get }]) => get === undefined ? [] : [name as keyof RequestRecord]);
    const entries = names.map((name) => [name, this[name]] as const);
    return Object.fromEntries(
      entries.filter(([, value]) => value !== undefined),
    ) as unknown as RequestRecord;
  }

  #must(name: NumberName): number {
    return this.#columns.numbers[name].get(this.#row) ?? NaN;
  }

  /** The type has no `undefined` under exactOptionalPropertyTypes; a getter has to say it so. */
  #may(name: NumberName): number {
    return this.#columns.numbers[name].get(this.#row)!;
  }
}

function given<const Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [K in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [K in Key]?: Value };
}
