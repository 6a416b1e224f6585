/** The noisy verifier as a decision problem, and the detector of unusual requests. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { beliefAfter, doubleThreshold, fitVerifier, singleThreshold, solveVerifier, type Stakes, type VerifierAction, type VerifierModel } from '../../src/assign/cascade/verifier.ts';
import { Detector } from '../../src/assign/risk/detector.ts';
import { ShiftWatch } from '../../src/assign/risk/shift.ts';
import { readDataset } from '../../src/bench/datasets/index.ts';
import { TandemError } from '../../src/errors.ts';
import { seededRandom } from '../../src/system/random.ts';

const model: VerifierModel = { rightYes: 0.8, wrongYes: 0.3, right: 0.6 };
const stakes: Stakes = { escalated: 0.95, escalateCost: 0.2, verifyCost: 0.01, verdictsMax: 3 };

type Rule = (yes: number, no: number) => VerifierAction;

/** Expected quality less costs of a rule, by following every outcome. */
function worth(rule: Rule, { rightYes, wrongYes, right }: VerifierModel, { escalated, escalateCost, verifyCost, verdictsMax }: Stakes): number {
  const from = (yes: number, no: number, ifRight: number, ifWrong: number): number => {
    const action = yes + no >= verdictsMax && rule(yes, no) === 'verify' ? 'accept' : rule(yes, no);
    if (action === 'accept') return ifRight;
    if (action === 'escalate') return (ifRight + ifWrong) * (escalated - escalateCost);
    return from(yes + 1, no, ifRight * rightYes, ifWrong * wrongYes) + from(yes, no + 1, ifRight * (1 - rightYes), ifWrong * (1 - wrongYes)) - (ifRight + ifWrong) * verifyCost;
  };
  return from(0, 0, right, 1 - right);
}

test('the optimal policy of a noisy verifier (row 44) is the best of all policies, for every verifier tried', () => {
  const random = seededRandom(4);
  for (let round = 0; round < 25; round++) {
    const some = { rightYes: random.next(), wrongYes: random.next(), right: random.next() };
    const at = { escalated: random.next(), escalateCost: 0.3 * random.next(), verifyCost: 0.05 * random.next(), verdictsMax: 2 };
    const states = [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]] as const;
    const actions: VerifierAction[] = ['accept', 'escalate', 'verify'];
    let best = -Infinity;
    for (let code = 0; code < 3 ** states.length; code++) {
      const chosen = new Map(states.map(([yes, no], i) => [`${yes},${no}`, actions[Math.floor(code / 3 ** i) % 3] ?? 'accept']));
      best = Math.max(best, worth((yes, no) => chosen.get(`${yes},${no}`) ?? 'accept', some, at));
    }
    const policy = solveVerifier(some, at);
    assert.ok(Math.abs(policy.value - best) < 1e-12, `${policy.value} against ${best}`);
    assert.ok(Math.abs(worth(policy.action.bind(policy), some, at) - best) < 1e-12, 'it does what it is worth');
  }
});

test('it asks once more only where the belief is in between, and is worth at least what one or two thresholds are', () => {
  const policy = solveVerifier(model, { ...stakes, verdictsMax: 8 });
  for (let asked = 0; asked < 8; asked++) {
    const order = Array.from({ length: asked + 1 }, (_, yes) => policy.action(yes, asked - yes));
    assert.match(order.map((action) => action[0]).join(''), /^e*v*a*$/, `after ${asked} verdicts: ${order.join()}`);
  }
  const eight = { ...stakes, verdictsMax: 8 };
  for (const acceptFrom of [0.3, 0.5, 0.7, 0.75, 0.9]) assert.ok(worth(singleThreshold(model, { acceptFrom, verdictsMax: 8 }), model, eight) <= policy.value + 1e-12);
  for (const [sureFrom, doubtTo] of [[0.9, 0.4], [0.8, 0.6], [0.95, 0.2]] as const) assert.ok(worth(doubleThreshold(model, { sureFrom, doubtTo, verdictsMax: 8 }), model, eight) <= policy.value + 1e-12);
});

test('the verifier is fitted on verdicts about known answers, and its beliefs are calibrated', () => {
  const random = seededRandom(9);
  const known = Array.from({ length: 4000 }, () => {
    const right = random.next() < model.right;
    const asked = 4;
    let yes = 0;
    for (let i = 0; i < asked; i++) if (random.next() < (right ? model.rightYes : model.wrongYes)) yes++;
    return { yes, asked, right };
  });
  const fitted = fitVerifier(known);
  for (const field of ['rightYes', 'wrongYes', 'right'] as const) assert.ok(Math.abs(fitted[field] - model[field]) < 0.03, field);
  for (let yes = 0; yes <= 4; yes++) {
    const some = known.filter((each) => each.yes === yes);
    assert.ok(Math.abs(some.filter(({ right }) => right).length / some.length - beliefAfter(fitted, yes, 4 - yes)) < 0.08, `${yes} of 4`);
  }
  assert.equal(beliefAfter({ rightYes: 1, wrongYes: 1, right: 0.4 }, 0, 3), 0.4, 'impossible verdicts tell nothing');
});

/** Prompts about one thing or another. */
function prompts(n: number, topic: 'shop' | 'code', seed: number): string[] {
  const random = seededRandom(seed);
  const words = topic === 'shop' ? ['price', 'of', 'apples', 'pears', 'bread', 'how', 'much', 'is', 'the', 'cheese', 'today', 'please', 'milk', 'two', 'six'] : ['const', 'x', '=', 'await', 'fetch(url);', 'return', 'null;', 'class', 'Foo', 'extends', 'Bar', '{', '}', 'import', 'type'];
  return Array.from({ length: n }, () => Array.from({ length: 6 + Math.floor(8 * random.next()) }, () => words[Math.floor(random.next() * words.length)]).join(' '));
}

test('the detector (row 70): ordinary requests are called unusual no more often than allowed, others nearly always', () => {
  const detector = Detector.learn(prompts(1200, 'shop', 1), 0);
  const rate = (texts: readonly string[], level: number): number => texts.filter((text) => detector.pValue(text) <= level).length / texts.length;
  for (const level of [0.02, 0.1, 0.3]) assert.ok(rate(prompts(2000, 'shop', 2), level) <= level + 0.03, `${level}: ${rate(prompts(2000, 'shop', 2), level)}`);
  assert.ok(rate(prompts(300, 'code', 3), 0.02) > 0.95);
  const again = new Detector(JSON.parse(JSON.stringify(detector.save())));
  for (const text of [...prompts(20, 'shop', 4), ...prompts(5, 'code', 5), '']) assert.equal(again.pValue(text), detector.pValue(text));
  assert.throws(() => Detector.learn(prompts(30, 'shop', 1), 0), (thrown) => TandemError.is(thrown) && thrown.code === 'bench_data_invalid');
});

test('the watch (row 70): no alarm in 200 streams without a shift at level 0.01 but for a few, and soon after a shift', () => {
  let alarms = 0;
  for (let seed = 0; seed < 200; seed++) {
    const random = seededRandom(seed);
    const watch = new ShiftWatch(0.01);
    for (let i = 0; i < 2000; i++) if (watch.observe(1 - random.next()) !== undefined) break;
    if (watch.observe(1) !== undefined) alarms++;
  }
  assert.ok(alarms <= 6, `${alarms} false alarms in 200`);
  const random = seededRandom(1);
  const watch = new ShiftWatch(0.01);
  for (let i = 0; i < 300; i++) assert.equal(watch.observe(1 - random.next()), undefined);
  let after: number | undefined;
  for (let i = 0; i < 200; i++) after ??= watch.observe(random.next() ** 4 + 1e-4);
  assert.ok(after !== undefined && after < 400, `${after}`);
});

const shared = fileURLToPath(new URL('../../../shared/data', import.meta.url));

test('on real prompts: GSM8K against MMLU, told apart at a false alarm of one in fifty', { skip: existsSync(join(shared, 'route-routellm')) && existsSync(join(shared, 'derived-zeroeval-tables')) ? false : '../shared/data is not here' }, () => {
  const maths = readDataset('zeroeval-gsm8k', shared).map(({ prompt }) => prompt);
  const other = readDataset('routellm-mmlu', shared).filter((_, i) => i % 40 === 0).map(({ prompt }) => prompt);
  const detector = Detector.learn(maths.slice(0, 900), 0);
  const rate = (texts: readonly string[]): number => texts.filter((text) => detector.pValue(text) <= 0.02).length / texts.length;
  assert.ok(rate(maths.slice(900)) < 0.06, `${rate(maths.slice(900))}`);
  assert.ok(rate(other) > 0.6, `${rate(other)}`);
});
