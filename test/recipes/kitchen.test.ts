/** The kitchen and `ask`: what is refused before a model is asked, and what holds for every recipe. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { Team } from '../../src/models/team.ts';
import { createKitchen, registry } from '../../src/recipes/index.ts';
import type { Recipe } from '../../src/recipes/recipe.ts';
import { noKnobs } from '../../src/recipes/knobs.ts';
import { ask, askMany, stoppable } from '../../src/recipes/ask.ts';
import { seededRandom } from '../../src/system/random.ts';
import { Trace } from '../../src/trace/trace.ts';
import { fake, priced } from './fake-model.ts';
import { calls, meter, restaurant, serveOne, veiledOf, virtualClock } from './harness.ts';

const carries = { tools: true, formats: true, logprobs: true, attachments: true };
const custom = (run: Recipe['run'], more: Partial<Recipe> = {}): ReadonlyMap<string, Recipe> =>
  new Map([...registry, ['custom', { id: 'custom', summary: 'A test.', sources: [], rows: [], primitives: [], needs: [], knobs: noKnobs, carries, run, ...more }]]);

test('plain recipes and member ids answer with that member, traced and shared', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'one two three' } }, clock);
  const large = fake({ id: 'large', place: 'cloud', price: priced(1, 2), answer: { text: 'four five' } }, clock);
  const serve = restaurant([small, large], clock);
  for (const [model, text, member] of [['tandem/small', 'one two three', 'small'], ['tandem/large', 'four five', 'large'], ['large', 'four five', 'large']] as const) {
    const served = await serve({ model });
    assert.equal(served.error, undefined);
    assert.equal(served.text, text);
    assert.deepEqual(served.parts.filter((part) => part.type === 'finish').length, 1);
    assert.deepEqual(Object.keys(served.trace.shares), [member]);
    assert.equal(served.trace.shares[member], text.split(' ').length);
    assert.deepEqual(calls(served), [member]);
  }
  assert.equal((await serve({ model: 'large' })).trace.recipe, 'plain');
});

test('a cloud member reads the masked view, an own one the raw view', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a' } }, clock);
  const large = fake({ id: 'large', place: 'cloud', answer: { text: 'a' } }, clock);
  const serve = restaurant([small, large], clock);
  await serve({ model: 'small', ask: 'Write to ann@example.org.' });
  await serve({ model: 'large', ask: 'Write to ann@example.org.' });
  assert.match(small.asked[0]?.prompt.messages[0]?.content ?? '', /ann@example/);
  assert.doesNotMatch(large.asked[0]?.prompt.messages[0]?.content ?? '', /ann@example/);
});

test('what cannot be served is refused by name before any model is asked', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', abilities: { tools: false, formats: ['text'], sampling: ['temperature'], levels: ['L0'], topLogprobsMax: 0, continuesPrefix: false, attachments: false }, answer: { text: 'a' } }, clock);
  const vectors = fake({ id: 'vectors', abilities: { levels: ['Emb'] }, answer: {} }, clock);
  const cloud = fake({ id: 'large', place: 'cloud', answer: { text: 'b' } }, clock);
  const serve = restaurant([small, vectors, cloud], clock);
  const tools = [{ name: 'f' }];
  const messages = [{ role: 'user' as const, content: 'x' }];
  const cases: [Parameters<typeof serve>[0], string, string | undefined][] = [
    [{ model: 'tandem/nothing' }, 'model_not_found', 'model'],
    [{ model: 'nobody' }, 'model_not_found', 'model'],
    [{ model: 'constructor' }, 'model_not_found', 'model'],
    [{ model: 'tandem/__proto__' }, 'model_not_found', 'model'],
    [{ model: 'vectors' }, 'ability_missing', 'model'],
    [{ model: 'tandem/embed' }, 'ability_missing', 'model'],
    [{ model: 'tandem/small', knobs: { depth: 3 } }, 'knob_invalid', 'tandem.knobs.depth'],
    [{ model: 'tandem/small', knobs: { ['x'.repeat(15_000)]: 3 } }, 'knob_invalid', `tandem.knobs.${'x'.repeat(64)}`],
    [{ model: 'tandem/failover', knobs: { order: [] } }, 'knob_invalid', 'tandem.knobs.order'],
    [{ model: 'tandem/failover', knobs: { order: ['a', 7] } }, 'knob_invalid', 'tandem.knobs.order[1]'],
    [{ model: 'small', prompt: { messages, tools } }, 'parameter_unsupported', 'tools'],
    [{ model: 'tandem/small', prompt: { messages, tools } }, 'parameter_unsupported', 'tools'],
    [{ model: 'small', sampling: { format: { type: 'json' } } }, 'parameter_unsupported', 'response_format'],
    [{ model: 'small', sampling: { topLogprobs: 2 } }, 'parameter_unsupported', 'logprobs'],
    [{ model: 'small', sampling: { seed: 2 } }, 'parameter_unsupported', 'seed'],
    [{ model: 'small', sampling: { topP: 0.5 } }, 'parameter_unsupported', 'top_p'],
    [{ model: 'small', prompt: { messages: [{ role: 'user', content: '', attachments: [{ type: 'file', value: {} }] }] } }, 'parameter_unsupported', 'messages'],
    [{ model: 'tandem/large', policy: { privacyClass: 'confidential' } }, 'policy_violated', undefined],
    [{ model: 'large', policy: { limits: { places: ['device'] } } }, 'policy_violated', undefined],
    [{ model: 'small', policy: { limits: { members: ['large'] } } }, 'policy_violated', undefined],
  ];
  for (const [order, code, param] of cases) {
    const served = await serve(order);
    assert.equal(served.error?.code, code, JSON.stringify(order));
    assert.equal(served.error?.param, param, JSON.stringify(order));
    assert.deepEqual(calls(served), []);
  }
  assert.equal((await serve({ model: 'small', sampling: { temperature: 0.5, tokensMax: 5 } })).error, undefined);
});

test('a team that lacks a member is told what would work', async () => {
  const clock = virtualClock();
  const served = await serveOne([fake({ id: 'small', answer: { text: 'a' } }, clock)], { model: 'tandem/large' }, clock);
  assert.equal(served.error?.code, 'recipe_unavailable');
  assert.match(served.error?.message ?? '', /"large".*small, failover/s);
});

test('wrong recipe defaults in the configuration are found when the kitchen is built', () => {
  const clock = virtualClock();
  const build = (recipes: Record<string, Record<string, unknown>>): unknown => createKitchen({ team: new Team([]), registry, config: { recipes }, meter, clock, random: seededRandom(1) });
  assert.throws(() => build({ nothing: {} }), { code: 'config_invalid', param: 'recipes.nothing' });
  assert.throws(() => build({ failover: { order: 3 } }), { code: 'config_invalid', param: 'recipes.failover.order' });
  assert.ok(build({ failover: { order: ['small'] } }));
});

test('configured knobs hold, and the request overrides them', async () => {
  const clock = virtualClock();
  const members = [fake({ id: 'small', answer: { text: 's' } }, clock), fake({ id: 'large', answer: { text: 'l' } }, clock)];
  const serve = restaurant(members, clock, { configured: { failover: { order: ['small', 'large'] } } });
  assert.equal((await serve({ model: 'tandem/failover' })).text, 's');
  assert.equal((await serve({ model: 'tandem/failover', knobs: { order: ['large'] } })).text, 'l');
});

test('several answers run at once with derived seeds, each with one finish', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: ({ sampling }) => ({ text: `seed ${sampling.seed}`, betweenMs: 5 }) }, clock);
  const served = await serveOne([small], { model: 'tandem/small', answers: 3, sampling: { seed: 11 } }, clock);
  assert.equal(new Set(served.texts).size, 3);
  assert.equal(served.texts[0], 'seed 11');
  assert.deepEqual(served.parts.filter((part) => part.type === 'finish').map((part) => part.answer).sort(), [0, 1, 2]);
  const again = await serveOne([small], { model: 'tandem/small', answers: 3, sampling: { seed: 11 } }, clock);
  assert.deepEqual(again.texts, served.texts);
  assert.equal(served.trace.shares['small'], 6);
  assert.equal(served.trace.durationMs < 12, true, 'at once, not one after the other');
});

test('one failing answer of several fails the request and stops the others', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: (_, n) => (n === 1 ? { text: 'a b', firstMs: 5, fail: { code: 'engine_failed' } } : { text: 'a b', hangAfter: 1 }) }, clock);
  const served = await serveOne([small], { model: 'tandem/small', answers: 3 }, clock);
  assert.equal(served.error?.code, 'engine_failed');
  assert.equal(served.error?.member, 'small');
  assert.equal(small.asked.every(({ signal }) => signal.aborted), true);
});

test('cancelling and leaving stop every call under the request, also of a deaf model', async () => {
  for (const deaf of [false, true]) {
    const clock = virtualClock();
    const stop = new AbortController();
    const members = ['a', 'b', 'c'].map((id) => fake({ id, answer: { text: 'x y z', hangAfter: 1, deaf } }, clock));
    const recipes = custom(async function* (prompt, context) {
      const all = members.map((member) => ask(context, member, prompt)[Symbol.asyncIterator]());
      for (const each of all) yield (await each.next()).value as never;
      setTimeout(() => stop.abort(), 5);
      await Promise.all(all.map((each) => each.next()));
    });
    const served = await serveOne(members, { model: 'tandem/custom', signal: stop.signal, recipes }, clock);
    assert.equal(served.error?.code, 'cancelled');
    assert.deepEqual(members.map((member) => member.stopped()), [1, 1, 1]);
    assert.deepEqual(served.trace.spans.filter((span) => span.kind === 'call').map((span) => span.error), ['cancelled', 'cancelled', 'cancelled']);
  }
});

test('leaving the stream stops the model, with one reader or many answers', async () => {
  for (const answers of [1, 3]) {
    const clock = virtualClock();
    const small = fake({ id: 'small', answer: (_, n) => (n === 0 ? { text: 'a b c' } : { text: 'a b c', hangAfter: 1 }) }, clock);
    const cook = createKitchen({ team: new Team([small]), registry, config: { recipes: {} }, meter, clock, random: seededRandom(1) });
    const trace = new Trace('1'.repeat(32), clock, { surface: 'library', requestedModel: '' });
    for await (const _ of cook(veiledOf({ model: 'small', answers }), { trace, signal: new AbortController().signal }, trace.root)) break;
    assert.equal(small.asked.length, answers);
    assert.equal(small.asked.every(({ signal }) => signal.aborted), true);
    assert.ok(trace.usage().completionTokens >= 1, 'what was generated is accounted for');
  }
});

test('a request that is cancelled before it begins asks nobody', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a' } }, clock);
  const served = await serveOne([small], { model: 'small', signal: AbortSignal.abort() }, clock);
  assert.equal(served.error?.code, 'cancelled');
  assert.equal(small.asked.length, 0);
});

test('the deadline ends the run with its own error, and nothing hangs', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a b', hangAfter: 1, deaf: true } }, clock);
  const serve = restaurant([small], clock);
  const served = await serve({ model: 'small', policy: { limits: { totalMs: 50 } } });
  assert.equal(served.error?.code, 'deadline_exceeded');
  assert.equal(served.text, 'a');
  assert.equal(small.stopped(), 1);
});

test('money: a call is capped at what is left, the next one is refused, free members go on', async () => {
  const clock = virtualClock();
  const large = fake({ id: 'large', place: 'cloud', price: priced(0, 1_000_000), answer: ({ sampling }) => ({ text: Array.from({ length: sampling.tokensMax ?? 99 }, (_, n) => `w${n}`).join(' '), reason: 'length' }) }, clock);
  const small = fake({ id: 'small', answer: { text: 'free' } }, clock);
  const recipes = custom(async function* (prompt, context) {
    for await (const part of ask(context, large, prompt)) if (part.type !== 'finish') yield part;
    yield* ask(context, context.knobs === undefined ? small : large, prompt);
  });
  const order = { model: 'tandem/custom', recipes, sampling: { tokensMax: 100 }, policy: { limits: { costUsdMax: 7.5 } } };
  const served = await serveOne([large, small], order, clock);
  assert.equal(served.text.split(' ').length, 7, 'seven tokens at a dollar each');
  assert.equal(served.error?.code, 'budget_exhausted');
  assert.ok(served.trace.usage.costUsd <= 7.5);
  const fallback = await serveOne([large, small], { model: 'tandem/failover', knobs: { order: ['large', 'small'] }, policy: { limits: { costUsdMax: 0.5 } } }, clock);
  assert.equal(fallback.text, 'free');
  assert.ok(fallback.decisions.includes('failover.next=small'));
});

test('calls at the same time cannot overspend together', async () => {
  const clock = virtualClock();
  const large = fake({ id: 'large', place: 'cloud', price: priced(0, 1_000_000), answer: { text: 'a b c d', betweenMs: 1 } }, clock);
  const recipes = custom(async function* (prompt, context) {
    await askMany(context, large, prompt, [1, 2, 3]);
    yield* ask(context, large, prompt);
  });
  const served = await serveOne([large], { model: 'tandem/custom', recipes, sampling: { tokensMax: 4 }, policy: { limits: { costUsdMax: 8 } } }, clock);
  assert.equal(served.error?.code, 'budget_exhausted');
  assert.ok(served.trace.usage.costUsd <= 8);
});

test('when one of several calls at the same time fails, the others are stopped', async () => {
  const clock = virtualClock();
  const hanging = { text: 'a b', hangAfter: 1 };
  const large = fake({ id: 'large', answer: (_, n) => (n === 1 ? { firstMs: 20, fail: { code: 'upstream_failed' } } : hanging) }, clock);
  const small = fake({ id: 'small', answer: { text: 'free' } }, clock);
  const over: boolean[] = [];
  const recipes = custom(async function* (prompt, context) {
    await assert.rejects(askMany(context, large, prompt, [1, 2, 3]), { code: 'upstream_failed', member: 'large' });
    // The run goes on, so it is not its end that stops them.
    await context.clock.sleep(5);
    over.push(...large.asked.map((each) => each.over));
    yield* ask(context, small, prompt);
  });
  const served = await serveOne([large, small], { model: 'tandem/custom', recipes }, clock);
  assert.equal(served.text, 'free');
  assert.deepEqual(over, [true, true, true]);
});

test('a member outside the team cannot be asked, whatever the recipe holds', async () => {
  const clock = virtualClock();
  const cloud = fake({ id: 'cloud', place: 'cloud', answer: { text: 'leak' } }, clock);
  const own = fake({ id: 'own', answer: { text: 'a' } }, clock);
  const recipes = custom((prompt, context) => ask(context, cloud, prompt));
  const served = await serveOne([cloud, own], { model: 'tandem/custom', recipes, policy: { privacyClass: 'confidential' } }, clock);
  assert.equal(served.error?.code, 'policy_violated');
  assert.equal(cloud.asked.length, 0);
});

test('recipes that end badly: no finish, two finishes, a stream without its end', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a', truncated: true } }, clock);
  const fine = fake({ id: 'fine', answer: { text: 'b' } }, clock);
  assert.equal((await serveOne([small], { model: 'small' }, clock)).error?.code, 'upstream_truncated');
  const none = custom(async function* () {
    yield { type: 'text', answer: 0, member: 'fine', delta: 'x' };
  });
  assert.equal((await serveOne([fine], { model: 'tandem/custom', recipes: none }, clock)).error?.code, 'internal');
  const twice = custom(async function* (prompt, context) {
    yield* ask(context, fine, prompt);
    yield* ask(context, fine, prompt);
  });
  const served = await serveOne([fine], { model: 'tandem/custom', recipes: twice }, clock);
  assert.equal(served.error, undefined);
  assert.equal(served.text, 'b');
  assert.equal(served.parts.filter((part) => part.type === 'finish').length, 1);
});

test('a call that is stopped because it is not needed did not fail', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a b', hangAfter: 1 } }, clock);
  const other = fake({ id: 'other', answer: { text: 'c' } }, clock);
  const recipes = custom(async function* (prompt, context) {
    const own = stoppable(context.signal);
    const stream = ask(context, small, prompt, { signal: own.signal });
    await stream.next();
    const pending = stream.next();
    own.stop();
    await assert.rejects(pending, { code: 'cancelled' });
    yield* ask(context, other, prompt);
  });
  const served = await serveOne([small, other], { model: 'tandem/custom', recipes }, clock);
  assert.equal(served.text, 'c');
  const span = served.trace.spans.find((each) => each.member === 'small');
  assert.equal(span?.error, undefined);
  assert.equal(span?.attributes['left'], true);
});

test('a reader who leaves after the last finish part has the whole answer: nothing was cancelled', async () => {
  const clock = virtualClock();
  const small = fake({ id: 'small', answer: { text: 'a b' } }, clock);
  const cook = createKitchen({ team: new Team([small]), registry, config: { recipes: {} }, meter, clock, random: seededRandom(1) });
  for (const answers of [1, 2]) {
    const trace = new Trace('2'.repeat(32), clock, { surface: 'library', requestedModel: '' });
    let finished = 0;
    for await (const part of cook(veiledOf({ model: 'small', answers }), { trace, signal: new AbortController().signal }, trace.root)) if (part.type === 'finish' && ++finished === answers) break;
    assert.ok(trace.finish('ok').spans.every((span) => span.error === undefined));
    assert.equal(trace.shares['small'], 2 * answers);
  }
});
