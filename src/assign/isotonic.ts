/**
 * Isotonic calibration: the non-decreasing steps that fit known outcomes best in squares, by pooling neighbours that stand in
 * the wrong order. Assumes no form, so it needs more rows than Platt's two numbers (`calibration.ts`).
 *
 * Source: Zadrozny and Elkan (2002); the algorithm is that of Ayer et al. (1955).
 */
import type { Judged } from './calibration.ts';

/** Steps of a calibration: from score `from[i]` on the probability is `value[i]`. Both ascend. */
export interface Steps {
  readonly from: readonly number[];
  readonly value: readonly number[];
}

/** Fits. Each step is drawn towards the mean of all by two counts, so that no step says 0 or 1. */
export function fitIsotonic(judged: readonly Judged[]): Steps {
  const sorted = [...judged].sort((a, b) => a.score - b.score);
  const blocks: { from: number; sum: number; n: number }[] = [];
  for (const { score, correct } of sorted) {
    const last = blocks.at(-1);
    if (last !== undefined && last.from === score) {
      last.sum += Number(correct);
      last.n++;
    } else blocks.push({ from: score, sum: Number(correct), n: 1 });
  }
  const pooled: { from: number; sum: number; n: number }[] = [];
  for (const block of blocks) {
    pooled.push({ ...block });
    for (let a = pooled.at(-2), b = pooled.at(-1); a !== undefined && b !== undefined && a.sum / a.n >= b.sum / b.n; a = pooled.at(-2), b = pooled.at(-1)) {
      a.sum += b.sum;
      a.n += b.n;
      pooled.pop();
    }
  }
  const usual = judged.filter(({ correct }) => correct).length / Math.max(1, judged.length);
  const values: number[] = [];
  for (const { sum, n } of pooled) values.push(Math.max(values.at(-1) ?? 0, (sum + 2 * usual) / (n + 2)));
  return { from: pooled.map(({ from }) => from), value: values };
}

/** The probability that a score stands for. Below the first step: that of the first. */
export function isotonic(score: number, { from, value }: Steps): number {
  let [low, high] = [0, from.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((from[middle] as number) <= score) low = middle + 1;
    else high = middle;
  }
  return value[Math.max(0, low - 1)] ?? 0.5;
}
