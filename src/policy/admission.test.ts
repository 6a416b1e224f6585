import assert from 'node:assert/strict';
import test from 'node:test';
import { parseConfig, type ConfigInput } from '../config.ts';
import { TandemError, type ErrorCode } from '../errors.ts';
import type { Admitted, Received } from '../exchange.ts';
import { Team, type AnyMember } from '../models/team.ts';
import type { Store } from '../store/store.ts';
import type { Clock } from '../system/clock.ts';
import { Trace, type TraceRecord } from '../trace/trace.ts';
import { createAdmission, type Admission } from './admission.ts';

const member = (id: string, place: string, contextTokensMax?: number): AnyMember => ({ id, roles: [id], model: { id, engine: 'fake', place, abilities: { levels: ['L0'], contextTokensMax } } }) as unknown as AnyMember;
const team = new Team([member('small', 'device', 256), member('large', 'cloud')]);

class TestClock implements Clock {
  nowMs = Date.UTC(2025, 0, 1, 12);
  wallMs(): number {
    return this.nowMs;
  }
  monotonicMs(): number {
    return this.nowMs;
  }
  async sleep(): Promise<void> {}
}

interface Bench {
  readonly admission: Admission;
  readonly clock: TestClock;
  admit(received?: Partial<Received>, id?: string, signal?: AbortSignal): Promise<Admitted>;
  settle(id: string, tokens: number, costUsd: number): void;
}

function bench(input: ConfigInput = {}, env: Record<string, string> = {}, spent: (sinceMs: number) => Promise<number> = async () => 0): Bench {
  const clock = new TestClock();
  const store = { spentUsd: (_: string, sinceMs: number) => spent(sinceMs) } as unknown as Store;
  const admission = createAdmission({ config: parseConfig(input), team, recipes: new Set(['auto', 'cascade']), store, clock, env });
  let count = 0;
  return {
    admission,
    clock,
    admit: async (received = {}, id = `t${count++}`, signal = new AbortController().signal) => {
      const trace = new Trace(id, clock, { surface: 'chat', requestedModel: '' });
      const whole: Received = { surface: 'chat', model: 'tandem/auto', prompt: { messages: [{ role: 'user', content: 'x'.repeat(32) }] }, sampling: {}, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined, ...received };
      return admission.admit(whole, { trace, signal }, trace.root);
    },
    settle: (id, tokens, costUsd) => admission.settle({ id, usage: { promptTokens: tokens, completionTokens: 0, costUsd } } as TraceRecord),
  };
}

const failing = (code: ErrorCode, more: (error: TandemError) => boolean = () => true) => (error: unknown): boolean => TandemError.is(error) && error.code === code && more(error);

test('without keys everybody is anonymous; the library is never asked for one', async () => {
  assert.equal((await bench().admit()).caller.name, 'anonymous');
  const keyed = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A' }] } }, { A: 'k' });
  await assert.rejects(keyed.admit(), failing('key_missing'));
  await assert.rejects(keyed.admit({ key: 'K' }), failing('key_invalid'));
  assert.equal((await keyed.admit({ key: 'k' })).caller.name, 'a');
  assert.equal((await keyed.admit({ surface: 'library' })).caller.name, 'anonymous');
});

test('the trace notes what was asked for, and nothing of what is default', async () => {
  const { admission, clock } = bench();
  const noted = async (changes: Partial<Received>): Promise<Record<string, unknown>> => {
    const trace = new Trace('t', clock, { surface: 'chat', requestedModel: '' });
    const received: Received = { surface: 'chat', model: 'tandem/auto', prompt: { messages: [] }, sampling: {}, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined, whole: true, ...changes };
    await admission.admit(received, { trace, signal: new AbortController().signal }, trace.root);
    const { model, objective, privacyClass, tokensMax, ...rest } = trace.finish('ok').spans[0]?.attributes ?? {};
    return rest;
  };
  assert.deepEqual(await noted({}), {});
  assert.deepEqual(await noted({ surface: 'embeddings', whole: false }), {});
  assert.deepEqual(await noted({ whole: false, answers: 3, sampling: { seed: 0, topK: 40, format: { type: 'json' } } }), { stream: true, answers: 3, seed: 0, topK: 40, outputType: 'json' });
  assert.deepEqual([await noted({ sampling: { format: { type: 'text' } } }), await noted({ sampling: { format: { type: 'grammar', gbnf: 'root ::= "x"' } } })], [{ outputType: 'text' }, {}]);
});

test('keys: from the environment or as SHA-256; mistakes are found when building', async () => {
  const digest = '2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683'; // of "key"
  assert.equal((await bench({ gateway: { keys: [{ name: 'a', sha256: digest }] } }).admit({ key: 'key' })).caller.name, 'a');
  assert.throws(() => bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A' }] } }), failing('config_invalid', ({ param }) => param === 'gateway.keys[0].keyEnv'));
  assert.throws(() => bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A' }, { name: 'b', keyEnv: 'B' }] } }, { A: 'k', B: 'k' }), failing('config_invalid', ({ param }) => param === 'gateway.keys[1]'));
});

test('models: default, aliases of aliases, unknown; keys may be bound to some', async () => {
  const { admit, admission } = bench({ aliases: { 'gpt-4o': 'nick', nick: 'large' }, defaultModel: 'tandem/cascade', gateway: { keys: [{ name: 'a', keyEnv: 'A', models: ['gpt-4o', 'small'] }] } }, { A: 'k' });
  assert.equal((await admit({ key: 'k', model: 'gpt-4o' })).model, 'large');
  await assert.rejects(admit({ key: 'k', model: 'large' }), failing('key_forbidden'));
  await assert.rejects(admit({ key: 'k', model: 'nobody' }), failing('model_not_found'));
  await assert.rejects(admit({ key: 'k', model: '' }), failing('key_forbidden'));
  const identity = admission.identify('k');
  assert.deepEqual(['gpt-4o', 'small', 'large'].map((id) => identity.mayUse(id)), [true, true, false]);
  assert.equal((await bench({ defaultModel: 'tandem/cascade' }).admit({ model: '' })).model, 'tandem/cascade');
  for (const taken of ['small', 'tandem/cascade', 'tandem/embed']) assert.throws(() => bench({ aliases: { [taken]: 'large' } }), failing('config_invalid', ({ param }) => param === `aliases.${taken}`));
  assert.throws(() => bench({ aliases: { a: 'nobody' } }), failing('config_invalid', ({ param }) => param === 'aliases.a'));
  assert.throws(() => bench({ aliases: { a: 'b', b: 'a' } }), failing('config_invalid'));
  assert.throws(() => bench({ defaultModel: 'nobody' }), failing('config_invalid', ({ param }) => param === 'defaultModel'));
});

test('a request tightens the policy and never loosens it', async () => {
  const { admit } = bench({ policy: { costUsdMaxPerRequest: 0.5, totalMsMax: 10_000, privacyClass: 'standard', objective: 'cost' } });
  assert.deepEqual((await admit()).policy, { objective: 'cost', privacyClass: 'standard', limits: { totalMs: 10_000, costUsdMax: 0.5 } });
  assert.deepEqual((await admit({ policy: { limits: { costUsdMax: 9, totalMs: 99_999 } } })).policy.limits, { totalMs: 10_000, costUsdMax: 0.5 });
  assert.deepEqual((await admit({ policy: { limits: { costUsdMax: 0.1, totalMs: 5, members: ['small'] } } })).policy.limits, { totalMs: 5, costUsdMax: 0.1, members: ['small'] });
  assert.deepEqual((await admit({ policy: { privacyClass: 'confidential', limits: { places: ['device', 'cloud'] } } })).policy.limits.places, ['device']);
  assert.deepEqual((await admit({ policy: { privacyClass: 'confidential' } })).policy.limits.places, ['device', 'edge']);
  await assert.rejects(admit({ policy: { privacyClass: 'open' } }), failing('parameter_invalid'));
  assert.equal((await bench({ policy: { privacyClass: 'open' } }).admit({ policy: { privacyClass: 'standard' } })).policy.privacyClass, 'standard');
});

test('length of the answer: default within the context, maximum, context', async () => {
  const { admit } = bench({ policy: { answerTokensMax: 1_000, answerTokensDefault: 400 } });
  assert.equal((await admit({ model: 'large' })).sampling.tokensMax, 400);
  assert.equal((await admit({ model: 'small' })).sampling.tokensMax, 128, 'half of the context');
  assert.equal((await admit({ model: 'large', sampling: { tokensMax: 1_000 } })).sampling.tokensMax, 1_000);
  await assert.rejects(admit({ sampling: { tokensMax: 1_001 }, surface: 'responses' }), failing('parameter_invalid', ({ param }) => param === 'max_output_tokens'));
  await assert.rejects(admit({ model: 'small', sampling: { tokensMax: 256 }, surface: 'completions' }), failing('context_too_long', ({ param }) => param === 'max_tokens'));
});

test('requests a minute: a window that slides', async () => {
  const { admit, clock } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', requestsPerMinute: 2 }] } }, { A: 'k' });
  await admit({ key: 'k' });
  clock.nowMs += 30_000;
  await admit({ key: 'k' });
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited', ({ retryAfterMs }) => retryAfterMs === 30_000));
  clock.nowMs += 29_999;
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited'));
  clock.nowMs += 1;
  await admit({ key: 'k' });
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited', ({ retryAfterMs }) => retryAfterMs === 30_000));
});

test('tokens a minute: estimated while running, real afterwards', async () => {
  const { admit, settle, clock } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', tokensPerMinute: 25 }] } }, { A: 'k' });
  await admit({ key: 'k' }, 'one'); // 32 characters and a message: 10 tokens
  await admit({ key: 'k' }, 'two');
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited', ({ retryAfterMs }) => (retryAfterMs ?? 0) >= 1_000));
  settle('two', 1, 0);
  await admit({ key: 'k' }, 'three');
  settle('one', 20, 0);
  settle('three', 3, 0);
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited', ({ retryAfterMs }) => retryAfterMs === 60_000));
  clock.nowMs += 60_000;
  await admit({ key: 'k' });
});

test('dollars a day: what the store knows, what was spent since, and a new day', async () => {
  const since: number[] = [];
  const { admit, settle, clock } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', costUsdPerDay: 1 }] } }, { A: 'k' }, async (sinceMs) => (since.push(sinceMs), 0.9));
  await Promise.all([admit({ key: 'k' }, 'one'), admit({ key: 'k' }, 'two')]);
  assert.deepEqual(since, [Date.UTC(2025, 0, 1)], 'read once');
  settle('one', 1, 0.05);
  const third = await admit({ key: 'k' }, 'three');
  assert.ok(Math.abs((third.policy.limits.costUsdMax ?? 0) - 0.05) < 1e-9, 'what is left is what a request may cost');
  assert.equal((await admit({ key: 'k', policy: { limits: { costUsdMax: 0.01 } } }, 'four')).policy.limits.costUsdMax, 0.01);
  settle('two', 1, 0.06);
  await assert.rejects(admit({ key: 'k' }), failing('budget_exhausted'));
  clock.nowMs += 12 * 3_600_000;
  await admit({ key: 'k' });
  assert.equal(since.length, 1);
});

test('dollars of a day: what calls set aside is kept from others until it is settled or its request has ended', async () => {
  const { admit, settle, clock } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', costUsdPerDay: 1 }, { name: 'b', keyEnv: 'B' }] } }, { A: 'k', B: 'other' });
  const [one, two] = [(await admit({ key: 'k' }, 'one')).keyPurse, (await admit({ key: 'k' }, 'two')).keyPurse];
  assert.ok(one !== undefined && two !== undefined);
  assert.equal((await admit({ key: 'other' })).keyPurse, undefined);
  assert.equal(one.take(0.25, 0.5), 0.5);
  assert.equal(two.take(0.25, 0.75), 0.5, 'what is left');
  assert.equal(two.take(0.25, 0.25), undefined);
  const third = await admit({ key: 'k' }, 'three');
  assert.equal(third.policy.limits.costUsdMax, 0, 'may use free members');
  one.settle(0.5, 0.125);
  assert.equal(two.leftUsd, 0.375, 'what a call cost stays set aside until its request is counted');
  settle('one', 1, 0.125);
  assert.equal(two.leftUsd, 0.375);
  assert.equal(one.take(0.125, 0.125), undefined, 'its request has ended');
  one.settle(0.5, 0);
  assert.equal(two.leftUsd, 0.375);
  settle('two', 1, 0);
  assert.equal(third.keyPurse?.leftUsd, 0.875, 'a call that never settled gives back with its request');
  assert.equal(third.keyPurse?.take(0.5, 0.5), 0.5);
  clock.nowMs += 12 * 3_600_000;
  assert.equal((await admit({ key: 'k' })).policy.limits.costUsdMax, 0.5, 'what runs over midnight is spent on the new day');
});

test('a store that fails is asked again', async () => {
  let fails = true;
  const { admit } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', costUsdPerDay: 1 }] } }, { A: 'k' }, async () => {
    if (fails) throw new TandemError('store_failed', { message: 'no' });
    return 0;
  });
  await assert.rejects(admit({ key: 'k' }), failing('store_failed'));
  fails = false;
  await admit({ key: 'k' });
});

test('a store that falls silent keeps nobody: who leaves, or whose time is over, waits no longer and is not taken in', async () => {
  const silent = Promise.withResolvers<number>();
  const { admit } = bench({ gateway: { keys: [{ name: 'a', keyEnv: 'A', costUsdPerDay: 1, requestsPerMinute: 1 }] } }, { A: 'k' }, () => silent.promise);
  const client = new AbortController();
  const left = admit({ key: 'k', policy: { limits: { totalMs: 20_000 } } }, 'left', client.signal);
  client.abort();
  await assert.rejects(left, failing('cancelled'));
  await assert.rejects(admit({ key: 'k', policy: { limits: { totalMs: 5 } } }), failing('deadline_exceeded'));
  silent.resolve(0);
  await admit({ key: 'k' });
  await assert.rejects(admit({ key: 'k' }), failing('rate_limited'), 'only one was taken in');
});

test('settling what was never admitted changes nothing', () => {
  bench().settle('unknown', 5, 1);
});
