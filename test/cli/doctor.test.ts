/** What `tandem serve` refuses, `tandem doctor` names: the checks of a configuration that has no mistake of form. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setupChecks, togetherCheck, type Setup } from '../../src/cli/setup-checks.ts';
import { servingThreads } from '../../src/cli/serve/serving.ts';
import { parseConfig, type ConfigInput } from '../../src/config.ts';
import { TandemError } from '../../src/errors.ts';
import { Team } from '../../src/models/team.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createTandem } from '../../src/tandem.ts';
import { fake } from '../recipes/fake-model.ts';
import { call, folder } from './tandem.ts';

const env = { A: 'one', B: 'one' };
const store = { path: ':memory:' };
const setupOf = (input: ConfigInput): Setup => ({ input, config: parseConfig(input), baseDir: '/nowhere', env, team: new Team([]) });
const wrongOf = async (setup: Setup): Promise<string[]> => (await setupChecks(setup)).filter(({ state, code }) => state === 'wrong' && code !== 'recipe_unavailable').map(({ message }) => message);

const cases: readonly (readonly [ConfigInput, RegExp])[] = [
  [{ recipes: { cascade: { treshold: 1 } } }, /^recipes\.cascade\.treshold: .*no such knob/],
  [{ recipes: { cascade: { threshold: 5 } } }, /^recipes\.cascade\.threshold: /],
  [{ recipes: { casscade: {} } }, /^recipes\.casscade: there is no such recipe/],
  [{ recipes: { route: { router: 'r' } } }, /^recipes\.route\.router: .*no such router/],
  [{ aliases: { a: 'b', b: 'a' } }, /^aliases\.a: .*alias that leads to none/],
  [{ aliases: { a: 'nobody' } }, /^aliases\.a: .*does not exist/],
  [{ defaultModel: 'nobody' }, /^defaultModel: .*does not exist/],
  [{ routers: { r: './nope.bin' } }, /router "r"/],
  [{ cascades: { r: './nope.json' } }, /^cascades\.r: /],
  [{ gateway: { keys: [{ name: 'a', keyEnv: 'A', models: ['tandem/auto', 'nope'] }] } }, /^gateway\.keys\[0\]\.models\[1\]: .*does not exist/],
  [{ gateway: { keys: [{ name: 'a', keyEnv: 'A' }, { name: 'b', keyEnv: 'B' }] } }, /^gateway\.keys\[1\]: expected a key of its own/],
];

test('each is named by its path, and nothing else is', async () => {
  for (const [input, expected] of cases) {
    await assert.rejects(createTandem({ ...input, store }, { env, baseDir: '/nowhere', team: new Team([]) }), TandemError.is, 'serve refuses it');
    const [first = '', second] = await wrongOf(setupOf(input));
    assert.match(first, expected);
    if (input.aliases?.['b'] === undefined) assert.equal(second, undefined, JSON.stringify(input));
  }
  assert.deepEqual(await wrongOf(setupOf({ aliases: { vectors: 'tandem/embed', a: 'vectors' }, defaultModel: 'tandem/embed', recipes: { cascade: { threshold: 0.5 } } })), []);
});

test('a default or an alias whose recipe the team cannot run is refused with the recipes that would work; knobs of such a recipe are a note', async () => {
  const members = { large: { engine: 'openai' as const, roles: ['large'], baseUrl: 'http://127.0.0.1:1/v1', model: 'm' } };
  const named: readonly (readonly [ConfigInput, string])[] = [
    [{ defaultModel: 'tandem/speculate' }, 'defaultModel'],
    [{ aliases: { quick: 'fast', fast: 'tandem/speculate' } }, 'aliases.quick'],
    [{ aliases: { fast: 'tandem/cascade' } }, 'aliases.fast'],
  ];
  const team = (): Team => new Team([fake({ id: 'large', roles: ['large'], answer: { text: '' }, abilities: { levels: ['L0'] } }, systemClock)]);
  for (const [input, path] of named) {
    const setup = { ...setupOf({ ...input, members }), team: team() };
    await assert.rejects(createTandem({ ...input, members, store }, { env, team: team() }), (thrown) => TandemError.is(thrown) && thrown.code === 'config_invalid' && thrown.param === path && /recipe that this team can run \((?!none).*large/.test(thrown.message));
    const [first = ''] = await wrongOf(setup);
    assert.match(first, new RegExp(`^${path.replace('.', '\\.')}: expected .*auto.*, got "tandem/(speculate|cascade)", which needs 1 member`));
    assert.deepEqual(await wrongOf({ ...setup, team: new Team([]) }), [], 'where a member could not be opened, that is what is wrong');
  }
  const shared = { recipes: { speculate: {} }, members };
  await (await createTandem({ ...shared, store }, { env, team: team() })).close();
  const notes = (await setupChecks({ ...setupOf(shared), team: team() })).filter(({ state }) => state === 'note').map(({ message }) => message);
  assert.match(notes.join('\n'), /^recipes\.speculate: "speculate" needs 1 member[^\n]*$/);
  const routed = (choose: string): Setup => ({ ...setupOf({ defaultModel: 'tandem/route', recipes: { route: { choose } }, members }), team: team() });
  assert.deepEqual([(await wrongOf(routed('pair'))).length, (await wrongOf(routed('utility'))).length], [1, 0], 'the needs are those of the knobs that are set');
});

test('threads that cannot be had', async () => {
  const setup = setupOf({ gateway: { threads: 2 } });
  assert.notEqual(typeof servingThreads(setup.config, 2, env), 'number');
  assert.match((await wrongOf(setup)).join(), /^gateway\.threads: expected 1, got 2: the member "small" runs in this process/);
});

test('what no other check finds, building it finds', async () => {
  const [finding, more] = await togetherCheck(setupOf({ aliases: { a: 'nobody' } }));
  assert.deepEqual([finding?.state, finding?.code, more], ['wrong', 'config_invalid', undefined]);
  assert.deepEqual(await togetherCheck(setupOf({})), []);
});

test('all of them at once, and a key that was put in place of a variable is not shown', async (t) => {
  const secret = 'gsk_0123456789';
  const cwd = folder(t, {
    'tandem.config.json': JSON.stringify({
      members: { large: { engine: 'openai', baseUrl: 'http://127.0.0.1:1/v1', model: 'x', apiKeyEnv: secret } },
      gateway: { port: 0, keys: [{ name: 'a', keyEnv: `${secret}a`, models: ['nope'] }] },
      recipes: { cascade: { threshold: 5 } },
      routers: { r: './nope.bin' },
      aliases: { a: 'a' },
    }),
  });
  const [json, text] = await Promise.all([call(['doctor', '--json'], { cwd }), call(['doctor'], { cwd })]);
  assert.equal(json.code, 1);
  const { findings } = JSON.parse(json.stdout) as { readonly findings: readonly { readonly state: string; readonly message: string }[] };
  const all = findings.filter(({ state }) => state === 'wrong').map(({ message }) => message).join('\n');
  for (const path of ['members.large.apiKeyEnv', 'gateway.keys[0].keyEnv', 'gateway.keys[0].models[0]', 'recipes.cascade.threshold', '"r"', 'aliases.a']) assert.ok(all.includes(path), `${path} in\n${all}`);
  assert.doesNotMatch(json.stdout + text.stdout + text.stderr, /gsk_/);
});
