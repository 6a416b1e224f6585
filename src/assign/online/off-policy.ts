/**
 * What a policy would have earned, from decisions that another policy made. Needs the propensity of each logged choice, and
 * the law that the policy in question would have had over the same arms.
 *
 *   weight_i   = target(arm_i | request_i) / logged propensity_i, cut at `weightMax`
 *   IPS        mean of weight * reward (Horvitz and Thompson 1952): unbiased, wide
 *   SNIPS      the same over the mean weight (Swaminathan and Joachims 2015): hardly biased, much narrower
 *   DR         model under the target + weight * (reward - model of the chosen arm) (Dudík et al., arXiv:1103.4601): unbiased while
 *              the propensities are right, narrow when the model is good
 *
 * Intervals: empirical Bernstein (Maurer and Pontil, arXiv:0907.3740) for IPS and DR, which holds at any number of rows for
 * values in a known range; percentile bootstrap for all three, which is narrower and needs some hundred rows. Cutting weights
 * can only bring in bias where the target would do what was hardly ever tried; `cut` says how much weight was cut away.
 */
import type { Random } from '../../system/random.ts';

/** A logged decision with its reward. */
export interface LoggedChoice {
  readonly reward: number;
  /** Probability with which the arm was chosen, above 0. */
  readonly propensity: number;
  /** Probability with which the target policy would have chosen the same arm. */
  readonly target: number;
  /** Expected reward of the chosen arm, by a model that did not see this reward; needed by DR. */
  readonly modelled?: number;
  /** Expected reward under the target's law, by the same model; needed by DR. */
  readonly modelledTarget?: number;
}

/** An estimate with its interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly rows: number;
  /** Rows that the weighted ones are worth: (sum of weights)^2 / sum of squares. */
  readonly effectiveRows: number;
  /** Share of the total weight that was cut away. */
  readonly cut: number;
}

/** How to estimate. */
export interface EstimateSettings {
  readonly method: 'ips' | 'snips' | 'dr';
  /** Probability with which the interval holds; default 0.95. */
  readonly confidence?: number;
  /** Greatest weight; default 20. */
  readonly weightMax?: number;
  /** `bernstein` for IPS and DR; SNIPS is always bootstrapped. Default `bootstrap`. */
  readonly interval?: 'bernstein' | 'bootstrap';
  /** Of the bootstrap; default 200. */
  readonly resamples?: number;
}

interface Weighed {
  readonly weight: Float64Array;
  /** What each row contributes to the mean (IPS, DR), or weight * reward (SNIPS). */
  readonly value: Float64Array;
  readonly cut: number;
}

/** Estimates the mean reward of the target policy. @param random draws the resamples */
export function estimateReward(rows: readonly LoggedChoice[], settings: EstimateSettings, random: Pick<Random, 'next'>): Estimate {
  const { method, confidence = 0.95, weightMax = 20, interval = 'bootstrap', resamples = 200 } = settings;
  const n = rows.length;
  if (n === 0) return { value: 0, low: -Infinity, high: Infinity, rows: 0, effectiveRows: 0, cut: 0 };
  const { weight, value, cut } = weighed(rows, method, weightMax);
  const [sum, squares] = [total(weight), weight.reduce((all, each) => all + each * each, 0)];
  const common = { rows: n, effectiveRows: squares === 0 ? 0 : (sum * sum) / squares, cut };
  if (method !== 'snips' && interval === 'bernstein') {
    const mean = total(value) / n;
    const range = method === 'ips' ? [0, weightMax] : [-weightMax, weightMax + 1];
    const half = bernsteinHalf(value, mean, (range[1] as number) - (range[0] as number), (1 - confidence) / 2);
    return { value: mean, low: mean - half, high: mean + half, ...common };
  }
  if (method !== 'snips') return { ...bootstrapMean(value, confidence, random, resamples), ...common };
  return { ...bootstrapMean(value, confidence, random, resamples, weight), ...common };
}

/**
 * What a policy earns more than the one that logged, row by row: contributions whose mean is the difference. Pairing leaves out
 * the noise that both share. With a model it is doubly robust, without it IPS.
 * @param weightMax greatest weight; default 20
 */
export function advantages(rows: readonly LoggedChoice[], weightMax = 20): Float64Array {
  return Float64Array.from(rows, ({ reward, propensity, target, modelled = 0, modelledTarget = 0 }) => modelledTarget + Math.min(weightMax, target / propensity) * (reward - modelled) - reward);
}

/** Half the width of a one-sided empirical Bernstein bound. @param range greatest minus least possible value @param level probability of being wrong on this side */
export function bernsteinHalf(values: Float64Array, mean: number, range: number, level: number): number {
  const n = values.length;
  if (n < 2) return Infinity;
  const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (n - 1);
  const log = Math.log(2 / level);
  return Math.sqrt((2 * variance * log) / n) + (7 * range * log) / (3 * (n - 1));
}

/** Mean of values and a two-sided percentile bootstrap interval. @param over sum of these is divided by instead of the number of rows */
export function bootstrapMean(values: Float64Array, confidence: number, random: Pick<Random, 'next'>, resamples = 200, over?: Float64Array): { readonly value: number; readonly low: number; readonly high: number } {
  const n = values.length;
  const ratio = (top: number, bottom: number): number => (bottom === 0 ? 0 : top / bottom);
  const means = new Float64Array(resamples);
  for (let resample = 0; resample < resamples; resample++) {
    let [top, bottom] = [0, 0];
    for (let i = 0; i < n; i++) {
      const at = Math.floor(random.next() * n);
      top += values[at] as number;
      bottom += over === undefined ? 1 : (over[at] as number);
    }
    means[resample] = ratio(top, bottom);
  }
  means.sort();
  const at = (share: number): number => means[Math.round(share * (resamples - 1))] as number;
  return { value: ratio(total(values), over === undefined ? n : total(over)), low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) };
}

function weighed(rows: readonly LoggedChoice[], method: EstimateSettings['method'], weightMax: number): Weighed {
  const weight = Float64Array.from(rows, ({ target, propensity }) => Math.min(weightMax, target / propensity));
  const whole = rows.reduce((sum, { target, propensity }) => sum + target / propensity, 0);
  const value = Float64Array.from(rows, ({ reward, modelled = 0, modelledTarget = 0 }, i) => (method === 'dr' ? modelledTarget + (weight[i] as number) * (reward - modelled) : (weight[i] as number) * reward));
  return { weight, value, cut: whole === 0 ? 0 : 1 - total(weight) / whole };
}

function total(values: Float64Array): number {
  let sum = 0;
  for (const each of values) sum += each;
  return sum;
}
