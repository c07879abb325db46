/**
 * The capacity of a cache from throughput, at concurrencies where requests wait for each other.
 *
 * A server that is kept busy spends a of its time on a prompt that is found and b on one that is
 * not, so that it takes in context / (h·a + (1 − h)·b) tokens a second, where h is the share of
 * hits. Under random access h = min(1, capacity / working set), less what passes
 * through (`capacity_fit.ts`); under cyclic access an LRU cache
 * holds the whole set or, used one after the other, nothing of it in time, so h is 1 or 0. TTFT says
 * none of this under load: it holds the queue. What this finds is independent of the clusters of
 * TTFT at concurrency 1, so that each can confirm or contradict the other.
 *
 * @module
 */

import { median } from "../metrics/intervals.ts";
import { studentQuantile } from "../metrics/student.ts";
import { type Footprint, shareOfHits } from "./capacity_fit.ts";

/** A period under load. */
export interface LoadPoint {
  readonly prompts: number;
  readonly concurrency: number;
  readonly requests: number;
  readonly inputTokensPerSec: number;
}

/** What the prompts of the periods are, and how they are chosen. */
export interface LoadShape {
  readonly order: "random" | "cyclic";
  readonly contextTokens: number;
  readonly footprint: Footprint;
}

/** What the law finds. */
export interface ThroughputFit {
  /** Tokens that the cache holds. */
  readonly capacityTokens: number;
  /** 95 % interval; under cyclic access the sizes on either side. */
  readonly low: number;
  readonly high: number;
  /** Time of the server that a prompt takes which is found, and one which is not. */
  readonly hitMs: number;
  readonly missMs: number;
  readonly points: number;
  readonly leastConcurrency: number;
  readonly mostConcurrency: number;
}

/** Sizes that a fit needs. */
const LEAST_SIZES = 5;
/** A miss that costs less than this many hits is not told from a slope. */
const LEAST_COST_RATIO = 1.3;
/** F value by which the law has to beat a constant: 0.1 % for 2 and some 20 degrees of freedom. */
const LEAST_F = 10;
/** Of the scatter around the best slope, what the law may leave at most. */
const MOST_OF_SLOPE = 0.8;
const GRID_POINTS = 240;
/** Residuals beyond so many robust deviations count less (Huber). */
const HUBER = 1.5;
const LEAST_DEVIATION = 0.02;

/**
 * Fits the law by least squares on relative errors, robustly: single periods may be off, by a
 * change of level or by first uses.
 *
 * @returns `undefined` where throughput does not fall as the law says, or too few sizes are known.
 */
export function fitThroughput(
  points: readonly LoadPoint[],
  shape: LoadShape,
): ThroughputFit | undefined {
  const sizes = [...new Set(points.map((point) => point.prompts))].sort((a, b) => a - b);
  if (sizes.length < LEAST_SIZES) return undefined;
  const costs = points.map((point) => shape.contextTokens / point.inputTokensPerSec);
  const tried = capacities(sizes, shape).map((capacity) => {
    const shares = points.map((point) => hitShare(point, capacity.at, shape));
    return { ...capacity, ...solve(shares, costs) };
  }).filter((one) => one.hit > 0 && one.miss >= LEAST_COST_RATIO * one.hit);
  if (tried.length === 0) return undefined;
  const best = tried.reduce((a, b) => b.loss < a.loss ? b : a);
  const freedom = points.length - 3;
  const flat = lossOf(costs, costs.map(() => median(costs) ?? NaN));
  if ((flat - best.loss) / 2 / (best.loss / freedom) < LEAST_F) return undefined;
  if (best.loss > MOST_OF_SLOPE * slopeLoss(points, costs)) return undefined;
  const limit = best.loss * (1 + studentQuantile(0.95, freedom) ** 2 / freedom);
  const inside = shape.order === "cyclic" ? [best] : tried.filter((one) => one.loss <= limit);
  const levels = points.map((point) => point.concurrency);
  // Below the smallest size the two costs and the capacity are hardly told apart.
  const isBelow = best.at < (sizes[0] ?? NaN) * tokensOf(shape);
  const lowest = isBelow ? tried[0]?.low ?? best.low : best.low;
  return {
    capacityTokens: best.at,
    low: Math.min(lowest, ...inside.map((one) => one.low)),
    high: Math.max(...inside.map((one) => one.high)),
    hitMs: best.hit * 1000,
    missMs: best.miss * 1000,
    points: points.length,
    leastConcurrency: Math.min(...levels),
    mostConcurrency: Math.max(...levels),
  };
}

interface Capacity {
  readonly at: number;
  readonly low: number;
  readonly high: number;
}

/** Tokens that a prompt and what comes with it take. */
function tokensOf({ footprint }: LoadShape): number {
  return footprint.keptTokens + footprint.passingTokens;
}

/** Under cyclic access only between which sizes it lies makes a difference. */
function capacities(sizes: readonly number[], shape: LoadShape): Capacity[] {
  const each = tokensOf(shape);
  if (shape.order === "cyclic") {
    return sizes.slice(1).map((prompts, i) => {
      const [low, high] = [(sizes[i] ?? NaN) * each, prompts * each];
      return { at: Math.sqrt(low * high), low, high };
    });
  }
  const [from, to] = [(sizes[0] ?? NaN) * each * 0.4, (sizes.at(-1) ?? NaN) * each * 1.02];
  return Array.from({ length: GRID_POINTS }, (_, i) => {
    const at = from * (to / from) ** (i / (GRID_POINTS - 1));
    return { at, low: at, high: at };
  });
}

function hitShare({ prompts, requests }: LoadPoint, capacity: number, shape: LoadShape): number {
  return shape.order === "random"
    ? shareOfHits(capacity, prompts, requests, shape.footprint)
    : prompts * tokensOf(shape) <= capacity
    ? 1
    : 0;
}

/** cost = h·hit + (1 − h)·miss, by reweighted least squares on relative errors. */
function solve(
  shares: readonly number[],
  costs: readonly number[],
): { readonly hit: number; readonly miss: number; readonly loss: number } {
  let weights: number[] = costs.map(() => 1);
  let [hit, miss] = [NaN, NaN];
  for (let round = 0; round < 8; round++) {
    let [hh, hm, mm, h1, m1] = [0, 0, 0, 0, 0];
    costs.forEach((cost, i) => {
      const [h, m, w] = [(shares[i] ?? 0) / cost, (1 - (shares[i] ?? 0)) / cost, weights[i] ?? 0];
      hh += w * h * h;
      hm += w * h * m;
      mm += w * m * m;
      h1 += w * h;
      m1 += w * m;
    });
    const determinant = hh * mm - hm * hm;
    if (!(Math.abs(determinant) > 1e-12)) return { hit: NaN, miss: NaN, loss: Infinity };
    hit = (h1 * mm - m1 * hm) / determinant;
    miss = (m1 * hh - h1 * hm) / determinant;
    weights = huberWeights(costs, expected(shares, hit, miss));
  }
  return { hit, miss, loss: lossOf(costs, expected(shares, hit, miss)) };
}

function expected(shares: readonly number[], hit: number, miss: number): number[] {
  return shares.map((share) => share * hit + (1 - share) * miss);
}

function residuals(costs: readonly number[], fitted: readonly number[]): number[] {
  return costs.map((cost, i) => Math.log((fitted[i] ?? NaN) / cost));
}

function deviationOf(errors: readonly number[]): number {
  return Math.max(LEAST_DEVIATION, 1.4826 * (median(errors.map(Math.abs)) ?? NaN));
}

function huberWeights(costs: readonly number[], fitted: readonly number[]): number[] {
  const errors = residuals(costs, fitted);
  const bound = HUBER * deviationOf(errors);
  return errors.map((error) => Math.abs(error) <= bound ? 1 : bound / Math.abs(error));
}

/** Huber's loss with one bound for all fits that are compared: a tenth. */
function lossOf(costs: readonly number[], fitted: readonly number[]): number {
  const bound = 0.1;
  return residuals(costs, fitted).reduce((sum, error) => {
    const size = Math.abs(error);
    return sum + (size <= bound ? size ** 2 : 2 * bound * size - bound ** 2);
  }, 0);
}

/** What a straight line of the logarithms leaves: a server that gets slower with size. */
function slopeLoss(points: readonly LoadPoint[], costs: readonly number[]): number {
  const xs = points.map((point) => Math.log(point.prompts));
  const ys = costs.map(Math.log);
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(xs), mean(ys)];
  const slope = xs.reduce((sum, x, i) => sum + (x - mx) * ((ys[i] ?? NaN) - my), 0) /
    xs.reduce((sum, x) => sum + (x - mx) ** 2, 0);
  return lossOf(costs, xs.map((x) => Math.exp(my + slope * (x - mx))));
}
