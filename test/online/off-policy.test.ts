/** Off-policy estimates: their intervals cover, the gate refuses, the trial rolls back. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { judgeChange, MeanBounds, Trial } from '../../src/assign/online/gate.ts';
import { estimateReward, type EstimateSettings, type LoggedChoice } from '../../src/assign/online/off-policy.ts';
import { seededRandom } from '../../src/system/random.ts';
import { coin } from './made-up.ts';

/** Requests with x in [0, 1); arm a is right with 0.9 - 0.6 x, arm b with 0.6. */
const truth = { a: (x: number) => 0.9 - 0.6 * x, b: () => 0.6 } as const;
type Law = (x: number) => { readonly a: number; readonly b: number };

const logging: Law = () => ({ a: 0.7, b: 0.3 });
const better: Law = (x) => (x < 0.5 ? { a: 0.95, b: 0.05 } : { a: 0.05, b: 0.95 });
const worse: Law = (x) => (x < 0.5 ? { a: 0.1, b: 0.9 } : { a: 0.9, b: 0.1 });

function log(rows: number, seed: number, target: Law, logger: Law = logging, error = 0): LoggedChoice[] {
  const random = seededRandom(seed);
  return Array.from({ length: rows }, () => {
    const x = random.next();
    const law = logger(x);
    const arm = random.next() < law.a ? 'a' : 'b';
    const wanted = target(x);
    const model = { a: truth.a(x) + error, b: truth.b() - error };
    return { reward: coin(random, truth[arm](x)), propensity: law[arm], target: wanted[arm], modelled: model[arm], modelledTarget: wanted.a * model.a + wanted.b * model.b };
  });
}

/** By quadrature. */
function valueOf(law: Law): number {
  let sum = 0;
  for (let i = 0; i < 10_000; i++) {
    const x = (i + 0.5) / 10_000;
    sum += (law(x).a * truth.a(x) + law(x).b * truth.b()) / 10_000;
  }
  return sum;
}

const ways: readonly EstimateSettings[] = [{ method: 'ips' }, { method: 'snips' }, { method: 'dr' }, { method: 'ips', interval: 'bernstein' }, { method: 'dr', interval: 'bernstein' }];

test('95 % intervals cover the truth about 95 times of 100, Bernstein nearly always; self-normalised and doubly robust are narrower than IPS', () => {
  const wanted = valueOf(better);
  const widths = ways.map((settings) => {
    let [covered, width] = [0, 0];
    for (let seed = 0; seed < 300; seed++) {
      const { low, high } = estimateReward(log(400, 1000 + seed, better), { ...settings, resamples: 200 }, seededRandom(seed));
      if (low <= wanted && wanted <= high) covered++;
      width += (high - low) / 300;
    }
    const least = settings.interval === 'bernstein' ? 0.99 : 0.92;
    assert.ok(covered / 300 >= least, `${settings.method} ${settings.interval ?? 'bootstrap'} covers ${covered} of 300`);
    if (settings.interval !== 'bernstein') assert.ok(covered / 300 <= 0.99, `${settings.method} is not needlessly wide: ${covered} of 300`);
    return width;
  });
  assert.ok(Math.max(widths[1] ?? 1, widths[2] ?? 1) < 0.9 * (widths[0] ?? 0), widths.map((each) => each.toFixed(3)).join(' '));
});

test('doubly robust needs the propensities or the model to be right, not both; IPS needs the propensities', () => {
  const wanted = valueOf(better);
  const mean = (change: (row: LoggedChoice) => LoggedChoice, method: 'ips' | 'dr', error = 0): number => estimateReward(log(30_000, 5, better, logging, error).map(change), { method, resamples: 1 }, seededRandom(1)).value;
  const wrong = (row: LoggedChoice): LoggedChoice => ({ ...row, propensity: row.propensity * 0.7 });
  assert.ok(Math.abs(mean((row) => row, 'dr', 0.2) - wanted) < 0.02, 'a wrong model, right propensities');
  assert.ok(Math.abs(mean(wrong, 'dr') - wanted) < 0.02, 'wrong propensities, a right model');
  assert.ok(Math.abs(mean(wrong, 'ips') - wanted) > 0.1, 'IPS is lost');
});

test('the gate lets a better policy through, refuses a worse one, an unknown one and one that was hardly tried', () => {
  let [passed, wronglyPassed] = [0, 0];
  for (let seed = 0; seed < 40; seed++) {
    if (judgeChange(log(800, seed, better), {}, seededRandom(seed)).passes) passed++;
    if (judgeChange(log(800, seed, worse), {}, seededRandom(seed)).passes) wronglyPassed++;
  }
  assert.ok(passed >= 38, `${passed} of 40`);
  assert.equal(wronglyPassed, 0);
  const same = Array.from({ length: 100 }, (_, seed) => judgeChange(log(300, 5000 + seed, () => ({ a: 0.3, b: 0.7 }), () => ({ a: 0.7, b: 0.3 })), {}, seededRandom(seed)).passes).filter(Boolean).length;
  assert.ok(same <= 8, `one that earns the same passes ${same} of 100 times: the bound must be above zero`);
  assert.match(judgeChange(log(150, 1, better), {}, seededRandom(1)).because, /150 judged decisions; 200/);
  const rare: Law = () => ({ a: 0.995, b: 0.005 });
  const untried = judgeChange(log(400, 3, () => ({ a: 0, b: 1 }), rare), {}, seededRandom(1));
  assert.equal(untried.passes, false);
  assert.match(untried.because, /hardly ever tried|overlap/);
  const strict = judgeChange(log(4000, 1, better), { interval: 'bernstein', weightMax: 4 }, seededRandom(1));
  assert.ok(strict.gainLow < strict.gain && strict.gainHigh > strict.gain);
});

test('bounds that hold at all times: an unchanging mean leaves them in at most 5 of 100 runs, however often they are looked at', () => {
  let left = 0;
  for (let seed = 0; seed < 300; seed++) {
    const random = seededRandom(seed);
    const bounds = new MeanBounds();
    let out = false;
    for (let n = 0; n < 1500; n++) {
      bounds.add(coin(random, 0.7));
      const { low, high } = bounds.bounds();
      out ||= low > 0.7 || high < 0.7;
    }
    if (out) left++;
    const { low, high } = bounds.bounds();
    assert.ok(high - low < 0.16, `after 1,500: ${low} to ${high}`);
  }
  assert.ok(left <= 15, `${left} of 300`);
});

test('a policy that is worse in use is rolled back, one that is not is kept', () => {
  let wrongly = 0;
  const delays: number[] = [];
  for (let seed = 0; seed < 60; seed++) {
    const random = seededRandom(seed);
    const [same, bad] = [new Trial(), new Trial()];
    let n = 0;
    for (; n < 6000 && !bad.worse; n++) {
      const held = random.next() < 0.1;
      same.add(held, coin(random, 0.8));
      bad.add(held, coin(random, held ? 0.8 : 0.5));
    }
    delays.push(n);
    if (same.worse) wrongly++;
  }
  assert.ok(wrongly <= 3, `${wrongly} of 60`);
  const middle = delays.sort((a, b) => a - b)[30] ?? Infinity;
  assert.ok(middle < 2500, `rolled back after ${middle} rewards, a tenth of them held out`);
});
