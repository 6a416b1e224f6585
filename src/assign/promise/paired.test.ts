import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { lossBelow, pairCounts, statistic } from './paired.ts';
import { meanBelow } from './promise.ts';

const logFactorial = (n: number): number => (n < 2 ? 0 : Math.log(n) + logFactorial(n - 1));

/** The chance of these counts under rates, from the multinomial law itself. */
function chance(worse: number, better: number, n: number, worseRate: number, betterRate: number): number {
  const same = n - worse - better;
  const power = (rate: number, k: number): number => (k === 0 ? 0 : k * Math.log(rate));
  return Math.exp(logFactorial(n) - logFactorial(worse) - logFactorial(better) - logFactorial(same) + power(worseRate, worse) + power(betterRate, better) + power(1 - worseRate - betterRate, same));
}

test('Nam: the statistic of a hand-computed case', () => {
  // 5 worse, 0 better of 100, bound 0.1: the rate of better pairs under the bound is 0, the variance 100 * (0.1 - 0.01)
  assert.ok(Math.abs(statistic({ worse: 5, better: 0, n: 100 }, 0.1) - (5 - 10) / 3) < 1e-12);
  // 3 worse, 4 better of 50, bound 0.1: the constrained rate solves 100 q^2 - B q - 0.36 = 0 with B = 3 * 0.9 + 4 * 0.7 - 86 * 0.1
  const b = 2.7 + 2.8 - 8.6;
  const q = (b + Math.sqrt(b * b + 4 * 100 * 0.36)) / 200;
  assert.ok(Math.abs(statistic({ worse: 3, better: 4, n: 50 }, 0.1) - (-1 - 5) / Math.sqrt(50 * (2 * q + 0.1 - 0.01))) < 1e-12);
});

test('a loss of exactly the bound passes at most at the level, whatever the share of pairs that differ', () => {
  const n = 40;
  const [bound, level] = [0.1, 0.05];
  const passing: (readonly [number, number])[] = [];
  for (let worse = 0; worse <= n; worse++) for (let better = 0; better <= n - worse; better++) if (lossBelow({ worse, better, n }, bound, level)) passing.push([worse, better]);
  assert.ok(passing.length > 100);
  let greatest = 0;
  for (let betterRate = 0; betterRate <= 0.44; betterRate += 0.01) {
    const wrong = passing.reduce((sum, [worse, better]) => sum + chance(worse, better, n, betterRate + bound, betterRate), 0);
    greatest = Math.max(greatest, wrong);
    assert.ok(wrong <= level, `${wrong} at ${betterRate}`);
  }
  assert.ok(greatest > 0.02, `the test is not idle: ${greatest}`);
});

test('it sees a small loss in fewer rows than a bet that holds for losses of any shape', () => {
  const random = seededRandom(4);
  let [exact, bet] = [0, 0];
  for (let i = 0; i < 100; i++) {
    const losses = Float64Array.from({ length: 660 }, () => (random.next() < 0.012 ? 1 : random.next() < 0.01 ? -1 : 0));
    const counts = pairCounts(losses);
    assert.ok(counts !== undefined);
    if (lossBelow(counts, 0.01, 0.05)) exact++;
    if (meanBelow(losses, 0.01, 0.05)) bet++;
  }
  assert.ok(exact > bet + 10, `${exact} and ${bet} of 100`);
});

test('losses with degrees are not counted as pairs', () => {
  assert.equal(pairCounts([1, 0, 0.5]), undefined);
  assert.deepEqual(pairCounts([1, 0, -1, -1]), { worse: 1, better: 2, n: 4 });
});
