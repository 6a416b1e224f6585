/** The bandits: what each of the published ones promises, on made-up worlds whose truth is known. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { createBandit, preferences, utilityOf, type Bandit, type BanditSettings, type Option, type Preference } from '../../src/assign/online/index.ts';
import { seededRandom } from '../../src/system/random.ts';
import { coin, normal } from './made-up.ts';

const free: Preference = { qualityUsd: 1, secondUsd: 0 };
const one = Float64Array.of(1);
const plain = (arms: readonly string[]): Option[] => arms.map((arm) => ({ arm, features: one }));
const bandit = (more: Partial<BanditSettings> = {}): Bandit => createBandit({ choice: { rule: 'thompson', explore: 0.02 }, arm: () => ({ size: 1 }), ...more });

test('row 9: an upper-confidence bandit finds the best path among those that keep the limits, and never takes another', () => {
  const truth = { cloud: { quality: 0.95, costUsd: 0.02, latencyMs: 4000, places: ['cloud'] }, edge: { quality: 0.8, costUsd: 0.002, latencyMs: 900, places: ['edge'] }, device: { quality: 0.6, costUsd: 0, latencyMs: 300, places: ['device'] }, leaky: { quality: 0.9, costUsd: 0.001, latencyMs: 500, places: ['cloud'] } };
  type Arm = keyof typeof truth;
  const arms = Object.keys(truth) as Arm[];
  const random = seededRandom(4);
  const learner = bandit({ choice: { rule: 'ucb', width: 1, explore: 0.02 }, arm: (id) => ({ size: 1, costUsd: truth[id as Arm].costUsd, latencyMs: truth[id as Arm].latencyMs, worth: 20 }) });
  const taken = new Map<string, number>();
  for (let n = 0; n < 3000; n++) {
    const options = arms.map((arm) => ({ arm, features: one, costUsdMax: truth[arm].costUsd, places: truth[arm].places }));
    const { arm, judgements } = learner.choose({ options, preference: preferences.quality, limits: { costUsdMax: 0.01, latencyMsMax: 2500, places: ['edge', 'device'] } }, random.next);
    assert.ok(arm === 'edge' || arm === 'device', String(arm));
    assert.deepEqual(judgements.map(({ excludedBy }) => excludedBy), ['places', undefined, undefined, 'places']);
    const { quality, costUsd, latencyMs } = truth[arm];
    learner.learn({ arm, features: one, reward: coin(random, quality), costUsd, latencyMs: latencyMs * Math.exp(0.2 * normal(random)) });
    taken.set(arm, (taken.get(arm) ?? 0) + 1);
  }
  assert.ok((taken.get('edge') ?? 0) > 2600, `edge was taken ${taken.get('edge')} times`);
  const none = learner.choose({ options: plain(['edge']), preference: free, limits: { places: [] , latencyMsMax: 1 } }, random.next);
  assert.deepEqual([none.arm, none.judgements[0]?.excludedBy], [undefined, 'latencyMsMax']);
  const slow = learner.choose({ options: [{ arm: 'edge', features: one, costUsdMax: NaN }], preference: free, limits: { costUsdMax: 1 } }, random.next);
  assert.equal(slow.arm, undefined, 'a cost that is no number keeps no limit');
});

test('rows 2, 37: contextual Thompson sampling and LinUCB learn which arm is good for which request, also from live state', () => {
  for (const rule of ['thompson', 'ucb'] as const) {
    const random = seededRandom(8);
    const learner = bandit({ choice: { rule, width: 1, explore: 0.01 }, arm: () => ({ size: 3, quality: { precision: [1, 1, 1] } }) });
    let [late, best] = [0, 0];
    for (let n = 0; n < 4000; n++) {
      // hardness of the request, and how loaded the device is: a live signal
      const [hard, load] = [random.next(), random.next()];
      const features = Float64Array.of(1, hard, load);
      const quality = { small: 0.95 - 0.7 * hard - 0.25 * load, large: 0.7 };
      const { arm } = learner.choose({ options: plain(['small', 'large']).map((each) => ({ ...each, features })), preference: free }, random.next);
      const got = quality[arm as 'small' | 'large'];
      learner.learn({ arm: arm ?? '', features, reward: coin(random, got) });
      if (n >= 2000) [late, best] = [late + got, best + Math.max(quality.small, quality.large)];
    }
    assert.ok(best - late < 0.02 * 2000, `${rule}: ${((best - late) / 2000).toFixed(4)} lost per request; always-large loses 0.05`);
  }
});

test('row 36: one learner serves any preference, also one that never occurred while it learned, and takes up a new arm', () => {
  const truth = { small: { quality: 0.6, costUsd: 0.0001 }, middle: { quality: 0.75, costUsd: 0.002 }, large: { quality: 0.9, costUsd: 0.02 } };
  type Arm = keyof typeof truth;
  const random = seededRandom(21);
  const learner = bandit({ choice: { rule: 'thompson', explore: 0.05 } });
  const offered = (preference: Preference): Arm => learner.choose({ options: plain(Object.keys(truth)), preference }, random.next).arm as Arm;
  const teach = (arm: Arm): void => void learner.learn({ arm, features: one, reward: coin(random, truth[arm].quality), costUsd: truth[arm].costUsd * Math.exp(0.3 * normal(random)) });
  for (let n = 0; n < 2500; n++) teach(offered({ qualityUsd: n % 2 === 0 ? 1 : 0.002, secondUsd: 0 })); // two extremes only
  for (let n = 0; n < 30; n++) teach('middle'); // a small probe set for the arm that neither extreme wants
  for (const qualityUsd of [0.001, 0.05, 10]) {
    const preference = { qualityUsd, secondUsd: 0 };
    const wanted = (Object.keys(truth) as Arm[]).sort((a, b) => utilityOf({ ...truth[b], latencyMs: 0 }, preference) - utilityOf({ ...truth[a], latencyMs: 0 }, preference))[0];
    const { judgements } = learner.choose({ options: plain(Object.keys(truth)), preference }, random.next);
    const likely = [...judgements].sort((a, b) => b.utility - a.utility)[0];
    assert.equal(likely?.arm, wanted, `a right answer for ${qualityUsd} dollars`);
  }
});

test('rewards may come late, out of order, or not at all', () => {
  const random = seededRandom(2);
  const learner = bandit();
  const waiting: { readonly at: number; readonly arm: string; readonly reward: number }[] = [];
  let right = 0;
  for (let n = 0; n < 2000; n++) {
    const { arm = '' } = learner.choose({ options: plain(['a', 'b']), preference: free }, random.next);
    if (n >= 1500 && arm === 'b') right++;
    if (random.next() < 0.4) waiting.push({ at: n + Math.floor(200 * random.next()), arm, reward: coin(random, arm === 'b' ? 0.8 : 0.5) });
    for (let i = waiting.length - 1; i >= 0; i--) {
      const due = waiting[i];
      if (due === undefined || due.at > n) continue;
      waiting.splice(i, 1);
      learner.learn({ arm: due.arm, features: one, reward: due.reward });
    }
  }
  assert.ok(right > 450, `the better arm ${right} of the last 500 times`);
  assert.throws(() => learner.learn({ arm: 'a', features: one, reward: 1.5 }), { code: 'internal' });
});

test('a quality drop and a price change are noticed and followed', () => {
  const random = seededRandom(6);
  const learner = bandit({ choice: { rule: 'thompson', explore: 0.03 } });
  const noticed: string[] = [];
  const tail: string[] = [];
  for (let n = 0; n < 3000; n++) {
    const quality = { a: n < 1000 ? 0.85 : 0.55, b: 0.75 };
    const costUsd = { a: 0.001, b: n < 2000 ? 0.001 : 0.02 };
    const arm = learner.choose({ options: plain(['a', 'b']), preference: { qualityUsd: 0.05, secondUsd: 0 } }, random.next).arm as 'a' | 'b';
    for (const change of learner.learn({ arm, features: one, reward: coin(random, quality[arm]), costUsd: costUsd[arm] * Math.exp(0.3 * normal(random)) })) noticed.push(`${change.arm} ${change.quantity} ${change.direction} ${n < 1000 ? 'early' : n < 1300 ? 'first' : n < 2000 ? 'between' : n < 2300 ? 'second' : 'late'}`);
    if (n >= 2700) tail.push(arm);
  }
  for (const wanted of ['a reward down first', 'b cost up second']) assert.ok(noticed.includes(wanted), `${wanted}: ${noticed.join(', ')}`);
  assert.ok(noticed.length <= 4, noticed.join(', '));
  assert.ok(tail.filter((arm) => arm === 'a').length > 240, 'now that b is dear, a is taken again');
});

test('a saved bandit goes on as if it had never stopped; same seed, same choices', () => {
  const play = (stopAt: number): string => {
    const random = seededRandom(9);
    let learner = bandit({ arm: () => ({ size: 2, discount: 0.99 }) });
    let log = '';
    for (let n = 0; n < 300; n++) {
      if (n === stopAt) {
        const saved = JSON.parse(JSON.stringify(learner.save())) as ReturnType<Bandit['save']>;
        learner = bandit({ arm: () => ({ size: 2, discount: 0.99 }) });
        learner.restore(saved);
      }
      const features = Float64Array.of(1, random.next());
      const { arm = '', propensity } = learner.choose({ options: plain(['a', 'b', 'c']).map((each) => ({ ...each, features })), preference: free }, random.next);
      log += `${arm}${propensity.toFixed(9)} `;
      learner.learn({ arm, features, reward: coin(random, arm === 'a' ? 0.6 : 0.4), costUsd: 0.01 });
    }
    return log;
  };
  assert.equal(play(-1), play(150));
});

test('a bandit that is told beforehand what a trained router knows starts where the router is', () => {
  const random = seededRandom(31);
  const warm = bandit({ arm: (id) => ({ size: 2, quality: { mean: [id === 'large' ? 0.2 : 0, 1], precision: [50, 50] } }) });
  const cold = bandit({ arm: () => ({ size: 2 }) });
  const lost = [warm, cold].map((learner) => {
    let sum = 0;
    for (let n = 0; n < 150; n++) {
      const p = 0.3 + 0.4 * random.next();
      const truth = { small: p, large: p + 0.2 };
      const arm = learner.choose({ options: plain(['small', 'large']).map((each) => ({ ...each, features: Float64Array.of(1, p) })), preference: free }, random.next).arm as 'small' | 'large';
      sum += truth.large - truth[arm];
      learner.learn({ arm, features: Float64Array.of(1, p), reward: coin(random, truth[arm]) });
    }
    return sum;
  });
  assert.ok((lost[0] ?? 0) < 0.5 * (lost[1] ?? 0), `warm lost ${lost[0]?.toFixed(1)}, cold ${lost[1]?.toFixed(1)}`);
});

test('a decision among eight arms takes microseconds', () => {
  const learner = bandit({ arm: () => ({ size: 14 }) });
  const random = seededRandom(1);
  const features = Float64Array.from({ length: 14 }, (_, i) => (i === 0 ? 1 : random.next()));
  const options = Array.from({ length: 8 }, (_, i) => ({ arm: `arm${i}`, features }));
  const times: number[] = [];
  for (let n = 0; n < 2000; n++) {
    const started = performance.now();
    const { arm = '' } = learner.choose({ options, preference: free }, random.next);
    times.push(performance.now() - started);
    learner.learn({ arm, features, reward: coin(random, 0.5), costUsd: 0.01 });
  }
  const middle = times.sort((a, b) => a - b)[1000] ?? Infinity;
  assert.ok(middle < 1, `half of the decisions take over ${(1000 * middle).toFixed(0)} microseconds`);
});
