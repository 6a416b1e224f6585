/** Limits in dollars hold whatever a request is made of and wherever its price comes from. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Attachment, Received, Sampling } from '../../src/exchange.ts';
import { promptTokensMax, promptTokensOf } from '../../src/recipes/prompt-size.ts';
import { Budget } from '../../src/recipes/budget.ts';
import { memoryLedger, Purse, Purses } from '../../src/policy/purse.ts';
import { fake, priced } from '../recipes/fake-model.ts';
import { virtualClock } from '../recipes/harness.ts';
import { deployed, price, requestOf } from './deployment.ts';

const wordy = { type: 'object', properties: { a: { type: 'string', description: 'x'.repeat(40_000) } }, required: ['a'], additionalProperties: false } as const;
const schema: Sampling = { tokensMax: 16, format: { type: 'json-schema', name: 'wordy', schema: wordy, strict: true } };
const attached = (type: Attachment['type']): Received['prompt'] => ({ messages: [{ role: 'user', content: 'What is it?', attachments: [{ type, value: {} }] }] });

test('everything that is sent counts for the size of a prompt: schema, grammar, stop texts, tools, calls', () => {
  const prompt = { messages: [{ role: 'user' as const, content: 'hello' }] };
  const [most, about] = [promptTokensMax(prompt), promptTokensOf(prompt)];
  const x = 'x'.repeat(3_000);
  const larger: readonly [Received['prompt'], Sampling][] = [
    [prompt, { format: { type: 'json-schema', name: 'a', schema: { description: x }, strict: true } }],
    [prompt, { format: { type: 'grammar', gbnf: x } }],
    [prompt, { stop: ['a', x] }],
    [{ ...prompt, tools: [{ name: 'a', description: x }] }, {}],
    [{ ...prompt, toolChoice: { name: x } }, {}],
    [{ messages: [{ role: 'tool', content: 'hello', toolCallId: x }] }, {}],
    [{ messages: [{ role: 'user', content: 'hello', name: x }] }, {}],
    [{ messages: [{ role: 'assistant', content: 'hello', toolCalls: [{ id: x, name: 'a', arguments: '' }] }] }, {}],
  ];
  for (const [each, sampling] of larger) {
    assert.ok(promptTokensMax(each, sampling) >= most + 3_000, JSON.stringify(sampling).slice(0, 60));
    assert.ok(promptTokensOf(each, sampling) >= about + 1_000, JSON.stringify(sampling).slice(0, 60));
  }
});

test('a long schema is refused where it would cost more than the request or the day may', async () => {
  for (const policy of [{ costUsdMaxPerRequest: 0.1 }, { costUsdPerDay: 0.2 }]) {
    const { mock, outcome } = await deployed({ price: price(100, 0) }, { policy });
    assert.equal(await outcome({ sampling: schema }), 'budget_exhausted', JSON.stringify(policy));
    assert.equal(await outcome(), 'ok');
    assert.equal(mock.requests.length, 1);
  }
});

test('a picture is set aside with what it may come to; a sound or file only where the member says how much that is', async () => {
  const clock = virtualClock();
  const large = fake({ id: 'large', place: 'cloud', price: priced(1_000, 0), answer: {} }, clock);
  const purse = new Purses([new Purse({ period: 'day', costUsd: 100 }, memoryLedger(), clock)]);
  await purse.prepare(100);
  for (const budget of [new Budget(100), new Budget(undefined, purse)]) {
    const { costUsd, taken } = budget.reserve(large, attached('image_url'), { tokensMax: 1 });
    assert.ok(Math.max(costUsd, taken?.costUsd ?? 0) > 49, '49152 tokens, a dollar for a thousand');
    for (const type of ['input_audio', 'file'] as const) assert.throws(() => budget.reserve(large, attached(type), { tokensMax: 1 }), { code: 'cost_unknown', member: 'large', message: /set attachmentTokensMax/ });
    const told = Object.assign(fake({ id: 'told', place: 'cloud', price: priced(1_000, 0), answer: {} }, clock), { attachmentTokensMax: 5_000 });
    const file = budget.reserve(told, attached('file'), { tokensMax: 1 });
    assert.ok(Math.abs(Math.max(file.costUsd, file.taken?.costUsd ?? 0) - 5) < 0.2);
    budget.settle(file, 0);
  }
  assert.doesNotThrow(() => new Budget(1).reserve(fake({ id: 'free', answer: {} }, clock), attached('file'), {}));
  assert.doesNotThrow(() => new Budget(undefined).reserve(large, attached('file'), {}));
});

test('a picture that may pass the cap of the day is refused before it is sent; one that fits is answered', async () => {
  const usage = { prompt_tokens: 5_000, completion_tokens: 5, total_tokens: 5_005 };
  const body = { kind: 'body', type: 'application/json', text: JSON.stringify({ choices: [{ message: { content: 'a cat' }, finish_reason: 'stop' }], usage }) } as const;
  for (const [attachmentTokensMax, expected] of [[undefined, 'budget_exhausted'], [1_500, 'ok']] as const) {
    const { mock, outcome } = await deployed({ price: price(1_000, 0), attachments: true, ...(attachmentTokensMax === undefined ? {} : { attachmentTokensMax }) }, { policy: { costUsdPerDay: 2 } });
    mock.behave(body);
    assert.equal(await outcome({ prompt: attached('image_url') }), expected);
    assert.equal(mock.requests.length, expected === 'ok' ? 1 : 0);
  }
});

test('a list price counts for every limit', async () => {
  const gpt = { model: 'gpt-4.1' };
  const long = { sampling: { tokensMax: 4_000 } };
  const { mock, outcome } = await deployed(gpt);
  assert.equal(await outcome({ ...long, policy: { limits: { costUsdMax: 0.001 } } }), 'ok');
  assert.ok(Number(mock.requests[0]?.body['max_tokens']) <= 125, 'eight dollars a million tokens: at most 125 for a tenth of a cent');
  assert.equal(await outcome({ ...long, policy: { limits: { costUsdMax: 0.000_001 } } }), 'budget_exhausted');
  const perRequest = await deployed(gpt, { policy: { costUsdMaxPerRequest: 0.001 } });
  assert.equal(await perRequest.outcome(long), 'ok');
  assert.ok(Number(perRequest.mock.requests[0]?.body['max_tokens']) <= 125);
  const daily = await deployed(gpt, { policy: { costUsdPerDay: 1 } });
  assert.equal(await daily.outcome(long), 'ok');
  assert.ok((daily.traces[0]?.usage.costUsd ?? 0) > 0);
  assert.equal(daily.traces[0]?.usage.priceKnown, undefined);
});

test('where dollars are limited, a member in the cloud without a known price is refused, and says what to set', async () => {
  const keys = [{ name: 'team', keyEnv: 'KEY', costUsdPerDay: 0.000_001 }];
  const ways: readonly [string, Parameters<typeof deployed>[1], Partial<Received>][] = [
    ['the request', {}, { policy: { limits: { costUsdMax: 1e-7 } } }],
    ['every request', { policy: { costUsdMaxPerRequest: 5 } }, {}],
    ['all requests', { policy: { costUsdPerMonth: 5 } }, {}],
    ['the key', { gateway: { keys } }, { surface: 'chat', key: 'secret' }],
  ];
  for (const [who, config, received] of ways) {
    const { mock, runtime, outcome } = await deployed({}, config, { env: { KEY: 'secret' } });
    assert.equal(await outcome(received), 'cost_unknown', who);
    assert.equal(mock.requests.length, 0, who);
    await assert.rejects(async () => {
      for await (const _ of (await runtime.handle(requestOf(received), new AbortController().signal)).parts);
    }, { message: /price of "large" is not known; set price for the member/, member: 'large' });
  }
  const { outcome } = await deployed({});
  assert.equal(await outcome(), 'ok', 'without a limit it answers');
});

test('a key whose day is nearly spent cannot spend more than is left with one request', async () => {
  const { mock, outcome } = await deployed({ price: price(0, 1_000_000) }, { gateway: { keys: [{ name: 'team', keyEnv: 'KEY', costUsdPerDay: 7 }] } }, { env: { KEY: 'secret' } });
  assert.equal(await outcome({ surface: 'chat', key: 'secret', sampling: { tokensMax: 100 } }), 'ok');
  assert.equal(mock.requests[0]?.body['max_tokens'], 7, 'a dollar a token');
});

