/** The optimisers of cascades against enumeration, on data small enough to try everything. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodePlan, encodePlan, type CascadePlan } from '../../src/assign/cascade/plan.ts';
import { binOf, edgesOf, learnPolicy, policyOfTiers, policyWithin, runPolicy, type Policy, type Step } from '../../src/assign/cascade/policy.ts';
import { alone, pick, rowsOf, type Recorded } from '../../src/assign/cascade/recorded.ts';
import { armsOf, bestOf, cheapestMeeting, sampledPolicy } from '../../src/assign/cascade/samples.ts';
import { allocate, type Way } from '../../src/assign/cascade/stages.ts';
import { bestTiers, runTiers, type Tier } from '../../src/assign/cascade/tiers.ts';
import { TandemError } from '../../src/errors.ts';
import { seededRandom } from '../../src/system/random.ts';

/** Members of growing strength and cost; their scores tell something of their quality. */
function recorded(rows: number, arms: number, seed: number, levels = 5): Recorded {
  const random = seededRandom(seed);
  const hard = Array.from({ length: rows }, () => random.next());
  const quality = Array.from({ length: arms }, (_, arm) => Float64Array.from(hard, (each) => (random.next() < Math.min(1, 0.35 + 0.25 * arm + 0.5 * (1 - each)) ? 1 : 0)));
  return {
    arms: Array.from({ length: arms }, (_, arm) => ({ member: `m${arm}`, samples: 1 })),
    quality,
    cost: Array.from({ length: arms }, (_, arm) => Float64Array.from(hard, () => 4 ** arm * (0.5 + random.next()))),
    score: quality.map((own) => Float64Array.from(own, (each) => Math.round(levels * Math.min(1, 0.4 * each + 0.6 * random.next())) / levels)),
    prior: Float64Array.from(hard, (each) => Math.min(1, Math.max(0, each + 0.3 * (random.next() - 0.5)))),
    result: quality.map((own, arm) => Array.from(own, (each) => (each === 1 ? 'right' : `wrong ${arm}`))),
  };
}

/** Every order of every number of arms, with every threshold that makes a difference. */
function* allCascades({ arms, score }: Recorded, tiersMax: number): Generator<Tier[]> {
  const thresholds = (arm: number): number[] => [...new Set(score[arm])].sort((a, b) => a - b).concat(2);
  function* grow(tiers: Tier[]): Generator<Tier[]> {
    for (const arm of arms.keys()) {
      if (tiers.some((tier) => tier.arm === arm)) continue;
      yield [...tiers, { arm, threshold: 0 }];
      if (tiers.length + 1 < tiersMax) for (const threshold of thresholds(arm)) yield* grow([...tiers, { arm, threshold }]);
    }
  }
  yield* grow([]);
}

test('tiers (rows 28, 29): order and thresholds are those that trying everything finds, within every budget', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const data = recorded(14, 3, seed);
    for (const budget of [0.9, 2, 4, 8, 20]) {
      let best = { quality: -1, cost: Infinity };
      for (const tiers of allCascades(data, 3)) {
        const { quality, cost } = runTiers(data, tiers);
        if (cost <= budget + 1e-12 && (quality > best.quality + 1e-12 || (quality > best.quality - 1e-12 && cost < best.cost))) best = { quality, cost };
      }
      const found = bestTiers(data, { budget });
      if (best.quality < 0) {
        assert.equal(found, undefined);
        continue;
      }
      assert.ok(found !== undefined && Math.abs(found.quality - best.quality) < 1e-9 && Math.abs(found.cost - best.cost) < 1e-9, `seed ${seed}, budget ${budget}: ${found?.quality} ${found?.cost} against ${best.quality} ${best.cost}`);
      const again = runTiers(data, found.tiers);
      assert.ok(Math.abs(again.quality - found.quality) < 1e-9 && Math.abs(again.cost - found.cost) < 1e-9, 'it does what it says');
    }
  }
});

/** Every policy over the same bins: all trees. */
function* allSteps(arms: number, asked: readonly number[], edges: readonly (readonly number[])[], agreement: boolean): Generator<Step> {
  for (const arm of asked) yield { do: 'stop', arm };
  for (let arm = 0; arm < arms; arm++) {
    if (asked.includes(arm)) continue;
    yield { do: 'answer', arm };
    const bins = (edges[arm]?.length ?? 0) + 1;
    const branches = asked.length > 0 && agreement ? 2 * bins : bins;
    const options = [...allSteps(arms, [...asked, arm], edges, agreement)];
    if (options.length ** branches > 5e5) continue;
    for (let code = 0; code < options.length ** branches; code++) {
      const next = Array.from({ length: branches }, (_, i) => options[Math.floor(code / options.length ** i) % options.length] as Step);
      yield { do: 'ask', arm, edges: edges[arm] ?? [], next };
    }
  }
}

test('cascade routing (row 30): backward induction finds the best of all policies that stop, escalate or jump', () => {
  for (let seed = 1; seed <= 8; seed++) {
    const data = { ...recorded(16, 2, seed), prior: new Float64Array(16) };
    const edges = data.score.map((each) => edgesOf(each, 2));
    for (const price of [0, 0.02, 0.1, 0.4]) {
      let best = -Infinity;
      for (const first of allSteps(2, [], edges, true)) {
        const { quality, cost } = runPolicy(data, { edges: [], first: [first] });
        best = Math.max(best, quality - price * cost);
      }
      const { quality, cost } = runPolicy(data, learnPolicy(data, { price, bins: 2, rowsMin: 1, shrinkage: 0, asksMax: 9 }));
      assert.ok(Math.abs(quality - price * cost - best) < 1e-9, `seed ${seed}, price ${price}: ${quality - price * cost} against ${best}`);
    }
  }
});

test('a policy uses what it knows beforehand, what scores say, and whether answers agree; a greater budget is never worse', () => {
  const data = recorded(4000, 3, 5, 50);
  const [half, rest] = [pick(data, Array.from({ length: 2000 }, (_, i) => 2 * i)), pick(data, Array.from({ length: 2000 }, (_, i) => 2 * i + 1))];
  let before = -1;
  for (const budget of [1.2, 2, 4, 8, 16]) {
    const policy = policyWithin(half, budget);
    assert.ok(policy.cost <= budget + 1e-9);
    assert.ok(policy.quality >= before - 0.004, `${budget}: ${policy.quality} after ${before}`);
    before = policy.quality;
    const held = runPolicy(rest, policy);
    assert.ok(Math.abs(held.quality - policy.quality) < 0.03 && Math.abs(held.cost - policy.cost) < 0.15 * policy.cost, 'it holds on other rows');
    const tiers = bestTiers(half, { budget, tiersMax: 2 });
    if (budget >= 4) assert.ok(policy.quality > (tiers?.quality ?? 0) - 0.01, `${policy.quality} against two tiers ${tiers?.quality}`);
  }
  const kinds = new Set<string>();
  const walk = (step: Step, depth: number): void => {
    kinds.add(`${step.do}${depth}`);
    if (step.do === 'ask') step.next.forEach((next) => walk(next, depth + 1));
  };
  policyWithin(half, 4).first.forEach((first) => walk(first, 0));
  assert.ok(['stop1', 'answer1', 'ask0'].every((kind) => kinds.has(kind)), [...kinds].join());
});

test('a policy made of tiers does exactly what the tiers do', () => {
  const data = recorded(500, 3, 9, 40);
  for (const tiers of [[{ arm: 2, threshold: 0 }], [{ arm: 0, threshold: 0.6 }, { arm: 2, threshold: 0 }], [{ arm: 1, threshold: 0.4 }, { arm: 0, threshold: 0.8 }, { arm: 2, threshold: 0 }]]) {
    const [a, b] = [runTiers(data, tiers), runPolicy(data, policyOfTiers(tiers))];
    assert.deepEqual([a.perRow, a.costPerRow], [b.perRow, b.costPerRow]);
  }
  assert.ok(alone(data, 2).quality > alone(data, 0).quality && rowsOf(data) === 500);
});

test('bins: equal shares where values differ, and a run of equal values is never torn', () => {
  const edges = edgesOf(Float64Array.from({ length: 100 }, (_, i) => i / 100), 4);
  assert.deepEqual(edges.map((each) => Math.round(100 * each)), [25, 50, 75]);
  const lumpy = edgesOf(Float64Array.from([0, 0, 0, 0, 0, 0, 1, 1]), 4);
  assert.ok(lumpy.length >= 1 && lumpy.every((each) => each > 0 && each < 1));
  assert.deepEqual([binOf(0, lumpy), binOf(1, lumpy)], [0, lumpy.length]);
  assert.deepEqual(edgesOf(new Float64Array(9), 3), []);
});

/** All n-subsets of numbers below `total`. */
function subsets(total: number, n: number, from = 0): number[][] {
  if (n === 0) return [[]];
  return Array.from({ length: Math.max(0, total - from) }, (_, i) => from + i).flatMap((first) => subsets(total, n - 1, first + 1).map((rest) => [first, ...rest]));
}

test('best-of-n (row 152): the closed form is the mean over all n-subsets, ties shared', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 20; round++) {
    const samples = Array.from({ length: 7 }, () => ({ quality: random.next(), score: Math.floor(random.next() * 4) }));
    for (const n of [1, 2, 4, 7]) {
      const all = subsets(7, n).map((chosen) => {
        const top = Math.max(...chosen.map((i) => samples[i]?.score ?? 0));
        const tied = chosen.filter((i) => samples[i]?.score === top);
        return tied.reduce((sum, i) => sum + (samples[i]?.quality ?? 0), 0) / tied.length;
      });
      assert.ok(Math.abs(bestOf(samples, n) - all.reduce((sum, each) => sum + each, 0) / all.length) < 1e-9);
    }
  }
});

test('best-of-n (row 152): member and number of samples are chosen together, the cheapest that meets the target', () => {
  assert.deepEqual(armsOf(['a', 'b'], [1, 3]), [{ member: 'a', samples: 1 }, { member: 'a', samples: 3 }, { member: 'b', samples: 1 }, { member: 'b', samples: 3 }]);
  const arms = [{ quality: 0.6, cost: 1 }, { quality: 0.8, cost: 3 }, { quality: 0.85, cost: 10 }, { quality: 0.8, cost: 2.5 }];
  assert.deepEqual([0.5, 0.7, 0.8, 0.82, 0.99].map((target) => cheapestMeeting(arms, target)), [0, 3, 3, 2, 2]);
  // Easy requests: one sample of the small member is enough. Middling: five of them. Hard: the large one.
  const expected = [[[0.95, 1], [0.99, 5], [0.99, 20]], [[0.7, 1], [0.9, 5], [0.95, 20]], [[0.2, 1], [0.3, 5], [0.9, 20]]].map((bin) => bin.map(([quality = 0, cost = 0]) => ({ quality, cost })));
  const policy: Policy = sampledPolicy([0.3, 0.7], expected, 0.88);
  assert.deepEqual(policy.first.map(({ arm }) => arm), [0, 1, 2]);
});

test('stages (row 153): the budget over the stages is that of trying every combination', () => {
  const random = seededRandom(8);
  for (let round = 0; round < 30; round++) {
    const stages: Way[][] = Array.from({ length: 4 }, () => Array.from({ length: 4 }, () => ({ quality: random.next(), cost: random.next() * 3 })));
    const budget = 1 + random.next() * 6;
    let best = -1;
    for (let code = 0; code < 4 ** 4; code++) {
      const ways = stages.map((stage, s) => stage[Math.floor(code / 4 ** s) % 4] as Way);
      if (ways.reduce((sum, { cost }) => sum + cost, 0) <= budget) best = Math.max(best, ways.reduce((product, { quality }) => product * quality, 1));
    }
    const found = allocate(stages, budget);
    assert.ok(Math.abs((found?.quality ?? -1) - best) < 1e-12);
    if (found !== undefined) assert.ok(found.ways.reduce((sum, way, s) => sum + (stages[s]?.[way]?.cost ?? 0), 0) <= budget + 1e-9);
  }
});

test('a plan as a file: the same again; damage and steps that cannot be taken are refused', () => {
  const policy = policyWithin(recorded(600, 3, 2, 30), 4);
  const plan: CascadePlan = { kind: 'tandem-cascade', version: 1, card: { date: '2026-01-01', data: { name: 'made', rows: 600 }, method: 'policy', test: 'mean-probability', budget: 4, heldOut: null }, arms: armsOf(['a', 'b', 'c'], [1]), policy: { edges: policy.edges.slice(), first: policy.first.slice() } };
  assert.deepEqual(decodePlan(encodePlan(plan)), plan);
  const refused = (change: (plan: Record<string, unknown>) => void): void => {
    const copy = JSON.parse(encodePlan(plan)) as Record<string, unknown>;
    change(copy);
    assert.throws(() => decodePlan(JSON.stringify(copy)), (thrown) => TandemError.is(thrown) && thrown.code === 'router_file_invalid');
  };
  refused((copy) => (copy['version'] = 2));
  refused((copy) => (copy['policy'] = { edges: [], first: [{ do: 'stop', arm: 0 }] }));
  refused((copy) => (copy['policy'] = { edges: [], first: [{ do: 'answer', arm: 7 }] }));
  refused((copy) => (copy['policy'] = { edges: [0.5], first: [{ do: 'answer', arm: 0 }] }));
  refused((copy) => (copy['policy'] = { edges: [], first: [{ do: 'ask', arm: 0, edges: [0.5], next: [{ do: 'stop', arm: 0 }] }] }));
  refused((copy) => (copy['policy'] = { edges: [], first: [{ do: 'ask', arm: 0, edges: [], next: [{ do: 'ask', arm: 0, edges: [], next: [] }] }] }));
  assert.throws(() => decodePlan('{'), /not JSON/);
});
