/**
 * From what is expected of each arm to how probable each arm is. Every rule gives the whole law over arms, and the choice is
 * drawn from that law: the logged propensity is exactly what was drawn from, which off-policy estimates rest on.
 *
 *   greedy     the greatest mean
 *   ucb        the greatest mean + width * deviation (LinUCB, Li et al., arXiv:1003.0146)
 *   thompson   each arm by the probability that its value is the greatest when all are drawn from their normal posteriors
 *              (Thompson 1933; Agrawal and Goyal, arXiv:1209.3352). That probability is computed, not sampled:
 *              integral of density_i(x) * product of distribution_j(x), with one trapezoid rule for all arms whose points
 *              are the quantiles of every arm
 *
 * `explore` then mixes in the uniform law, so that no arm that may be chosen has a propensity below explore / arms.
 */
import type { Expected } from './linear-model.ts';

/** A rule. */
export type ChoiceRule = 'greedy' | 'ucb' | 'thompson';

/** How to choose. */
export interface ChoiceSettings {
  readonly rule: ChoiceRule;
  /** Deviations that count: bonus of ucb, scale of thompson's draws. Default 1. */
  readonly width?: number;
  /** Share, 0 to 1, that is drawn uniformly from all arms. Default 0. */
  readonly explore?: number;
}

/** Where each arm is looked at, in its own deviations. */
const steps = Float64Array.from({ length: 25 }, (_, i) => -4.2 + 0.35 * i);
const reach = 4.2;

/** The law over arms; sums to one. @param expected at least one */
export function propensities(expected: readonly Expected[], { rule, width = 1, explore = 0 }: ChoiceSettings): Float64Array {
  const law = rule === 'thompson' && width > 0 ? greatest(expected, width) : first(expected, rule === 'ucb' ? width : 0);
  if (explore === 0) return law;
  return law.map((each) => (1 - explore) * each + explore / law.length);
}

function first(expected: readonly Expected[], width: number): Float64Array {
  const law = new Float64Array(expected.length);
  let best = 0;
  let score = -Infinity;
  expected.forEach(({ mean, deviation }, index) => {
    const value = mean + width * deviation;
    if (value > score) [best, score] = [index, value];
  });
  law[best] = 1;
  return law;
}

/** Probability of each of several independent normals to be the greatest. */
function greatest(expected: readonly Expected[], width: number): Float64Array {
  const count = expected.length;
  const law = new Float64Array(count);
  if (count === 1) return law.fill(1);
  let [low, high] = [-Infinity, -Infinity];
  for (const { mean, deviation } of expected) {
    low = Math.max(low, mean - reach * width * deviation);
    high = Math.max(high, mean + reach * width * deviation);
  }
  if (!(high > low)) return first(expected, 0);
  const below = new Float64Array(count);
  const before = new Float64Array(count);
  const slope = new Float64Array(count);
  const grid = gridOf(expected, width, low, high);
  // Below `low` some arm is certain to be above; each step adds the chance that arm i falls in it while the others are below.
  for (let point = 0; point < grid.length; point++) {
    const x = grid[point] as number;
    let all = 1;
    for (let i = 0; i < count; i++) {
      const { mean, deviation } = expected[i] as Expected;
      below[i] = Math.max(1e-300, normalBelow((x - mean) / Math.max(1e-12, width * deviation)));
      all *= below[i] as number;
    }
    for (let i = 0; i < count; i++) {
      const others = all / (below[i] as number);
      if (point > 0) law[i] = (law[i] as number) + ((below[i] as number) - (before[i] as number)) * 0.5 * (others + (slope[i] as number));
      before[i] = below[i] as number;
      slope[i] = others;
    }
  }
  let sum = 0;
  for (const each of law) sum += Math.max(0, each);
  return sum > 0 ? law.map((each) => Math.max(0, each) / sum) : first(expected, 0);
}

function gridOf(expected: readonly Expected[], width: number, low: number, high: number): Float64Array {
  const grid = new Float64Array(expected.length * steps.length + 2);
  let length = 0;
  grid[length++] = low;
  grid[length++] = high;
  for (const { mean, deviation } of expected) {
    for (const step of steps) {
      const x = mean + step * width * deviation;
      if (x > low && x < high) grid[length++] = x;
    }
  }
  return grid.subarray(0, length).sort();
}

/** Draws an index from a law. @param uniform in [0, 1) */
export function drawFrom(law: ArrayLike<number>, uniform: number): number {
  let left = uniform;
  for (let i = 0; i < law.length; i++) {
    left -= law[i] as number;
    if (left < 0) return i;
  }
  let last = law.length - 1;
  while (last > 0 && law[last] === 0) last--;
  return last;
}

/** Standard normal distribution function; error below 1.5e-7 (Abramowitz and Stegun 7.1.26). */
export function normalBelow(z: number): number {
  const t = 1 / (1 + (0.3275911 * Math.abs(z)) / Math.SQRT2);
  const tail = 0.5 * ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t * Math.exp((-z * z) / 2);
  return z < 0 ? tail : 1 - tail;
}
