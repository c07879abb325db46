/**
 * The impossible counts of the requests of a period or cell, summed up.
 *
 * @module
 */

import type { CountBreach, RequestRecord } from "../record.ts";
import { tally } from "./spread.ts";

/** Requests with impossible counts. */
export interface CountBreaches {
  readonly requests: number;
  /** Requests by what was miscounted. */
  readonly byCount: Readonly<Partial<Record<CountBreach["count"], number>>>;
  /** The first breach of each kind. */
  readonly examples: readonly CountBreach[];
}

/** Sums up the breaches of requests. */
export function breachesOf(records: readonly RequestRecord[]): CountBreaches {
  const breached = records.filter((record) => record.countBreaches !== undefined);
  const examples = new Map<CountBreach["count"], CountBreach>();
  const kinds: CountBreach["count"][] = [];
  for (const { countBreaches = [] } of breached) {
    for (const one of countBreaches) if (!examples.has(one.count)) examples.set(one.count, one);
    kinds.push(...new Set(countBreaches.map(({ count }) => count)));
  }
  return { requests: breached.length, byCount: tally(kinds), examples: [...examples.values()] };
}
