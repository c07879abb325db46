/**
 * The capacity of a cache from the share of hits under uniform random access.
 *
 * A prompt is found if it is among the most recently used ones that fit. All prompts are equally
 * likely, so the share of hits is (prompts that fit) / (prompts of the set): 1 while the set fits,
 * and capacity / working set beyond. Text that is never asked for again (unique suffixes and their
 * answers) takes room between two uses of a prompt, more of it the longer the run has been going:
 * the warm-up uses each prompt once, and repeats come only with the measured requests.
 *
 * @module
 */

/** The hits at one working-set size. */
export interface HitCount {
  readonly prompts: number;
  readonly requests: number;
  /** May be a fraction, where parts of a prompt were hits. */
  readonly hits: number;
}

/** Tokens that a request leaves in the cache. */
export interface Footprint {
  /** Asked for again: the shared prefix, and what is generated from a prompt that repeats. */
  readonly keptTokens: number;
  /** Never asked for again. */
  readonly passingTokens: number;
}

/** A fitted capacity. */
export interface CapacityFit {
  readonly tokens: number;
  /** 95 % interval. */
  readonly low: number;
  readonly high: number;
  /** Variance of the counts over that of a binomial law; 1 where smaller. */
  readonly dispersion: number;
  /** Share of hits that the fit expects, for each point. */
  readonly expected: readonly number[];
}

/** 2 Δ log L by which the law has to beat a constant share of hits. */
const LEAST_IMPROVEMENT = 10.83;
/** Counts that scatter more than this many times are not from this law. */
const MOST_DISPERSION = 6;
const LEAST_POINTS = 4;
/** First touches and aborted reads keep the share of hits of a set that fits below 1. */
const CEILING = 0.98;
const GRID_POINTS = 600;
/** Requests of a size at which the share of hits is computed. */
const SAMPLED_REQUESTS = 12;
/** Two-sided 95 % points of Student's t, by degrees of freedom from 1 on. */
const STUDENT_T = [12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
const STUDENT_T_BEYOND = 2.15;

/**
 * Fits the capacity to the counts by maximum likelihood. The counts may scatter more than a
 * binomial law says (the requests of a size are not independent): the interval is widened by as
 * much, the worst tenth of the sizes left out of that estimate.
 *
 * @returns `undefined` where the share of hits does not fall (no end of the tier in sight), falls
 *   by another law, or where there are fewer than four sizes.
 */
export function fitCapacity(
  points: readonly HitCount[],
  footprint: Footprint,
): CapacityFit | undefined {
  const used = points.filter((point) => point.requests > 0);
  if (used.length < LEAST_POINTS) return undefined;
  const grid = capacityGrid(used, footprint).map((tokens) => candidate(used, footprint, tokens));
  const best = grid.reduce((a, b) => b.logLikelihood > a.logLikelihood ? b : a);
  const dispersion = Math.max(1, dispersionOf(used, best.expected));
  if (dispersion > MOST_DISPERSION) return undefined;
  const total = (of: (point: HitCount) => number) =>
    used.reduce((sum, point) => sum + of(point), 0);
  const constant = total((point) => point.hits) / total((point) => point.requests);
  const without = logLikelihood(used, used.map(() => constant));
  if (2 * (best.logLikelihood - without) / dispersion < LEAST_IMPROVEMENT) return undefined;
  const limit = (STUDENT_T[used.length - 2] ?? STUDENT_T_BEYOND) ** 2;
  const inside = grid.filter((one) =>
    2 * (best.logLikelihood - one.logLikelihood) / dispersion <= limit
  ).map((one) => one.tokens);
  return {
    tokens: best.tokens,
    low: Math.min(...inside),
    high: Math.max(...inside),
    dispersion,
    expected: points.map((point) => expectedShare(best.tokens, point, footprint)),
  };
}

interface Candidate {
  readonly tokens: number;
  readonly logLikelihood: number;
  readonly expected: readonly number[];
}

/** Capacities to try, evenly in their logarithm: from a tenth of the least set to just above all. */
function capacityGrid(points: readonly HitCount[], footprint: Footprint): number[] {
  const each = footprint.keptTokens + footprint.passingTokens;
  const sizes = points.map((point) => point.prompts * each);
  const [from, to] = [Math.min(...sizes) / 10, Math.max(...sizes) * 1.1];
  return Array.from(
    { length: GRID_POINTS },
    (_, i) => from * (to / from) ** (i / (GRID_POINTS - 1)),
  );
}

function candidate(
  points: readonly HitCount[],
  footprint: Footprint,
  tokens: number,
): Candidate {
  const expected = points.map((point) => expectedShare(tokens, point, footprint));
  return { tokens, expected, logLikelihood: logLikelihood(points, expected) };
}

function expectedShare(tokens: number, point: HitCount, footprint: Footprint): number {
  const share = shareOfHits(tokens, point.prompts, point.requests, footprint);
  return Math.min(CEILING, Math.max(1 - CEILING, share));
}

function logLikelihood(points: readonly HitCount[], expected: readonly number[]): number {
  return points.reduce((sum, { requests, hits }, i) => {
    const p = Math.min(1 - 1e-9, Math.max(1e-9, expected[i] ?? NaN));
    return sum + hits * Math.log(p) + (requests - hits) * Math.log(1 - p);
  }, 0);
}

/** Mean of Pearson's χ² terms without the worst tenth of the sizes. */
function dispersionOf(points: readonly HitCount[], expected: readonly number[]): number {
  const terms = points.map(({ requests, hits }, i) => {
    const p = expected[i] ?? NaN;
    return (hits - requests * p) ** 2 / (requests * p * (1 - p));
  }).sort((a, b) => a - b);
  const kept = terms.slice(0, terms.length - Math.ceil(terms.length / 10));
  return kept.reduce((sum, one) => sum + one, 0) / Math.max(1, kept.length - 1);
}

/**
 * Mean share of hits of `requests` random requests after a warm-up that used each prompt once.
 *
 * A prompt that was used j requests ago is found if what came since fits: j × passing, and the
 * distinct prompts among them × kept.
 */
export function shareOfHits(
  tokens: number,
  prompts: number,
  requests: number,
  footprint: Footprint,
): number {
  const { keptTokens, passingTokens } = footprint;
  if (passingTokens <= 0) return Math.min(1, tokens / (keptTokens * prompts));
  const reach = -prompts * Math.log1p(-residentShare(tokens, prompts, footprint));
  const count = Math.min(requests, SAMPLED_REQUESTS);
  let sum = 0;
  for (let sample = 0; sample < count; sample++) {
    const before = (sample + 0.5) / count * requests - 0.5;
    // Used among the last `reach` measured requests; else not since the warm-up.
    const unused = Math.exp(-before / prompts);
    const since = 1 - Math.exp(-Math.min(before, reach) / prompts);
    // Since use i of the warm-up: N − i others, and those of the first i that were asked for again.
    const all = prompts * (keptTokens + passingTokens) + before * passingTokens;
    const first = (all - tokens) / (keptTokens * unused + passingTokens);
    sum += since + unused * Math.min(1, Math.max(0, 1 - first / prompts));
  }
  return sum / count;
}

/** Share of the prompts that a cache of `tokens` holds after endless random requests. */
function residentShare(tokens: number, prompts: number, footprint: Footprint): number {
  const { keptTokens, passingTokens } = footprint;
  const room = (share: number) =>
    prompts * (share * keptTokens - Math.log1p(-share) * passingTokens);
  let [low, high] = [0, 1 - 1e-6];
  if (room(high) <= tokens) return high;
  for (let i = 0; i < 30; i++) {
    const middle = (low + high) / 2;
    if (room(middle) <= tokens) low = middle;
    else high = middle;
  }
  return low;
}
