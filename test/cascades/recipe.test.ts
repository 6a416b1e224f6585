/** The recipe `cascade` with what was trained for it: plans, scorers, detectors, verifiers. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { decodeCascadeFile, type CascadeFile } from '../../src/assign/cascade/files.ts';
import type { CascadePlan } from '../../src/assign/cascade/plan.ts';
import { policyOfTiers, type Policy } from '../../src/assign/cascade/policy.ts';
import { sampledPolicy } from '../../src/assign/cascade/samples.ts';
import { Detector } from '../../src/assign/risk/detector.ts';
import { scorerFor } from '../../src/bench/cascades.ts';
import type { Row } from '../../src/bench/rows.ts';
import { ask } from '../../src/ask.ts';
import { TandemError } from '../../src/errors.ts';
import { Team } from '../../src/models/team.ts';
import { cascadeWith } from '../../src/recipes/cascade.ts';
import type { Recipe } from '../../src/recipes/recipe.ts';
import { registry } from '../../src/recipes/index.ts';
import { seededRandom } from '../../src/system/random.ts';
import { createTandem } from '../../src/tandem.ts';
import { folder } from '../cli/tandem.ts';
import { fake, priced, type FakeMember, type FakeSettings } from '../recipes/fake-model.ts';
import { calls, serveOne, virtualClock, type Order, type Served } from '../recipes/harness.ts';

const clock = virtualClock();
const member = (id: string, answer: FakeSettings['answer'], more: Partial<FakeSettings> = {}): FakeMember => fake({ id, answer, ...more }, clock);

function planOf(policy: Policy, arms: CascadePlan['arms'], test_ = 'mean-probability'): CascadeFile {
  return { type: 'plan', plan: { kind: 'tandem-cascade', version: 1, card: { date: '2026-01-01', data: { name: 'made', rows: 500 }, method: 'policy', test: test_, budget: 1, heldOut: null }, arms, policy: { edges: policy.edges.slice(), first: policy.first.slice() } } };
}

const one = (...members: string[]): CascadePlan['arms'] => members.map((each) => ({ member: each, samples: 1 }));

async function served(members: readonly FakeMember[], files: Readonly<Record<string, CascadeFile>>, knobs: Readonly<Record<string, unknown>>, order: Partial<Order> = {}): Promise<Served> {
  const recipes = new Map([...registry, ['cascade', cascadeWith(new Map(Object.entries(files))) as Recipe]]);
  return serveOne(members, { model: 'tandem/cascade', knobs, recipes, ...order }, clock);
}

test('rows 28, 29: a trained cascade of three members with a threshold for each tier', async () => {
  const plan = planOf(policyOfTiers([{ arm: 0, threshold: 0.7 }, { arm: 1, threshold: 0.5 }, { arm: 2, threshold: 0 }]), one('a', 'b', 'c'));
  const team = (a: number, b: number): FakeMember[] => [member('a', { text: 'from a', probability: a }), member('b', { text: 'from b', probability: b }), member('c', { text: 'from c', probability: 0.1 })];
  for (const [a, b, text, asked] of [[0.8, 0.1, 'from a', ['a']], [0.6, 0.6, 'from b', ['a', 'b']], [0.6, 0.4, 'from c', ['a', 'b', 'c']]] as const) {
    const run = await served(team(a, b), { mine: plan }, { plan: 'mine' });
    assert.deepEqual([run.text, calls(run)], [text, asked]);
  }
  const wrong = await served(team(1, 1), { mine: plan }, { plan: 'other' });
  assert.match(wrong.error?.message ?? '', /There is no such plan/);
});

test('row 30: a plan stops with an earlier answer, escalates, or jumps, by scores and agreement', async () => {
  // a is asked; below 0.3 the plan jumps to c; else b is asked, and where both agree a's answer is given, else c's.
  const policy: Policy = { edges: [], first: [{ do: 'ask', arm: 0, edges: [0.3], next: [{ do: 'answer', arm: 2 }, { do: 'ask', arm: 1, edges: [], next: [{ do: 'answer', arm: 2 }, { do: 'stop', arm: 0 }] }] }] };
  const plan = planOf(policy, one('a', 'b', 'c'));
  const run = async (a: string, probability: number, b: string): Promise<[string, string[]]> => {
    const outcome = await served([member('a', { text: a, probability }), member('b', { text: b, probability: 0.5 }), member('c', { text: 'Answer: 9' })], { mine: plan }, { plan: 'mine' });
    return [outcome.text, calls(outcome)];
  };
  assert.deepEqual(await run('it is 7', 0.2, '7'), ['Answer: 9', ['a', 'c']], 'jumped over b');
  assert.deepEqual(await run('it is 7', 0.9, 'so 7'), ['it is 7', ['a', 'b']], 'stopped with the first answer');
  assert.deepEqual(await run('it is 7', 0.9, 'so 8'), ['Answer: 9', ['a', 'b', 'c']], 'escalated');
});

test('row 152: member and number of samples are chosen together by how hard the request looks', async () => {
  const arms = [{ member: 'small', samples: 1 }, { member: 'small', samples: 5 }, { member: 'large', samples: 1 }];
  const expected = [[[0.95, 1], [0.99, 5], [0.99, 20]], [[0.6, 1], [0.9, 5], [0.95, 20]], [[0.2, 1], [0.3, 5], [0.9, 20]]].map((bin) => bin.map(([quality = 0, cost = 0]) => ({ quality, cost })));
  const plan = planOf(sampledPolicy([0.2, 0.6], expected, 0.85), arms);
  const votes = ['8', '7', '7', '8', '7'];
  const run = async (asked: string): Promise<[string, string[]]> => {
    const outcome = await served([member('small', (_, n) => ({ text: `Answer: ${votes[n % 5]}` })), member('large', { text: 'Answer: 7, surely' })], { mine: plan }, { plan: 'mine' }, { ask: asked });
    return [outcome.text, calls(outcome)];
  };
  assert.deepEqual(await run('What is the capital of France?'), ['Answer: 8', ['small']]);
  assert.deepEqual(await run('Compute 3 + 4, exactly.'), ['Answer: 7', ['small', 'small', 'small', 'small', 'small']]);
  assert.deepEqual(await run('Prove that the sum of two even numbers is even and compare two proofs step by step.'), ['Answer: 7, surely', ['large']]);
});

test('a plan under faults: an arm that fails or is forbidden counts as unsure; no answer in a wrong form; the error when nothing is left', async () => {
  const plan = planOf(policyOfTiers([{ arm: 0, threshold: 0.7 }, { arm: 1, threshold: 0.5 }, { arm: 2, threshold: 0 }]), one('a', 'b', 'c'));
  const broken = { text: '', fail: { code: 'upstream_failed' as const } };
  const skips = await served([member('a', broken), member('b', { text: 'from b', probability: 0.9 }), member('c', { text: 'from c' })], { mine: plan }, { plan: 'mine' });
  assert.equal(skips.text, 'from b');
  const end = await served([member('a', { text: 'from a', probability: 0.6 }), member('b', { text: 'from b', probability: 0.3 }), member('c', broken)], { mine: plan }, { plan: 'mine' });
  assert.equal(end.text, 'from a', 'the best rejected answer stands in');
  assert.ok(end.decisions.includes('cascade.fallback=a'));
  const refused = await served([member('a', { text: 'from a', probability: 0.6 }), member('b', { text: 'from b', probability: 0.3 }), member('c', broken)], { mine: plan }, { plan: 'mine', onLastFailure: 'error' });
  assert.equal(refused.error?.code, 'upstream_failed');
  const forbidden = await served([member('a', { text: 'from a', probability: 0.1 }), member('b', { text: 'from b', probability: 0.1 }), member('c', { text: 'from c' }, { place: 'cloud', price: priced(1, 1) })], { mine: plan }, { plan: 'mine' }, { policy: { limits: { places: ['device'] } } });
  assert.equal(forbidden.text, 'from a');
  const form = await served([member('a', { text: 'no json', probability: 0.99 }), member('b', { text: '{"x": 1}', probability: 0.9 }), member('c', { text: '{}' })], { mine: plan }, { plan: 'mine' }, { sampling: { format: { type: 'json' } } });
  assert.equal(form.text, '{"x": 1}');
  const nobody = await served([member('x', { text: 'x' })], { mine: plan }, { plan: 'mine' });
  assert.equal(nobody.error?.code, 'recipe_unavailable');
});

test('row 44: the answer is verified by its own model, whose errors are modelled; one threshold, two, or the optimal policy', async () => {
  const base = { rightYes: 0.9, wrongYes: 0.2, right: 0.6 };
  const run = async (verdicts: readonly string[], verifier: object, more: object = {}): Promise<{ text: string; asked: number; score: number }> => {
    const small = member('small', (_, n) => ({ text: n === 0 ? 'Paris' : (verdicts[n - 1] ?? 'yes') }));
    const outcome = await served([small, member('large', { text: 'from the large one' })], {}, { test: 'verifier', samples: 4, verifier: { ...base, ...verifier }, ...more });
    const decision = outcome.trace.spans.flatMap(({ decisions }) => decisions).find(({ name }) => name === 'cascade.accept');
    return { text: outcome.text, asked: small.asked.length - 1, score: Number(decision?.inputs['score']) };
  };
  const single = await run(['yes', 'yes', 'no', 'yes'], { rule: 'threshold' });
  assert.deepEqual([single.text, single.asked], ['Paris', 4]);
  assert.ok(Math.abs(single.score - (0.6 * 0.9 ** 3 * 0.1) / (0.6 * 0.9 ** 3 * 0.1 + 0.4 * 0.2 ** 3 * 0.8)) < 1e-9);
  assert.equal((await run(['no', 'yes', 'no', 'no'], { rule: 'threshold' })).text, 'from the large one');
  const sure = await run(['yes', 'yes'], { rule: 'double', sureFrom: 0.9, doubtTo: 0.3 });
  assert.deepEqual([sure.text, sure.asked], ['Paris', 2], 'it stops as soon as it is sure');
  const doubt = await run(['no'], { rule: 'double', sureFrom: 0.9, doubtTo: 0.3 });
  assert.deepEqual([doubt.text, doubt.asked], ['from the large one', 1]);
  const optimal = await run(['yes', 'yes'], { rule: 'pomdp', escalated: 0.95, escalateCost: 0.1, verifyCost: 0.01 });
  assert.equal(optimal.text, 'Paris');
  assert.ok(optimal.asked >= 1 && optimal.asked <= 3);
  const dear = await run([], { rule: 'pomdp', escalated: 0.95, escalateCost: 0.6, verifyCost: 0.2 });
  assert.deepEqual([dear.text, dear.asked], ['Paris', 0], 'a verdict that costs more than it can gain is not asked for');
  const missing = await served([member('small', { text: 'a' }), member('large', { text: 'b' })], {}, { test: 'verifier' });
  assert.equal(missing.error?.code, 'knob_invalid');
});

/** Sums whose wrong answers write wrong equations. */
function sums(n: number, seed: number): Row[] {
  const random = seededRandom(seed);
  return Array.from({ length: n }, (_, i) => {
    const [a, b, right] = [10 + Math.floor(80 * random.next()), 10 + Math.floor(80 * random.next()), random.next() < 0.6];
    return { id: `s${i}`, prompt: `Ann has ${a} pens and buys ${b}. How many has she?`, correct: { small: Number(right), large: 1 }, answers: { small: right ? `${a} + ${b} = ${a + b}\nAnswer: ${a + b}` : `${a} + ${b} = ${a + b + 7}, however not sure\nAnswer: ${a + b + 7}` } };
  });
}

test('row 28: a light scorer of request and answer, trained on answers whose correctness is known, decides', async () => {
  const file = decodeCascadeFile(JSON.stringify(scorerFor(sums(400, 1), 'small', 1, 0)));
  assert.ok(file.type === 'scorer');
  const fresh = sums(200, 2);
  const split = fresh.map(({ prompt, answers, correct }) => ({ p: file.scorer.probability({ prompt, answer: answers?.['small'] ?? '', helpers: [] }), right: correct['small'] === 1 }));
  assert.ok(split.filter(({ p, right }) => p >= 0.5 === right).length > 0.95 * split.length);
  for (const { prompt, answers, correct } of fresh.slice(0, 6)) {
    const outcome = await served([member('small', { text: answers?.['small'] ?? '' }), member('large', { text: 'from the large one' })], { judge: file }, { test: 'learned', scorer: 'judge' }, { ask: prompt });
    assert.equal(outcome.text === 'from the large one', correct['small'] === 0);
  }
  assert.equal((await served([member('small', { text: 'a' }), member('large', { text: 'b' })], { judge: file }, { test: 'learned' })).error?.code, 'knob_invalid');
  assert.match((await served([member('small', { text: 'a' }), member('large', { text: 'b' })], { judge: file }, { plan: 'judge' })).error?.message ?? '', /no such plan/);
});

test('an unusual request (row 70) goes to the last tier at once, and a stream that has shifted is told', async () => {
  const detector = Detector.learn(sums(300, 1).map(({ prompt }) => prompt), 0);
  const recipes = new Map([...registry, ['cascade', cascadeWith(new Map([['home', { type: 'detector', detector }]])) as Recipe]]);
  const team = [member('small', { text: 'small', probability: 0.99 }), member('large', { text: 'large' })];
  const run = (asked: string): Promise<Served> => serveOne(team, { model: 'tandem/cascade', knobs: { detector: 'home' }, recipes, ask: asked }, clock);
  assert.deepEqual(calls(await run('Ann has 31 pens and buys 12. How many has she?')), ['small']);
  const strange = await run('SELECT name FROM users WHERE id = 5; -- and explain the query plan of this statement');
  assert.deepEqual([calls(strange), strange.decisions], [['large'], ['cascade.unusual=large']]);
  let told = false;
  for (let i = 0; i < 12 && !told; i++) told = (await run(`ORDER BY column${i} DESC LIMIT 7; DROP TABLE x`)).trace.spans.some(({ events }) => events.some(({ name }) => name === 'cascade.shifted'));
  assert.ok(told);
});

test('a promise of a trained cascade: set, date and expiry stand in the trace; once it has expired the last member answers', async () => {
  const plan = (expiresAt: string): CascadeFile => {
    const file = planOf(policyOfTiers([{ arm: 0, threshold: 0.7 }, { arm: 1, threshold: 0 }]), one('small', 'large'));
    return file.type !== 'plan' ? file : { type: 'plan', plan: { ...file.plan, card: { ...file.plan.card, promise: { lossMax: 0.01, confidence: 0.95, lossSeen: 0.004, smallShare: 0.5, rows: 500, madeAt: '1970-01-01T00:00:00Z', expiresAt } } } };
  };
  const team = (): FakeMember[] => [member('small', { text: 'small', probability: 0.9 }), member('large', { text: 'large' })];
  const stands = await served(team(), { mine: plan('2999-01-01T00:00:00Z') }, { plan: 'mine' });
  assert.equal(stands.text, 'small');
  const inputs = stands.trace.spans.flatMap(({ decisions }) => decisions)[0]?.inputs ?? {};
  assert.deepEqual([inputs['promiseSet'], inputs['promiseRows'], inputs['lossMax'], inputs['promiseExpires']], ['made', 500, 0.01, '2999-01-01T00:00:00Z']);
  const expired = await served(team(), { mine: plan('1970-01-01T00:00:00Z') }, { plan: 'mine' });
  assert.deepEqual([expired.text, calls(expired), expired.decisions], ['large', ['large'], ['cascade.promise=large']]);
});

test('files of the configuration: a plan runs by name; what is not there or damaged is refused by name', async (t) => {
  const cwd = folder(t);
  const plan = planOf(policyOfTiers([{ arm: 0, threshold: 0.7 }, { arm: 1, threshold: 0 }]), one('small', 'large'));
  if (plan.type === 'plan') writeFileSync(join(cwd, 'plan.json'), JSON.stringify(plan.plan));
  writeFileSync(join(cwd, 'bad.json'), '{"kind": "tandem-scorer"}');
  const team = new Team([member('small', { text: 'small', probability: 0.5 }), member('large', { text: 'large' })]);
  const runtime = await createTandem({ store: { path: ':memory:' }, cascades: { mine: 'plan.json' }, recipes: { cascade: { plan: 'mine' } } }, { team, baseDir: cwd, clock });
  t.after(() => runtime.close());
  assert.equal((await ask(runtime, 'hello', { model: 'tandem/cascade' })).text, 'large');
  for (const [file, pattern] of [['bad.json', /cascades\.mine: .*damaged/], ['none.json', /could not be read/]] as const) {
    await assert.rejects(createTandem({ store: { path: ':memory:' }, cascades: { mine: file } }, { team, baseDir: cwd, clock }), (thrown) => TandemError.is(thrown) && thrown.code === 'router_file_invalid' && pattern.test(thrown.message));
  }
});
