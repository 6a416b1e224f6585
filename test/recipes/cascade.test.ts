/** Cascade: every acceptance test, what is passed on, faults. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { fitCalibration, calibrated } from '../../src/assign/calibration.ts';
import { fake, priced, type FakeSettings, type Script } from './fake-model.ts';
import { calls, serveOne, virtualClock, type Order, type Served } from './harness.ts';

type Answer = FakeSettings['answer'];

async function cascade(small: Answer, order: Partial<Order> = {}, large: Answer = { text: 'from the large one' }): Promise<Served> {
  const clock = virtualClock();
  return serveOne([fake({ id: 'small', answer: small }, clock), fake({ id: 'large', place: 'cloud', price: priced(1, 2), answer: large }, clock)], { model: 'tandem/cascade', ...order }, clock);
}

const accepted = ({ decisions }: Served): boolean => decisions.includes('cascade.accept=small');

test('row 41: the confidence of the small answer decides whether the large model is activated', async () => {
  const sure = await cascade({ text: 'Paris it is', probability: 0.95 });
  assert.deepEqual([sure.text, calls(sure), accepted(sure)], ['Paris it is', ['small'], true]);
  assert.deepEqual(Object.keys(sure.trace.shares), ['small']);
  const unsure = await cascade({ text: 'Paris it is', probability: [0.9, 0.4, 0.3] });
  assert.deepEqual([unsure.text, calls(unsure), accepted(unsure)], ['from the large one', ['small', 'large'], false]);
  assert.deepEqual(Object.keys(unsure.trace.shares), ['large'], 'the rejected answer has no share');
  const decision = unsure.trace.spans.flatMap((span) => span.decisions)[0];
  assert.ok(Math.abs(Number(decision?.inputs['score']) - (0.9 * 0.4 * 0.3) ** (1 / 3)) < 1e-9);
  assert.equal(decision?.inputs['threshold'], 0.8);
});

test('row 30: estimates before and after generation in one rule: stop, escalate, or jump over a tier', async () => {
  const easy = 'What is the capital of France?';
  const hard = 'Prove that the sum of two even numbers is even and compare two proofs step by step.';
  const small: Answer = { text: 'a b', probability: 0.7 };
  // the same answer with the same confidence: the estimate before generation decides
  const knobs = { priorWeight: 0.5, threshold: 0.6 };
  assert.equal(accepted(await cascade(small, { ask: easy, knobs })), true);
  assert.equal(accepted(await cascade(small, { ask: hard, knobs })), false);
  assert.equal(accepted(await cascade({ text: 'a b', probability: 0.3 }, { ask: easy, knobs })), false, 'and so does the one after it');
  const jumped = await cascade(small, { ask: hard, knobs: { jumpFrom: 0.6 } });
  assert.deepEqual([jumped.text, calls(jumped)], ['from the large one', ['large']]);
  assert.deepEqual(calls(await cascade({ text: 'a', probability: 0.9 }, { ask: easy, knobs: { jumpFrom: 0.6 } })), ['small']);
  const clock = virtualClock();
  const three = ['small', 'medium', 'large'].map((id) => fake({ id, answer: { text: id, probability: 0.9 } }, clock));
  const tiers = ['small', 'medium', 'large'];
  assert.deepEqual(calls(await serveOne(three, { model: 'tandem/cascade', ask: hard, knobs: { tiers, jumpFrom: 0.7 } }, clock)), ['medium']);
  assert.deepEqual(calls(await serveOne(three, { model: 'tandem/cascade', ask: hard, knobs: { tiers, jumpFrom: 0.3 } }, clock)), ['large']);
});

test('each confidence test accepts above its threshold and escalates below it', async () => {
  const scripts: [string, Script, number][] = [
    ['mean-probability', { text: 'a b', probability: [0.9, 0.4] }, 0.6],
    ['min-probability', { text: 'a b', probability: [0.9, 0.4] }, 0.4],
    ['quantile-probability', { text: 'a b c', probability: [0.9, 0.4, 0.8] }, Math.exp(0.8 * Math.log(0.4) + 0.2 * Math.log(0.8))],
    ['margin', { text: 'a', probability: 0.7, others: [0.2] }, 0.5],
    ['entropy', { text: 'a', probability: 0.5, others: [0.5] }, 0.5],
  ];
  for (const [name, script, score] of scripts) {
    assert.equal(accepted(await cascade(script, { knobs: { test: name, threshold: score - 0.01 } })), true, `${name} below`);
    assert.equal(accepted(await cascade(script, { knobs: { test: name, threshold: score + 0.01 } })), false, `${name} above`);
  }
});

test('min-probability does not wait for the rest of a hopeless answer', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a b c d', probability: [0.9, 0.1], hangAfter: 2 } }, clock);
  const large = fake({ id: 'large', answer: { text: 'fine' } }, clock);
  const served = await serveOne([small, large], { model: 'tandem/cascade', knobs: { test: 'min-probability' } }, clock);
  assert.equal(served.text, 'fine');
  assert.ok((served.trace.spans.find((span) => span.member === 'small')?.usage?.completionTokens ?? 9) <= 2);
});

test('row 29: calibrated confidence decides; the calibration turns a score into a chance of being right', async () => {
  // scores of 0.9 have been right half the time, scores of 0.99 nearly always
  const judged = [...Array.from({ length: 40 }, (_, n) => ({ score: 0.9, correct: n % 2 === 0 })), ...Array.from({ length: 40 }, (_, n) => ({ score: 0.99, correct: n > 0 }))];
  const calibration = fitCalibration(judged);
  assert.ok(Math.abs(calibrated(0.9, calibration) - 0.5) < 0.05);
  const knobs = { calibration, threshold: 0.8 };
  assert.equal(accepted(await cascade({ text: 'a b', probability: 0.9 }, { knobs })), false);
  assert.equal(accepted(await cascade({ text: 'a b', probability: 0.99 }, { knobs })), true);
  assert.equal(accepted(await cascade({ text: 'a b', probability: 0.9 }, { knobs: { threshold: 0.8 } })), true, 'without it the score is taken at its word');
});

test('row 43: samples in several ways of thinking; agreement by vote accepts, disagreement escalates', async () => {
  const answers = (texts: readonly string[]): Answer => (_, n) => ({ text: texts[n] ?? '' });
  const knobs = { test: 'self-consistency', samples: 5, styles: ['direct', 'steps'] };
  const agreed = await cascade(answers(['5', 'Two and three. Answer: 5', '6', 'Let me see. Answer: 5', '5.']), { knobs });
  assert.deepEqual([agreed.text, accepted(agreed)], ['5', true]);
  const split = await cascade(answers(['5', 'Answer: 6', '7', 'Answer: 8', '5']), { knobs });
  assert.deepEqual([split.text, calls(split).length], ['from the large one', 6]);
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: '5' } }, clock);
  await serveOne([small, fake({ id: 'large', answer: { text: 'x' } }, clock)], { model: 'tandem/cascade', knobs, sampling: { temperature: 0, seed: 4 } }, clock);
  assert.deepEqual(small.asked.map(({ prompt }) => /step by step/.test(prompt.messages[0]?.content ?? '')), [false, true, false, true, false]);
  assert.equal(small.asked[0]?.sampling.temperature, 0, 'the first sample is the answer as asked for');
  assert.deepEqual(new Set(small.asked.slice(1).map(({ sampling }) => sampling.temperature)), new Set([0.7]));
  assert.equal(new Set(small.asked.map(({ sampling }) => sampling.seed)).size, 5);
});

test('row 136: several small models vote; without consensus the large one decides, seeing their answers', async () => {
  const vote = async (texts: readonly string[]): Promise<{ served: Served; told: string }> => {
    const clock = virtualClock();
    const voters = texts.map((text, n) => fake({ id: `small${n}`, roles: ['small'], answer: { text } }, clock));
    const judge = fake({ id: 'large', place: 'cloud', answer: { text: 'malignant' } }, clock);
    const served = await serveOne([...voters, judge], { model: 'tandem/cascade', knobs: { test: 'consensus', threshold: 0.7, pass: 'draft' } }, clock);
    return { served, told: judge.asked[0]?.prompt.messages[0]?.content ?? '' };
  };
  const united = await vote(['Benign', 'benign.', 'benign']);
  assert.deepEqual([united.served.text, calls(united.served)], ['Benign', ['small0', 'small1', 'small2']]);
  const divided = await vote(['benign', 'malignant', 'unclear, ask c@d.org']);
  assert.equal(divided.served.text, 'malignant');
  assert.match(divided.told, /1\. benign\n2\. malignant\n3\. unclear, ask \[EMAIL_1\]/);
});

test('consensus counts a member that fails as dissent, and needs two members', async () => {
  const clock = virtualClock();
  const team = (second: Answer): Parameters<typeof serveOne>[0] => [fake({ id: 'a', roles: ['small'], answer: { text: 'x' } }, clock), fake({ id: 'b', roles: ['small'], answer: second }, clock), fake({ id: 'large', answer: { text: 'L' } }, clock)];
  const order = { model: 'tandem/cascade', knobs: { test: 'consensus' } };
  assert.equal((await serveOne(team({ text: 'x' }), order, clock)).text, 'x');
  assert.equal((await serveOne(team({ fail: { code: 'engine_failed' } }), order, clock)).text, 'L');
  const alone = await cascade({ text: 'x' }, { knobs: { test: 'consensus' } });
  assert.equal(alone.error?.code, 'recipe_unavailable');
  assert.match(alone.error?.message ?? '', /2 member\(s\) in the role "small"/);
});

test('self-verification: the same model judges its answer several times', async () => {
  const verdicts = (yes: number): Answer => ({ prompt }, n) => (prompt.messages.length > 1 ? { text: n <= yes ? 'Yes.' : 'No' } : { text: 'Paris' });
  const good = await cascade(verdicts(3), { knobs: { test: 'self-verification', samples: 4 } });
  assert.deepEqual([good.text, calls(good).length], ['Paris', 5]);
  assert.equal((await cascade(verdicts(2), { knobs: { test: 'self-verification', samples: 4 } })).text, 'from the large one');
});

test('row 259: a screening model escalates only what is not on the list of harmless verdicts', async () => {
  const knobs = { test: 'label', labels: ['normal', 'no risk'] };
  for (const text of ['Normal.', 'no risk', 'normal operation']) assert.deepEqual([(await cascade({ text }, { knobs })).text], [text]);
  for (const text of ['Abnormal vibration', 'risk', 'not normal', '']) assert.equal((await cascade({ text }, { knobs })).text, 'from the large one', text);
});

test('row 261: common cases stay on the premises, hard ones go to the cloud without the person', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', place: 'edge', answer: (_, n) => ({ text: 'a cold', probability: n === 0 ? 0.97 : 0.3 }) }, clock);
  const large = fake({ id: 'large', place: 'cloud', answer: { text: 'see a specialist' } }, clock);
  const order = { model: 'tandem/cascade', ask: 'Patient jo@clinic.org coughs.', knobs: { pass: 'draft' } };
  assert.equal((await serveOne([small, large], order, clock)).text, 'a cold');
  assert.equal(large.asked.length, 0);
  assert.equal((await serveOne([small, large], order, clock)).text, 'see a specialist');
  assert.match(small.asked[1]?.prompt.messages[0]?.content ?? '', /jo@clinic/);
  assert.doesNotMatch(JSON.stringify(large.asked[0]?.prompt), /jo@clinic/);
});

test('row 262: a domain model in its own role screens before the general cloud model', async () => {
  const clock = virtualClock();
  const domain = fake({ id: 'biomed', roles: ['medicine'], answer: (_, n) => ({ text: 'aspirin', probability: n === 0 ? 0.95 : 0.2 }) }, clock);
  const general = fake({ id: 'gpt', roles: ['large'], place: 'cloud', answer: { text: 'advice' } }, clock);
  const order = { model: 'tandem/cascade', knobs: { tiers: ['medicine', 'large'] } };
  assert.equal((await serveOne([domain, general], order, clock)).text, 'aspirin');
  assert.equal((await serveOne([domain, general], order, clock)).text, 'advice');
  assert.equal((await serveOne([domain, general], { model: 'tandem/cascade' }, clock)).error?.code, 'recipe_unavailable');
});

test('rows 257, 274: what the local model settles never reaches the paid service, nor its bill', async () => {
  const clock = virtualClock();
  const local = fake({ id: 'small', answer: (_, n) => ({ text: 'suggestion', probability: n % 10 === 9 ? 0.2 : 0.95 }) }, clock);
  const paid = fake({ id: 'large', place: 'cloud', price: priced(10, 30), answer: { text: 'a b c d e' } }, clock);
  let costUsd = 0;
  for (let n = 0; n < 20; n++) costUsd += (await serveOne([local, paid], { model: 'tandem/cascade' }, clock)).trace.usage.costUsd;
  let direct = 0;
  for (let n = 0; n < 20; n++) direct += (await serveOne([local, paid], { model: 'large' }, clock)).trace.usage.costUsd;
  assert.equal(paid.asked.length, 2 + 20);
  assert.ok(Math.abs(costUsd / direct - 0.1) < 1e-9, `${costUsd / direct}`);
});

test('three tiers: each but the last is judged', async () => {
  const clock = virtualClock();
  const team = [0.2, 0.9].map((probability, n) => fake({ id: `t${n}`, roles: [['small', 'medium'][n] ?? ''], answer: { text: `tier${n}`, probability } }, clock));
  const large = fake({ id: 'large', answer: { text: 'L' } }, clock);
  const served = await serveOne([...team, large], { model: 'tandem/cascade', knobs: { tiers: ['small', 'medium', 'large'] } }, clock);
  assert.deepEqual([served.text, calls(served)], ['tier1', ['t0', 't1']]);
});

test('an answer without the form that is asked for is never accepted, however sure', async () => {
  const schema = { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] };
  const sampling = { format: { type: 'json-schema' as const, name: 'x', schema, strict: true } };
  assert.equal((await cascade({ text: '{"n":1}', probability: 0.99 }, { sampling })).text, '{"n":1}');
  for (const text of ['{"m":1}', '{"n":', 'n is 1']) assert.equal((await cascade({ text, probability: 0.99 }, { sampling }, { text: '{"n":2}' })).text, '{"n":2}', text);
  assert.equal((await cascade({ text: '{"n":"1"}', probability: 0.99 }, { sampling, knobs: { test: 'schema' } }, { text: '{"n":2}' })).text, '{"n":2}');
  const prompt = { messages: [{ role: 'user' as const, content: 'weather' }], tools: [{ name: 'w', parameters: { type: 'object', required: ['city'] } }] };
  const call = (given: string): Script => ({ toolCalls: [{ id: 'c1', name: 'w', arguments: given }] });
  const good = await cascade(call('{"city":"Oslo"}'), { prompt });
  assert.equal(good.parts.filter((part) => part.type === 'tool-call' && part.member === 'small').length, 2);
  assert.equal(good.parts.at(-1)?.type === 'finish' && good.parts.at(-1)?.member, 'small');
  const bad = await cascade(call('{"town":1}'), { prompt }, call('{"city":"Oslo"}'));
  assert.ok(bad.parts.every((part) => part.member === 'large'));
});

test('the reader sees only the alternatives that were asked for', async () => {
  const with2 = await cascade({ text: 'a', probability: 0.9, others: [0.05, 0.03, 0.02] }, { knobs: { test: 'entropy' }, sampling: { topLogprobs: 1 } });
  const part = with2.parts[0];
  assert.equal(part?.type === 'text' && part.tokens?.[0]?.top?.length, 1);
  const without = await cascade({ text: 'a', probability: 0.95, others: [0.03] }, { knobs: { test: 'entropy' } });
  const plain = without.parts[0];
  assert.equal(plain?.type === 'text' && plain.tokens?.[0]?.top, undefined);
});

test('faults: a failing small model escalates; a failing large one gives the rejected answer, marked, or the error', async () => {
  const broken: Script = { fail: { code: 'upstream_failed' } };
  const escalated = await cascade({ fail: { code: 'engine_failed' } });
  assert.equal(escalated.text, 'from the large one');
  const fallback = await cascade({ text: 'maybe this', probability: 0.3 }, {}, broken);
  assert.deepEqual([fallback.text, fallback.error], ['maybe this', undefined]);
  assert.ok(fallback.decisions.includes('cascade.fallback=small'));
  assert.equal(fallback.trace.spans.find((span) => span.kind === 'recipe')?.attributes['degraded'], true);
  assert.equal((await cascade({ text: 'maybe this', probability: 0.3 }, { knobs: { onLastFailure: 'error' } }, broken)).error?.code, 'upstream_failed');
  assert.equal((await cascade(broken, {}, { fail: { code: 'upstream_timeout' } })).error?.code, 'upstream_timeout', 'nothing to fall back on');
  const begun = await cascade({ text: 'maybe this', probability: 0.3 }, {}, { text: 'one two', fail: { code: 'upstream_truncated', after: 1 } });
  assert.deepEqual([begun.text, begun.error?.code], ['one', 'upstream_truncated'], 'never two answers in one');
});

test('half an answer does not stand in: the member is asked once more, and only when the last tier fails', async () => {
  const broken: Script = { fail: { code: 'upstream_failed' } };
  const order = { knobs: { test: 'min-probability' } };
  const small: Script = { text: 'a b c', probability: [0.9, 0.1] };
  const partial = await cascade(small, order, broken);
  assert.deepEqual([partial.text, partial.error, calls(partial)], ['a b c', undefined, ['small', 'large', 'small']]);
  assert.ok(partial.decisions.includes('cascade.fallback=small'));
  assert.deepEqual(calls(await cascade(small, order)), ['small', 'large']);
  assert.equal((await cascade(small, { knobs: { ...order.knobs, onLastFailure: 'error' } }, broken)).error?.code, 'upstream_failed');
  const failing = await cascade((_, n) => (n === 0 ? small : { fail: { code: 'engine_failed' } }), order, broken);
  assert.equal(failing.error?.code, 'upstream_failed', 'the failure of the last tier is the one that is told');
});

test('an answer without the form that is asked for never stands in', async () => {
  const broken: Script = { fail: { code: 'upstream_failed' } };
  const sampling = { format: { type: 'json-schema' as const, name: 'x', schema: { type: 'object', required: ['n'] }, strict: true } };
  for (const test of ['schema', 'mean-probability', 'min-probability']) {
    const prose = await cascade({ text: 'n is 1', probability: [0.9, 0.1] }, { sampling, knobs: { test } }, broken);
    assert.deepEqual([prose.text, prose.error?.code], ['', 'upstream_failed'], test);
  }
  const formed = await cascade({ text: '{"n":1}', probability: 0.1 }, { sampling, knobs: { test: 'min-probability' } }, broken);
  assert.equal(formed.text, '{"n":1}');
});

test('no money for the large model: the small answer stands in', async () => {
  const served = await cascade({ text: 'maybe', probability: 0.2 }, { policy: { limits: { costUsdMax: 0.000001 } } });
  assert.deepEqual([served.text, calls(served)], ['maybe', ['small', 'large']]);
  assert.equal(served.trace.spans.find((span) => span.member === 'large')?.error, 'budget_exhausted');
});

test('cancelling in the middle of samples stops all of them, and nobody is asked afterwards', async () => {
  const clock = virtualClock();
  const stop = new AbortController();
  const small = fake({ id: 'small', answer: (_, n) => { if (n === 3) setTimeout(() => stop.abort(), 5); return { text: 'a b', hangAfter: 1 }; } }, clock);
  const large = fake({ id: 'large', answer: { text: 'x' } }, clock);
  const served = await serveOne([small, large], { model: 'tandem/cascade', knobs: { test: 'self-consistency', samples: 4 }, signal: stop.signal }, clock);
  assert.equal(served.error?.code, 'cancelled');
  assert.equal(small.stopped(), 4);
  assert.equal(large.asked.length, 0);
});

test('a small member without log-probabilities is refused for confidence tests, not for others', async () => {
  const clock = virtualClock();
  const team = [fake({ id: 'small', abilities: { levels: ['L0'], topLogprobsMax: 0, sampling: ['tokensMax'] }, answer: { text: 'x' } }, clock), fake({ id: 'large', answer: { text: 'L' } }, clock)];
  assert.equal((await serveOne(team, { model: 'tandem/cascade' }, clock)).error?.code, 'recipe_unavailable');
  assert.equal((await serveOne(team, { model: 'tandem/cascade', knobs: { test: 'label', labels: ['x'] } }, clock)).text, 'x');
  assert.equal((await serveOne(team, { model: 'tandem/cascade', knobs: { test: 'self-consistency' } }, clock)).error?.code, 'ability_missing');
});
