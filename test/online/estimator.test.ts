/** The estimator, the choice of an arm and the watch for change: each against what it claims. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { usualMin } from '../../src/assign/online/arm-model.ts';
import { levelFor, Watch } from '../../src/assign/online/change.ts';
import { LinearModel } from '../../src/assign/online/linear-model.ts';
import { drawFrom, normalBelow, propensities } from '../../src/assign/online/propensities.ts';
import { seededRandom } from '../../src/system/random.ts';
import { normal } from './made-up.ts';

/** Posterior by solving the normal equations with Gauss-Jordan: slow and independent of the code under test. */
function solved(rows: readonly { readonly x: number[]; readonly y: number; readonly weight: number }[], priorMean: number[], priorPrecision: number[]): { readonly inverse: number[][]; readonly mean: number[] } {
  const n = priorMean.length;
  const a = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => rows.reduce((sum, { x, weight }) => sum + weight * (x[i] ?? 0) * (x[j] ?? 0), i === j ? (priorPrecision[i] ?? 0) : 0)));
  const b = priorMean.map((mean, i) => rows.reduce((sum, { x, y, weight }) => sum + weight * (x[i] ?? 0) * y, mean * (priorPrecision[i] ?? 0)));
  const wide = a.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const pivot = wide[i]?.[i] ?? 1;
    wide[i] = (wide[i] ?? []).map((value) => value / pivot);
    for (let k = 0; k < n; k++) if (k !== i) { const factor = wide[k]?.[i] ?? 0; wide[k] = (wide[k] ?? []).map((value, j) => value - factor * (wide[i]?.[j] ?? 0)); }
  }
  const inverse = wide.map((row) => row.slice(n));
  return { inverse, mean: inverse.map((row) => row.reduce((sum, value, j) => sum + value * (b[j] ?? 0), 0)) };
}

test('the posterior is that of the normal equations, with prior, weights and discount', () => {
  const random = seededRandom(3);
  const size = 6;
  const [priorMean, priorPrecision] = [Array.from({ length: size }, () => random.next()), Array.from({ length: size }, () => 0.5 + 3 * random.next())];
  const model = new LinearModel({ size, priorMean, priorPrecision, discount: 0.97, noise: 0.5 });
  const rows: { x: number[]; y: number; weight: number }[] = [];
  for (let step = 0; step < 200; step++) {
    for (const row of rows) row.weight *= 0.97;
    model.pass(1);
    const row = { x: [1, ...Array.from({ length: size - 1 }, () => normal(random))], y: random.next(), weight: 0.2 + random.next() };
    rows.push(row);
    model.observe(row.x, row.y, row.weight);
  }
  const { inverse, mean } = solved(rows, priorMean, priorPrecision);
  const x = [1, 0.3, -2, 0.1, 1.5, -0.7];
  const expected = model.expect(x);
  assert.ok(Math.abs(expected.mean - mean.reduce((sum, value, i) => sum + value * (x[i] ?? 0), 0)) < 1e-9);
  const variance = x.reduce((sum, xi, i) => sum + x.reduce((inner, xj, j) => inner + xi * xj * (inverse[i]?.[j] ?? 0), 0), 0);
  assert.ok(Math.abs(expected.deviation - 0.5 * Math.sqrt(variance)) < 1e-9);
});

test('skipped steps, the order of observations and a save in between change nothing', () => {
  const make = (): LinearModel => new LinearModel({ size: 3, discount: 0.99 });
  const [one, other, kept] = [make(), make(), make()];
  for (let step = 0; step < 50; step++) one.pass(1);
  one.observe([1, 2, 3], 1);
  for (let step = 0; step < 40; step++) one.pass(1);
  other.observe([1, 2, 3], 1);
  other.pass(40);
  assert.ok(Math.abs(one.expect([1, 1, 1]).mean - other.expect([1, 1, 1]).mean) < 1e-12);
  const saved = JSON.parse(JSON.stringify(one.save())) as ReturnType<LinearModel['save']>;
  assert.ok(kept.restore(saved));
  assert.deepEqual(kept.expect([1, 0, 2]), one.expect([1, 0, 2]));
  assert.equal(new LinearModel({ size: 4 }).restore(saved), false, 'a state of another size is not taken');
  const [forwards, backwards] = [new LinearModel({ size: 2 }), new LinearModel({ size: 2 })];
  const rows = Array.from({ length: 20 }, (_, i) => ({ x: [1, i / 7], y: (i % 3) / 2 }));
  for (const { x, y } of rows) forwards.observe(x, y);
  for (const { x, y } of [...rows].reverse()) backwards.observe(x, y);
  assert.ok(Math.abs(forwards.expect([1, 2]).mean - backwards.expect([1, 2]).mean) < 1e-12);
});

test('twenty thousand discounted observations leave the factorisation exact', () => {
  const random = seededRandom(5);
  const model = new LinearModel({ size: 12, discount: 0.999 });
  const truth = Array.from({ length: 12 }, () => normal(random) / 4);
  for (let step = 0; step < 20_000; step++) {
    model.pass(1);
    const x = [1, ...Array.from({ length: 11 }, () => normal(random))];
    model.observe(x, truth.reduce((sum, weight, i) => sum + weight * (x[i] ?? 0), 0) + 0.5 * normal(random));
  }
  model.weights().forEach((weight, i) => assert.ok(Math.abs(weight - (truth[i] ?? 0)) < 0.08, `${weight} for ${truth[i]}`));
  assert.ok(Math.abs(model.weight - 1000) < 1);
});

test("thompson's propensities are how often each arm is the greatest of independent draws", () => {
  const random = seededRandom(11);
  for (let round = 0; round < 12; round++) {
    const arms = Array.from({ length: 2 + (round % 5) }, () => ({ mean: random.next() / 2, deviation: 10 ** (-3 + 3 * random.next()) }));
    const law = propensities(arms, { rule: 'thompson' });
    assert.ok(Math.abs(law.reduce((sum, each) => sum + each, 0) - 1) < 1e-12);
    const counts = new Float64Array(arms.length);
    const draws = 20_000;
    for (let n = 0; n < draws; n++) {
      let [best, at] = [-Infinity, 0];
      arms.forEach(({ mean, deviation }, i) => {
        const value = mean + deviation * normal(random);
        if (value > best) [best, at] = [value, i];
      });
      counts[at] = (counts[at] ?? 0) + 1;
    }
    law.forEach((each, i) => assert.ok(Math.abs(each - (counts[i] ?? 0) / draws) < 0.02, `round ${round}: ${each} against ${(counts[i] ?? 0) / draws}`));
  }
});

test('every rule gives a law with a floor, and draws follow it', () => {
  const arms = [{ mean: 0.5, deviation: 0.01 }, { mean: 0.4, deviation: 0.2 }, { mean: 0.1, deviation: 0.01 }];
  assert.deepEqual([...propensities(arms, { rule: 'greedy' })], [1, 0, 0]);
  assert.deepEqual([...propensities(arms, { rule: 'ucb', width: 1 })], [0, 1, 0]);
  assert.deepEqual([...propensities([{ mean: 0.3, deviation: 0.1 }], { rule: 'thompson', explore: 0.1 })], [1]);
  for (const rule of ['greedy', 'ucb', 'thompson'] as const) {
    const law = propensities(arms, { rule, explore: 0.3 });
    for (const each of law) assert.ok(each >= 0.1 - 1e-12, rule);
    const random = seededRandom(2);
    const counts = [0, 0, 0];
    for (let n = 0; n < 30_000; n++) {
      const at = drawFrom(law, random.next());
      counts[at] = (counts[at] ?? 0) + 1;
    }
    law.forEach((each, i) => assert.ok(Math.abs((counts[i] ?? 0) / 30_000 - each) < 0.012, `${rule} ${i}`));
  }
  assert.equal(drawFrom([0.5, 0.5, 0], 0.9999999999999999), 1, 'an arm that may not be drawn is not, whatever rounding does');
  assert.ok(Math.abs(normalBelow(1.959964) - 0.975) < 1e-6);
});

test('the watch: rewards of 0 and 1 that do not change raise few false alarms', () => {
  const random = seededRandom(17);
  for (const p of [0.5, 0.8, 0.95]) {
    const watch = new Watch();
    let alarms = 0;
    for (let n = 0; n < 60_000; n++) if (watch.observe((Number(random.next() < p) - p) / Math.max(usualMin, Math.sqrt(p * (1 - p)))) !== undefined) alarms++;
    assert.ok(alarms <= 24, `${alarms} alarms in 60,000 rewards at ${p}`);
  }
  assert.ok(levelFor(0.25, 100_000) > levelFor(0.5, 100_000) && levelFor(0.1, 1e6) > levelFor(0.1, 1e5));
});

test('the watch: a drop of 30 points is noticed within 100 rewards, one of 10 within 900, and its direction is told', () => {
  for (const [drop, limit] of [[0.3, 100], [0.2, 200], [0.1, 900]] as const) {
    const delays = Array.from({ length: 40 }, (_, seed) => {
      const random = seededRandom(100 + seed);
      const watch = new Watch();
      for (let n = 0; n < 200; n++) watch.observe((Number(random.next() < 0.8) - 0.8) / 0.4);
      for (let n = 1; ; n++) {
        const change = watch.observe((Number(random.next() < 0.8 - drop) - 0.8) / 0.4);
        if (change === undefined) continue;
        assert.equal(change.direction, 'down');
        return n;
      }
    }).sort((a, b) => a - b);
    assert.ok((delays[36] ?? Infinity) <= limit, `drop ${drop}: 90 % within ${delays[36]}`);
  }
});
