/**
 * Promises about quality: the greatest threshold at which a router or a cascade is, with stated confidence, at most so much
 * worse than always asking the large member. Learn-then-test (Angelopoulos et al., arXiv:2110.01052): thresholds are tested
 * in fixed order from "always large" on: where answers are right or wrong by an exact test of the pairs (`paired.ts`), where
 * they have degrees by a betting test of a bounded mean (Waudby-Smith and Ramdas, arXiv:2010.09686). So no assumption is made
 * but that calibration rows and requests are exchangeable.
 */
import { fail } from '../../errors.ts';
import { lossBelow, pairCounts } from './paired.ts';

/** What is promised. */
export interface Target {
  /** Greatest loss of mean quality against always-large, absolute; 0.01 is one point of a hundred. */
  readonly lossMax: number;
  /** 0 to 1; 0.95. */
  readonly confidence: number;
}

/** A row whose outcome is known. */
export interface Outcome {
  /** How much the row calls for the large member; rows below the threshold go to the small one. */
  readonly score: number;
  /** Quality of the small member's answer (or of what is accepted), 0 to 1. */
  readonly small: number;
  readonly large: number;
}

/** A promise that a threshold keeps. */
export interface QualityPromise extends Target {
  /** Rows with a lower score go to the small member. `-Infinity`: none may; the promise costs everything. */
  readonly threshold: number;
  /** Loss of mean quality on the calibration rows at this threshold. */
  readonly lossSeen: number;
  /** Share of calibration rows that the small member answers. */
  readonly smallShare: number;
  /** Rows that it rests on. */
  readonly rows: number;
  /** ISO 8601, UTC: when it was calibrated and until when it stands. */
  readonly madeAt: string;
  readonly expiresAt: string;
}

/** Thresholds tested, at equal shares of the rows. More of them save a little more and end nearer to the bound. */
const steps = 20;

/**
 * Chooses the threshold.
 * @param outcomes in an order that does not depend on the outcomes; the test bets row by row
 * @throws {TandemError} bench_data_invalid when there are fewer than 50 rows
 */
export function thresholdFor(outcomes: readonly Outcome[], target: Target): { readonly threshold: number; readonly lossSeen: number; readonly smallShare: number } {
  if (outcomes.length < 50) fail('bench_data_invalid', `A promise needs at least 50 rows with known outcome; there are ${outcomes.length}.`);
  const ascending = Float64Array.from(outcomes, ({ score }) => score).sort();
  let kept = { threshold: -Infinity, lossSeen: 0, smallShare: 0 };
  for (let step = 1; step <= steps; step++) {
    const at = Math.floor((step / steps) * ascending.length);
    // Midway between two scores: a router that is fitted anew moves them a little.
    const threshold = step === steps ? Infinity : ((ascending[Math.max(0, at - 1)] as number) + (ascending[at] as number)) / 2;
    const losses = lossesAt(outcomes, threshold);
    if (!isBelow(losses, target.lossMax, 1 - target.confidence)) break;
    kept = { threshold, ...seenAt(outcomes, threshold) };
  }
  return kept;
}

/** Whether the mean loss is below a bound, at a level, by the sharpest test that holds for such losses. */
function isBelow(losses: Float64Array, bound: number, level: number): boolean {
  const counts = bound > 0 && bound < 1 ? pairCounts(losses) : undefined;
  return counts === undefined ? meanBelow(losses, bound, level) : lossBelow(counts, bound, level);
}

/** Loss against always-large row by row, -1 to 1. */
export function lossesAt(outcomes: readonly Outcome[], threshold: number): Float64Array {
  return Float64Array.from(outcomes, ({ score, small, large }) => (score < threshold ? large - small : 0));
}

/** What happened at a threshold. */
export function seenAt(outcomes: readonly Outcome[], threshold: number): { readonly lossSeen: number; readonly smallShare: number } {
  const losses = lossesAt(outcomes, threshold);
  return { lossSeen: losses.reduce((sum, each) => sum + each, 0) / outcomes.length, smallShare: outcomes.filter(({ score }) => score < threshold).length / outcomes.length };
}

/** The greatest share of rows that the small member could have answered with at most this loss, known afterwards. */
export function bestInHindsight(outcomes: readonly Outcome[], lossMax: number): { readonly threshold: number; readonly smallShare: number } {
  const sorted = [...outcomes].sort((a, b) => a.score - b.score);
  let [loss, best, threshold] = [0, 0, -Infinity];
  sorted.forEach(({ small, large, score }, i) => {
    loss += large - small;
    const next = sorted[i + 1]?.score ?? Infinity;
    if (next > score && loss / outcomes.length <= lossMax) [best, threshold] = [i + 1, next];
  });
  return { threshold, smallShare: best / outcomes.length };
}

/**
 * Whether the mean of values in [-1, 1] is below a bound, at a level: a bettor who wins when it is must multiply the
 * stake by 1/level. Valid at any number of rows; the bet looks only at earlier rows.
 */
export function meanBelow(values: Float64Array, bound: number, level: number): boolean {
  const n = values.length;
  const wanted = Math.log(1 / level);
  const m = (bound + 1) / 2;
  let [wealth, sum, squares] = [0, 0.5, 0.05];
  for (let i = 0; i < n; i++) {
    const x = ((values[i] as number) + 1) / 2;
    const mean = sum / (i + 1);
    const variance = squares / (i + 1);
    const bet = Math.min(0.75 / (1 - m), Math.sqrt((2 * wanted) / (n * Math.max(variance, 1e-5))));
    wealth += Math.log1p(bet * (m - x));
    if (wealth >= wanted) return true;
    sum += x;
    squares += (x - mean) ** 2;
  }
  return false;
}

/** A promise with its dates. @param now milliseconds since 1970 @param days default 30 */
export function promiseFor(outcomes: readonly Outcome[], target: Target, now: number, days = 30): QualityPromise {
  return { ...target, ...thresholdFor(outcomes, target), rows: outcomes.length, madeAt: new Date(now).toISOString(), expiresAt: new Date(now + days * 86_400_000).toISOString() };
}

/** Whether a promise still stands at a time. */
export function stands({ expiresAt }: Pick<QualityPromise, 'expiresAt'>, now: number): boolean {
  return now < Date.parse(expiresAt);
}

/**
 * Whether a threshold may be used on another data set (row 42): only when labelled rows of that set show, at the same level,
 * that the loss stays below the bound. The distance of the score distributions is given too, as a warning without labels.
 */
export function transfers(threshold: number, from: readonly Outcome[], to: readonly Outcome[], target: Target): { readonly may: boolean; readonly lossSeen: number; readonly distance: number; readonly sameScores: boolean } {
  const distance = kolmogorovSmirnov(from.map(({ score }) => score), to.map(({ score }) => score));
  const limit = 1.358 * Math.sqrt((from.length + to.length) / (from.length * to.length));
  return { may: isBelow(lossesAt(to, threshold), target.lossMax, 1 - target.confidence), lossSeen: seenAt(to, threshold).lossSeen, distance, sameScores: distance <= limit };
}

/** Greatest distance of two empirical distribution functions. */
export function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [Float64Array.from(a).sort(), Float64Array.from(b).sort()];
  let [i, j, greatest] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const at = Math.min(x[i] as number, y[j] as number);
    while (i < x.length && x[i] === at) i++;
    while (j < y.length && y[j] === at) j++;
    greatest = Math.max(greatest, Math.abs(i / x.length - j / y.length));
  }
  return greatest;
}
