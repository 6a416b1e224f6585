/** The live state of members, as the process sees it: queue, recent times and failures, price, battery; and the choices that it moves. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ask, type AskOptions, type FullAnswer } from '../../src/ask.ts';
import type { ConfigInput } from '../../src/config.ts';
import { Team } from '../../src/models/team.ts';
import { Live } from '../../src/recipes/live.ts';
import type { Recipe } from '../../src/recipes/recipe.ts';
import { routeWith, type RouteRouter } from '../../src/recipes/route.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';
import { fake, priced, type FakeSettings } from './fake-model.ts';
import { virtualClock } from './harness.ts';

/** Knows both members; near is a little better, and as quick as far. */
const routerOf = (qualities: readonly (readonly [string, number])[]): RouteRouter => ({
  id: 'mine',
  estimate: () => ({ score: 0.5, inputs: {} }),
  members: () => qualities.map(([member, quality]) => ({ member, quality, latencyMs: 1_000 })),
});

interface World {
  readonly near?: Partial<FakeSettings>;
  readonly far?: Partial<FakeSettings>;
  readonly knobs?: Readonly<Record<string, unknown>>;
  readonly config?: ConfigInput;
  readonly battery?: () => number | undefined;
  readonly qualities?: readonly (readonly [string, number])[];
}

async function world({ near = {}, far = {}, knobs = {}, config = {}, battery = () => undefined, qualities = [['near', 0.8], ['far', 0.75]] }: World): Promise<Runtime> {
  const clock = virtualClock();
  const team = new Team([fake({ id: 'near', answer: { text: 'near', firstMs: 1_000 }, ...near }, clock), fake({ id: 'far', place: 'cloud', answer: { text: 'far', firstMs: 1_000 }, ...far }, clock)]);
  const worth = { usd: 10, second: 0.1, joule: 0 };
  return createTandem({ store: { path: ':memory:' }, ...config, recipes: { route: { router: 'mine', choose: 'utility', worth, ...knobs } } }, { team, clock, env: {}, battery, recipes: new Map([['route', routeWith(new Map([['mine', routerOf(qualities)]])) as Recipe]]) });
}

const asked = (runtime: Runtime, options: AskOptions = {}): Promise<FullAnswer> => ask(runtime, 'Where?', { model: 'tandem/route', sampling: { tokensMax: 8 }, ...options });
const chosen = (answer: FullAnswer): string => answer.decisions.find(({ name }) => name === 'route')?.chosen ?? '';

test('calls that wait on this device count against it; with live: false, or where the caller says otherwise, they do not', async () => {
  const runtime = await world({});
  assert.equal(chosen(await asked(runtime)), 'near');
  const first = asked(runtime);
  await runtime.clock.sleep(100);
  const crowd = await Promise.all(Array.from({ length: 3 }, () => asked(runtime)));
  assert.deepEqual([chosen(await first), ...crowd.map(chosen)], ['near', 'far', 'far', 'far'], 'a second call on this device would take twice the time');
  const decision = crowd[0]?.decisions.find(({ name }) => name === 'route');
  assert.deepEqual([decision?.inputs['queue.near'], decision?.inputs['queue.far'], decision?.inputs['latencyMs.near']], [1, undefined, 1_000]);
  for (const knobs of [{ state: { queue: { near: 0 } } }, { live: false }]) {
    const running = asked(runtime);
    await runtime.clock.sleep(100);
    assert.equal(chosen(await asked(runtime, { knobs })), 'near', JSON.stringify(knobs));
    await running;
  }
  await runtime.close();
});

test('recent times stand for the link; a caller who says how the link is counts it himself', async () => {
  const runtime = await world({ near: { answer: { text: 'near', firstMs: 2_000 } }, knobs: { fallback: true } });
  assert.equal(chosen(await asked(runtime)), 'near');
  assert.equal(chosen(await asked(runtime)), 'far', 'near took twice as long as its rows say');
  await runtime.close();
  const slow = await world({ far: { answer: { text: 'far', firstMs: 9_000 } }, knobs: { worth: { usd: 0, second: 0.01, joule: 0 }, state: { queue: { near: 9 } } } });
  assert.deepEqual([chosen(await asked(slow)), chosen(await asked(slow)), chosen(await asked(slow, { knobs: { state: { queue: { near: 9 }, linkRttMs: 50 } } }))], ['far', 'near', 'far']);
  await slow.close();
});

test('a member that fails is believed less; after a while it is given another chance', async () => {
  const runtime = await world({ near: { answer: { fail: { code: 'upstream_failed' } } } });
  const answers = [await asked(runtime), await asked(runtime)];
  assert.deepEqual(answers.map(chosen), ['near', 'far']);
  assert.deepEqual(answers.map(({ text }) => text), ['far', 'far'], 'the first one fell back');
  assert.ok(Number(answers[1]?.decisions.find(({ name }) => name === 'route')?.inputs['failures.near']) > 0.3);
  await runtime.clock.sleep(3_600_000);
  assert.equal(chosen(await asked(runtime)), 'near');
  await runtime.close();
});

test('the battery of this device counts where joules are worth something', async () => {
  let charge: number | undefined = 0.9;
  const runtime = await world({ battery: () => charge, knobs: { worth: { usd: 0, second: 0, joule: 0.0001 } } });
  assert.equal(chosen(await asked(runtime)), 'near');
  charge = 0.02;
  const low = await asked(runtime);
  assert.deepEqual([chosen(low), low.decisions.find(({ name }) => name === 'route')?.inputs['batteryShare']], ['far', 0.02]);
  charge = undefined;
  assert.equal(chosen(await asked(runtime)), 'near', 'unknown');
  await runtime.close();
});

test('while the budget of the day is short, dollars are dearer than themselves', async () => {
  const paying = { price: priced(0, 100), answer: { text: 'far far far far far far far far' } };
  const qualities = [['near', 0.7], ['far', 0.75]] as const;
  const short = await world({ far: paying, qualities, knobs: { worth: { usd: 1, second: 0, joule: 0 } }, config: { policy: { costUsdPerDay: 0.02 } } });
  const choices: string[] = [];
  for (let n = 0; n < 24; n++) choices.push(chosen(await asked(short).catch(() => ({ decisions: [] }) as unknown as FullAnswer)));
  assert.equal(choices[0], 'far');
  assert.ok(choices.slice(1).includes('near'), choices.join(' '));
  await short.close();
});

test('what is seen of a member fades, and one failure is not yet a habit', () => {
  const clock = { now: 0, wallMs: () => 0, monotonicMs: () => clock.now, sleep: () => Promise.resolve() };
  const live = new Live(clock);
  assert.deepEqual(live.of('x'), { running: 0, latencyMs: undefined, failureShare: 0 });
  const [first, second] = [live.began('x'), live.began('x')];
  assert.deepEqual([first, second, live.of('x').running], [1, 2, 2]);
  live.ended('x', 'ok', 300, first);
  live.ended('x', 'ok', 600, second);
  assert.deepEqual(live.of('x'), { running: 0, latencyMs: 300, failureShare: 0 });
  live.ended('x', 'failed', 10, live.began('x'));
  live.ended('x', 'left', 10, live.began('x'));
  assert.deepEqual(live.of('x'), { running: 0, latencyMs: 300, failureShare: 1 / 5 });
  clock.now += 300_000;
  assert.equal(live.of('x').failureShare, 0.5 / 3.5);
  clock.now += 3_600_000;
  assert.equal(live.of('x').latencyMs, undefined);
  assert.equal(live.batteryShare, undefined);
});
