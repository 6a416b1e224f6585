/** Learned routers in the recipe `route`: every way of learning through a file, choice among many members, promises on other data. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { calibrationError } from '../../src/assign/calibration.ts';
import { fitIsotonic, isotonic } from '../../src/assign/isotonic.ts';
import { learners } from '../../src/assign/routers/index.ts';
import type { Lesson } from '../../src/assign/routers/learner.ts';
import { fitMultiMetric } from '../../src/assign/routers/multi-metric.ts';
import { sessionText, sessionTextOf } from '../../src/assign/session-text.ts';
import { decode, encode, promiseOn } from '../../src/assign/trained.ts';
import { trainRouter, type TrainingWish } from '../../src/assign/training.ts';
import { byUtility, cheapestAdequate, gated, secondsNow, type Candidate } from '../../src/assign/utility.ts';
import { registry } from '../../src/recipes/index.ts';
import type { Recipe } from '../../src/recipes/recipe.ts';
import { routeWith } from '../../src/recipes/route.ts';
import { openRouters } from '../../src/recipes/trained-routers.ts';
import { seededRandom } from '../../src/system/random.ts';
import { call, folder } from '../cli/tandem.ts';
import { fake, priced, type FakeMember, type FakeSettings } from '../recipes/fake-model.ts';
import { calls, serveOne, virtualClock, type Order, type Served } from '../recipes/harness.ts';

const clock = virtualClock();
const experts = ['poet', 'reckoner', 'chemist'];
const topics = [
  ['tell me a story about', 'friends who travel to the sea', 'kind neighbours and their garden', 'an old lighthouse in winter'],
  ['compute the sum of', '12 + 30 * 7 and 45 / 9', 'the integral of x^2 from 0 to 3', '17 percent of 2,340 dollars'],
  ['which molecule has', 'two oxygen atoms and a carbon chain', 'a benzene ring with nitrogen', 'the lowest boiling point of the acids'],
] as const;

/** Member i is right on topic i, and a tenth of the time elsewhere. */
function lesson(n: number, seed: number): Lesson & { readonly topic: readonly number[] } {
  const random = seededRandom(seed);
  const topic = Array.from({ length: n }, () => Math.floor(random.next() * 3));
  const prompts = topic.map((t) => `${topics[t]?.[0]} ${topics[t]?.[1 + Math.floor(random.next() * 3)]} number ${Math.floor(random.next() * 50)}`);
  const quality = Float64Array.from({ length: n * 3 }, (_, i) => (i % 3 === topic[Math.floor(i / 3)] || random.next() < 0.1 ? 1 : 0));
  return { prompts, members: experts, quality, seed, topic };
}

function trained(kind: string, taught: Lesson, more: Partial<TrainingWish> = {}): Uint8Array {
  const n = taught.prompts.length;
  return encode(trainRouter({ lesson: taught, learner: learners.get(kind) ?? assert.fail(kind), weak: taught.members[0] ?? '', strong: taught.members[1] ?? '', folds: Uint8Array.from({ length: n }, (_, i) => i % 4), dataName: 'made', now: clock.wallMs(), metric: () => ({ value: 0.9, low: 0.8, high: 1 }), ...more }));
}

async function served(t: TestContext, file: Uint8Array, members: readonly FakeMember[], order: Partial<Order>): Promise<Served> {
  const cwd = folder(t);
  writeFileSync(join(cwd, 'r.bin'), file);
  const recipes = new Map<string, Recipe>([...registry, ['route', routeWith(await openRouters({ own: 'r.bin' }, cwd)) as Recipe]]);
  return serveOne(members, { model: 'tandem/route', recipes, ...order, knobs: { router: 'own', ...order.knobs } }, clock);
}

const team = (more: Readonly<Record<string, Partial<FakeSettings>>> = {}): FakeMember[] => experts.map((id) => fake({ id, answer: { text: `by the ${id}` }, ...more[id] }, clock));

const ask = ['tell me a story about an old lighthouse in winter number 3', 'compute the sum of 12 + 30 * 7 and 45 / 9 number 4', 'which molecule has a benzene ring with nitrogen number 5'];

test('rows 32, 33, 34, 35, 39: routers trained by preference, gap, reward, contrast and prediction choose among members in the recipe', async (t) => {
  const taught = lesson(300, 1);
  for (const kind of ['factorisation', 'quality-gap', 'reward-distilled', 'contrastive', 'linear']) {
    const file = trained(kind, taught);
    for (const [topic, question] of ask.entries()) {
      const run = await served(t, file, team(), { ask: question, knobs: { choose: 'utility', worth: { usd: 0, second: 0, joule: 0 } } });
      assert.equal(run.text, `by the ${experts[topic]}`, `${kind}, topic ${topic}: ${JSON.stringify(run.trace.spans.flatMap(({ decisions }) => decisions)[0]?.inputs)}`);
    }
  }
});

test('row 39: the cheapest member whose predicted quality is near the best one is taken', async (t) => {
  const random = seededRandom(6);
  const n = 400;
  const hard = Array.from({ length: n }, (_, i) => i % 2 === 1);
  const taught: Lesson = { prompts: hard.map((each, i) => (each ? `compute the integral of x^${i % 7} and prove it` : `say hello to friend ${i % 9} in the garden`)), members: experts, quality: Float64Array.from({ length: 3 * n }, (_, k) => ([0.9 - 0.8 * Number(hard[Math.floor(k / 3)]), 0.92 - 0.3 * Number(hard[Math.floor(k / 3)]), 0.95][k % 3] as number) > random.next() ? 1 : 0), seed: 1 };
  const file = trained('linear', taught);
  const members = team({ poet: { price: priced(1, 1) }, reckoner: { price: priced(5, 5) }, chemist: { price: priced(50, 50) } });
  const run = async (question: string, gap: number): Promise<string> => (await served(t, file, members, { ask: question, knobs: { choose: 'adequate', gap } })).text;
  assert.deepEqual([await run('say hello to friend 3 in the garden', 0.1), await run('compute the integral of x^3 and prove it', 0.1), await run('compute the integral of x^3 and prove it', 0.5)], ['by the poet', 'by the chemist', 'by the reckoner']);
});

test('row 36: a new member joins from thirty probes, and one router serves any preference between cost and quality', async (t) => {
  const rowsOf = (n: number, seed: number): string => {
    const { prompts, quality, topic } = lesson(n, seed);
    return prompts.map((prompt, i) => JSON.stringify({ id: `${seed}-${i}`, prompt, correct: { poet: quality[3 * i], reckoner: quality[3 * i + 1], chemist: quality[3 * i + 2], newcomer: topic[i] === 1 ? 1 : 0 }, cost: { poet: 0.001, reckoner: 0.01, chemist: 0.001, newcomer: 0.0001 } })).join('\n');
  };
  const cwd = folder(t, { 'rows.jsonl': rowsOf(300, 1), 'probes.jsonl': rowsOf(30, 9) });
  const base = await call(['train', 'router', '--data', 'rows.jsonl', '--weak', 'poet', '--strong', 'reckoner', '--members', 'poet,reckoner,chemist', '--router', 'linear', '--out', 'r.bin'], { cwd });
  assert.equal(base.code, 0, base.stderr);
  const grown = await call(['train', 'router', '--data', 'probes.jsonl', '--onto', 'r.bin', '--member', 'newcomer', '--out', 'g.bin'], { cwd });
  assert.match(grown.stdout, /knows poet, reckoner, chemist, newcomer now; "newcomer" from 30 probes/);
  const members = [...team(), fake({ id: 'newcomer', answer: { text: 'by the newcomer' } }, clock)];
  const run = async (question: string, usd: number): Promise<string> => (await served(t, readFileSync(join(cwd, 'g.bin')), members, { ask: question, knobs: { choose: 'utility', worth: { usd, second: 0, joule: 0 } } })).text;
  assert.equal(await run(ask[1] ?? '', 20), 'by the newcomer', 'as good at sums as the reckoner, and cheaper');
  assert.equal(await run(ask[0] ?? '', 20), 'by the poet', 'the newcomer is not good at stories');
  assert.equal(await run(ask[0] ?? '', 5000), 'by the newcomer', 'who prefers cost above all gets the cheapest');
  const again = await call(['train', 'router', '--data', 'probes.jsonl', '--onto', 'g.bin', '--member', 'newcomer', '--out', 'h.bin'], { cwd });
  assert.deepEqual([again.code, /knows "newcomer" already/.test(again.stderr)], [1, true]);
});

test('row 10: a gate asks few experts, and the answers are weighed', async (t) => {
  const file = trained('sparse-gate', lesson(300, 1));
  const members = team({ reckoner: { answer: { text: 'Answer: 7' } }, poet: { answer: { text: 'Answer: 9' } }, chemist: { answer: { text: 'Answer: 9' } } });
  const two = await served(t, file, members, { ask: ask[1] ?? '', knobs: { choose: 'gate', kept: 2 } });
  assert.equal(two.text, 'Answer: 7', 'the expert outweighs the other');
  assert.equal(calls(two).length, 2, 'a sparse subset is asked');
  const gate = two.trace.spans.flatMap(({ decisions }) => decisions).find(({ name }) => name === 'route.gate');
  assert.ok(Math.abs(Object.entries(gate?.inputs ?? {}).filter(([name]) => name.startsWith('gate.')).reduce((sum, [, weight]) => sum + Number(weight), 0) - 1) < 1e-9);
  const failing = await served(t, file, team({ reckoner: { answer: { fail: { code: 'engine_failed' } } } }), { ask: ask[1] ?? '', knobs: { choose: 'gate', kept: 2 } });
  assert.equal(failing.error, undefined, 'the other expert answers');
  const weights = gated([0.9, 0.5, 0.4].map((utility, i) => ({ member: String(i), place: 'device' as const, quality: utility, costUsd: 0, latencyMs: 0, energyJ: 0, utility })), 2);
  assert.ok(weights.length === 2 && (weights[0]?.weight ?? 0) > 0.97);
});

test('row 278: domain models are members, chosen by what their cards say of them, without any label', async (t) => {
  const cards = ['Stories about friends, neighbours, sea and garden; a lighthouse in winter', 'Sums, integrals and percent of dollars', 'Molecules: atoms, carbon chain, benzene ring, boiling point of acids'];
  const taught = lesson(90, 1);
  const file = trained('model-card', { ...taught, quality: new Float64Array(270).fill(0.5), cards }, { calibration: 'platt' });
  const { predictor } = decode(file);
  for (const [topic, question] of ask.entries()) {
    const found = predictor.estimate(question);
    assert.equal(found.indexOf(Math.max(...found)), topic);
  }
  const labelled = trained('model-card', { ...taught, cards });
  for (const [topic, question] of ask.entries()) assert.equal((await served(t, labelled, team(), { ask: question, knobs: { choose: 'utility', worth: { usd: 0, second: 0, joule: 0 } } })).text, `by the ${experts[topic]}`);
});

test('row 40: without labels, from the agreement of the members alone, the one that is bad at a topic is hardly ever chosen', async (t) => {
  const random = seededRandom(3);
  const n = 400;
  const made = lesson(n, 4);
  // Two of three are right on each topic; those who are right say the same. Member i is the bad one on topic i.
  const right = made.topic.map((topic) => experts.map((_, m) => Number(m !== topic ? random.next() < 0.9 : random.next() < 0.15)));
  const answers = right.map((row) => row.map((each, m) => `Answer: ${each === 1 ? 7 : 20 + m}`));
  const file = trained('label-free', { ...made, quality: new Float64Array(3 * n), answers });
  const { predictor } = decode(file);
  const fresh = lesson(200, 8);
  const wrong = fresh.prompts.filter((prompt, i) => {
    const found = predictor.estimate(prompt);
    return found.indexOf(Math.max(...found)) === fresh.topic[i];
  }).length;
  assert.ok(wrong / 200 < 0.1, `the member that is bad at the topic is chosen ${wrong} times of 200; a random one would be 67 times`);
  for (const [topic, question] of ask.entries()) assert.notEqual((await served(t, file, team(), { ask: question, knobs: { choose: 'utility', worth: { usd: 0, second: 0, joule: 0 } } })).text, `by the ${experts[topic]}`);
});

test('row 38: several metrics are predicted for each side, and their comparison picks it', async (t) => {
  const n = 300;
  const random = seededRandom(2);
  const drawn = Array.from({ length: n }, (_, i) => i % 2);
  const prompts = drawn.map((each, i) => (each === 1 ? `a photo of a crowded street with neon signs, scene ${i % 11}` : `a plain icon of a leaf, number ${i % 11}`));
  // The edge side is sharp always, but true to the prompt only for icons; the cloud side is true to it always.
  const metric = (edge: (i: number) => number, cloud: number): Float64Array => Float64Array.from({ length: 2 * n }, (_, k) => Math.min(1, Math.max(0, (k % 2 === 0 ? edge(k >> 1) : cloud) + 0.1 * (random.next() - 0.5))));
  const metrics = { sharpness: metric(() => 0.9, 0.7), truth: metric((i) => (drawn[i] === 1 ? 0.2 : 0.9), 0.9) };
  const taught: Lesson = { prompts, members: ['small', 'large'], quality: metrics.sharpness.map((each, k) => (each + (metrics.truth[k] ?? 0)) / 2), metrics, seed: 1 };
  const sides = ['small', 'large'].map((id) => fake({ id, answer: { text: id } }, clock));
  const file = trained('multi-metric', taught);
  const choice = async (question: string): Promise<string> => (await served(t, file, sides, { ask: question, knobs: { choose: 'utility', worth: { usd: 0, second: 0, joule: 0 } } })).text;
  assert.deepEqual([await choice('a plain icon of a leaf, number 4'), await choice('a photo of a crowded street with neon signs, scene 3')], ['small', 'large']);
  const sharp = fitMultiMetric(taught, { sharpness: 1, truth: 0 }).estimate('a photo of a crowded street with neon signs, scene 3');
  assert.ok((sharp[0] ?? 0) > (sharp[1] ?? 1), 'with other weights the other side');
  assert.throws(() => fitMultiMetric({ ...taught, metrics: {} }), /no metric/);
});

test('row 67: the choice is made turn by turn, by a router that reads the session', async (t) => {
  const random = seededRandom(5);
  const n = 500;
  // The small member is good at first turns; when the user asks the same again, it has failed and will fail again.
  const again = Array.from({ length: n }, () => random.next() < 0.5);
  const texts = again.map((each, i) => sessionTextOf(`how do I reset device ${i % 40}`, each ? [{ role: 'user', content: `how do I reset device ${i % 40} please` }, { role: 'assistant', content: 'Sorry, I am not sure.' }] : []));
  const taught: Lesson = { prompts: texts, members: ['small', 'large'], quality: Float64Array.from({ length: 2 * n }, (_, k) => (k % 2 === 1 || !again[k >> 1] ? 1 : 0)), seed: 1 };
  const file = trained('linear', taught, { reads: 'session' });
  const sides = ['small', 'large'].map((id) => fake({ id, answer: { text: id } }, clock));
  const first = { messages: [{ role: 'user' as const, content: 'how do I reset device 7' }] };
  const second = { messages: [...first.messages, { role: 'assistant' as const, content: 'Sorry, I am not sure.' }, { role: 'user' as const, content: 'how do I reset device 7 now' }] };
  assert.deepEqual([(await served(t, file, sides, { prompt: first })).text, (await served(t, file, sides, { prompt: second })).text], ['small', 'large']);
  assert.equal(sessionText(first), 'how do I reset device 7');
  assert.match(sessionText(second), /^sessionturn2 sessionlong\d+\nsessionagain\nsessionrefused\nhow do I reset device 7 now\n/);
});

test('row 53: utility under the state of the moment: link, queue and battery move the choice', async (t) => {
  const candidates: Candidate[] = [
    { member: 'small', place: 'device', quality: 0.7, costUsd: 0, latencyMs: 400, energyJ: 5 },
    { member: 'large', place: 'cloud', quality: 0.9, costUsd: 0.002, latencyMs: 800, energyJ: 40 },
  ];
  const worth = { usd: 10, second: 0.05, joule: 0.002 };
  const first = (state: Parameters<typeof byUtility>[2], bytes = 4000): string => byUtility(candidates, worth, state, bytes)[0]?.member ?? '';
  assert.deepEqual([first({}), first({ linkMbps: 0 }), first({ linkMbps: 0.005 }), first({ linkMbps: 50 }), first({ linkMbps: 50, linkRttMs: 9000 }), first({ queue: { large: 6 } }), first({ linkMbps: 0.005, batteryShare: 0.02 })], ['large', 'small', 'small', 'large', 'small', 'small', 'large']);
  assert.equal(secondsNow(candidates[1] as Candidate, { linkMbps: 1, linkRttMs: 100, queue: { large: 1 } }, 125_000), 1.6 + 0.1 + 1);
  assert.deepEqual(cheapestAdequate(byUtility(candidates, worth, {}, 0), 0.3).map(({ member }) => member), ['small', 'large']);
  const file = trained('linear', { ...lesson(300, 1), members: ['small', 'reckoner', 'chemist'] });
  const members = [fake({ id: 'small', answer: { text: 'near' } }, clock), fake({ id: 'reckoner', place: 'cloud', answer: { text: 'far' } }, clock)];
  const run = (state: object): Promise<Served> => served(t, file, members, { ask: ask[1] ?? '', knobs: { choose: 'utility', state } });
  assert.deepEqual([(await run({ linkMbps: 100 })).text, (await run({ linkMbps: 0 })).text], ['far', 'near']);
  const decision = (await run({ linkMbps: 100, batteryShare: 0.5 })).trace.spans.flatMap(({ decisions }) => decisions)[0];
  assert.deepEqual([decision?.inputs['linkMbps'], decision?.inputs['batteryShare']], [100, 0.5]);
});

/** A pair: the strong member is needed for sums. `flip`: the small one fails at everything. */
function pairRows(n: number, seed: number, flip = false): { readonly id: string; readonly prompt: string; readonly correct: Record<string, number> }[] {
  const random = seededRandom(seed);
  return Array.from({ length: n }, (_, i) => {
    const sum = random.next() < 0.5;
    return { id: `${seed}-${i}`, prompt: sum ? `compute ${Math.floor(90 * random.next())} * ${Math.floor(90 * random.next())}` : `say hello to friend ${Math.floor(50 * random.next())}`, correct: { small: Number(!sum && (!flip || random.next() < 0.5)), large: 1 } };
  });
}

test('row 42: a promise holds on another set only after a test on labelled rows of it; set, date, expiry and test stand in the trace', async (t) => {
  const lines = (rows: readonly object[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
  const cwd = folder(t, { 'home.jsonl': lines(pairRows(800, 1)), 'alike.jsonl': lines(pairRows(400, 2)), 'other.jsonl': lines(pairRows(400, 3, true)) });
  const train = async (other: string): Promise<string> => {
    const { code, stdout, stderr } = await call(['train', 'router', '--data', 'home.jsonl', '--weak', 'small', '--strong', 'large', '--router', 'linear', '--out', `${other}.bin`, '--transfer', `${other}.jsonl`], { cwd });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  assert.match(await train('alike'), /On alike\.jsonl \(400 rows\) the promise of 5\.0 points may be used/);
  assert.match(await train('other'), /may not be used: loss there \d\d\./);
  const sides = ['small', 'large'].map((id) => fake({ id, answer: { text: id } }, clock));
  const recipes = (name: string): Promise<ReadonlyMap<string, Recipe>> => openRouters({ own: `${name}.bin` }, cwd).then((routers) => new Map<string, Recipe>([...registry, ['route', routeWith(routers) as Recipe]]));
  const run = async (name: string, set?: string): Promise<Served> => serveOne(sides, { model: 'tandem/route', recipes: await recipes(name), ask: 'say hello to friend 12', knobs: { router: 'own', lossMax: 0.05, ...(set === undefined ? {} : { set }) } }, clock);
  const inputs = ({ trace }: Served): Record<string, unknown> => ({ ...trace.spans.flatMap(({ decisions }) => decisions)[0]?.inputs });
  const home = await run('alike');
  assert.equal(home.text, 'small');
  assert.equal(inputs(home)['promiseSet'], 'home.jsonl');
  assert.ok(String(inputs(home)['promiseExpires']) > String(inputs(home)['promiseMade']));
  const moved = await run('alike', 'alike.jsonl');
  assert.deepEqual([moved.text, inputs(moved)['transferSet'], inputs(moved)['transferRows']], ['small', 'alike.jsonl', 400]);
  assert.equal((await run('other', 'other.jsonl')).text, 'large', 'the test forbids it');
  assert.equal((await run('alike', 'nobody.jsonl')).text, 'large', 'no test, no promise');
  const { card } = decode(readFileSync(join(cwd, 'alike.bin')));
  assert.equal(promiseOn(card, 0.05, Date.parse('2100-01-01'), 'alike.jsonl'), undefined, 'expired');
});

test('isotonic calibration: never falls, fits what is known, better than one that assumes a form where the form is wrong', () => {
  const random = seededRandom(7);
  const chance = (score: number): number => (score < 0.3 ? 0.1 : score < 0.8 ? 0.5 : 0.95);
  const draw = (n: number): { score: number; correct: boolean }[] => Array.from({ length: n }, () => {
    const score = random.next();
    return { score, correct: random.next() < chance(score) };
  });
  const steps = fitIsotonic(draw(4000));
  for (let i = 1; i < steps.value.length; i++) assert.ok((steps.value[i] ?? 0) >= (steps.value[i - 1] ?? 0) && (steps.from[i] ?? 0) > (steps.from[i - 1] ?? 0));
  for (const score of [0.1, 0.2, 0.5, 0.7, 0.9]) assert.ok(Math.abs(isotonic(score, steps) - chance(score)) < 0.08, `${score}`);
  const fresh = draw(4000);
  assert.ok(calibrationError(fresh.map(({ score, correct }) => ({ score: isotonic(score, steps), correct }))) < 0.03);
  assert.ok(isotonic(-9, steps) > 0 && isotonic(9, steps) < 1);
  const taught = lesson(400, 1);
  const [platt, stepped] = [decode(trained('linear', taught)), decode(trained('linear', taught, { calibration: 'isotonic' }))];
  assert.ok(stepped.calibration.steps !== undefined && platt.calibration.steps === undefined);
  assert.ok(stepped.card.calibrationError < 0.15);
});

test('mistakes of the command and of the knobs are named', async (t) => {
  const cwd = folder(t, { 'rows.jsonl': pairRows(120, 1).map((row) => JSON.stringify(row)).join('\n'), 'cards.json': 'no json' });
  const base = ['train', 'router', '--data', 'rows.jsonl', '--out', 'r.bin'];
  const outcomes = await Promise.all([['--members', 'nobody'], ['--reads', 'minds'], ['--calibration', 'none'], ['--cards', 'cards.json'], ['--transfer', 'none.jsonl'], ['--router', 'multi-metric']].map((more) => call([...base, ...more], { cwd })));
  assert.deepEqual(outcomes.map(({ code }) => code), [2, 2, 2, 1, 1, 1]);
  assert.match(outcomes[5]?.stderr ?? '', /rows with "metrics"/);
  const pairOnly = await serveOne(team(), { model: 'tandem/route', ask: 'x', knobs: { choose: 'utility' } }, clock);
  assert.equal(pairOnly.error?.code, 'recipe_unavailable');
});
