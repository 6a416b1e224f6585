/** Calls that are broken off are booked: nothing where nothing was sent, else an estimate that is marked as one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Received } from '../../src/exchange.ts';
import { openAiSdkModel } from '../../src/models/ai-sdk/index.ts';
import type { Traffic } from '../../src/models/port.ts';
import type { SpanRecord, TraceRecord } from '../../src/trace/trace.ts';
import { gather, quietCall, says } from '../conformance/asking.ts';
import type { Misbehaviour } from '../conformance/mock-openai.ts';
import { settingsOf, testContext } from '../conformance/settings.ts';
import { deployed, price, type Deployed } from './deployment.ts';

/** 1,500 characters and a message: 504 tokens, estimated high. */
const long: Partial<Received> = { prompt: { messages: [{ role: 'user', content: 'x'.repeat(1_500) }] } };
const promptTokens = 504;
const whole = { ...long, whole: true };

const callOf = ({ spans }: TraceRecord): SpanRecord => spans.find(({ kind }) => kind === 'call') ?? assert.fail('no call');

/** Resolves when the server has the request. */
async function arrived({ mock }: Deployed, requests: number): Promise<void> {
  for (let tries = 0; mock.requests.length < requests && tries < 5_000; tries++) await new Promise((resolve) => setTimeout(resolve, 1));
}

const kitchen = await deployed({ price: price(1, 10), connectionsMax: 1 });

describe('a call that is broken off', () => {
  /** The trace of a request that the client leaves once the server has it. */
  async function left(received: Partial<Received>, how: Misbehaviour): Promise<TraceRecord> {
    const { mock, outcome, traces } = kitchen;
    mock.behave(how);
    const stop = new AbortController();
    const asked = mock.requests.length;
    const answer = outcome(received, stop.signal);
    await arrived(kitchen, asked + 1);
    await new Promise((resolve) => setTimeout(resolve, 10)); // what the server sends may come
    stop.abort();
    assert.equal(await answer, 'cancelled');
    return traces.at(-1) as TraceRecord;
  }

  test('whole, by the client: its prompt and the answer that was allowed, marked as an estimate', async () => {
    const trace = await left(whole, { kind: 'silence' });
    const { usage, attributes } = callOf(trace);
    assert.deepEqual([usage?.promptTokens, usage?.completionTokens, attributes['usageEstimated']], [promptTokens, 16, true]);
    assert.ok(Math.abs(trace.usage.costUsd - (promptTokens + 160) / 1e6) < 1e-12);
    assert.ok((usage?.bytesUp ?? 0) > 1_500);
  });

  test('streamed, by the client: its prompt and what has come, with the bytes', async () => {
    const silent = callOf(await left(long, { kind: 'silence' }));
    assert.deepEqual([silent.usage?.promptTokens, silent.usage?.completionTokens, silent.usage?.bytesDown], [promptTokens, 0, 0]);
    const { usage, attributes } = callOf(await left(long, { kind: 'stall', events: 3 }));
    assert.equal(attributes['usageEstimated'], true);
    assert.ok((usage?.completionTokens ?? 0) >= 1 && (usage?.completionTokens ?? 0) < 16);
    assert.ok((usage?.bytesUp ?? 0) > 1_500 && (usage?.bytesDown ?? 0) > 100, `${usage?.bytesUp} up, ${usage?.bytesDown} down`);
  });

  test('by the deadline, by a time-out, by a connection that is lost', async () => {
    const { mock, outcome, traces } = await deployed({ price: price(1, 10), totalTimeoutMs: 500 });
    const ways: readonly [Partial<Received>, Misbehaviour, string][] = [
      [{ ...whole, policy: { limits: { totalMs: 250 } } }, { kind: 'silence' }, 'deadline_exceeded'],
      [whole, { kind: 'silence' }, 'upstream_timeout'],
      [whole, { kind: 'reset' }, 'upstream_unreachable'],
    ];
    for (const [received, how, code] of ways) {
      mock.behave(how);
      assert.equal(await outcome(received), code);
      const { usage, attributes } = callOf(traces.at(-1) as TraceRecord);
      assert.deepEqual([usage?.promptTokens, usage?.completionTokens, attributes['usageEstimated']], [promptTokens, 16, true], code);
    }
    mock.behave({ kind: 'body', type: 'application/json', text: '{"choices":[{' });
    assert.equal(await outcome(whole), 'upstream_malformed');
    assert.equal(callOf(traces.at(-1) as TraceRecord).usage?.completionTokens, 0, 'all of the reply came, and no answer was in it');
  });

  test('what the server refused costs nothing, though its bytes count', async () => {
    const { mock, outcome, traces } = kitchen;
    for (const status of [400, 401, 429, 500]) {
      for (const received of [long, whole]) {
        mock.behave({ kind: 'status', status });
        assert.notEqual(await outcome(received), 'ok');
        const { usage, attributes } = callOf(traces.at(-1) as TraceRecord);
        assert.deepEqual([usage?.promptTokens, usage?.completionTokens, usage?.costUsd, attributes['usageEstimated']], [0, 0, 0, undefined], String(status));
        assert.ok((usage?.bytesUp ?? 0) > 1_500 && (usage?.bytesDown ?? 0) > 0);
      }
    }
  });

  test('what was never sent costs nothing: no server, no free connection', async () => {
    const nobody = await deployed({ price: price(1, 10), baseUrl: 'http://127.0.0.1:9/v1' });
    assert.equal(await nobody.outcome(whole), 'upstream_unreachable');
    const { mock, outcome, traces } = kitchen;
    mock.behave({ kind: 'silence' });
    const [holds, waits] = [new AbortController(), new AbortController()];
    const before = mock.requests.length;
    const held = outcome(whole, holds.signal);
    await arrived(kitchen, before + 1);
    const waiting = outcome(whole, waits.signal);
    await new Promise((resolve) => setTimeout(resolve, 10));
    waits.abort();
    assert.equal(await waiting, 'cancelled');
    for (const trace of [nobody.traces[0], traces.at(-1)] as TraceRecord[]) assert.deepEqual([trace.usage.promptTokens, trace.usage.costUsd, trace.usage.bytesUp], [0, 0, 0]);
    holds.abort();
    assert.equal(await held, 'cancelled');
  });
});

test('a key that leaves its requests uses its tokens and its dollars up all the same', async () => {
  for (const [limit, refused] of [[{ tokensPerMinute: 1_000 }, 'rate_limited'], [{ costUsdPerDay: 0.000_9 }, 'budget_exhausted']] as const) {
    const kitchen = await deployed({ price: price(1, 0) }, { gateway: { keys: [{ name: 'team', keyEnv: 'KEY', ...limit }] } }, { env: { KEY: 'secret' } });
    kitchen.mock.behave({ kind: 'silence' });
    for (let n = 1; n <= 3; n++) {
      const stop = new AbortController();
      const answer = kitchen.outcome({ ...whole, surface: 'chat', key: 'secret' }, stop.signal);
      if (n < 3 && !(n === 2 && refused === 'budget_exhausted')) {
        await arrived(kitchen, n);
        stop.abort();
        assert.equal(await answer, 'cancelled');
      } else assert.equal(await answer, refused);
    }
  }
});

test('who loses a race is booked with its bytes', async () => {
  const other = await deployed({}); // its server answers at once
  const kitchen = await deployed({ price: price(1, 10) }, { members: { small: { engine: 'openai', baseUrl: other.mock.url, model: 'mock', place: 'edge' } } });
  kitchen.mock.behave({ kind: 'silence' });
  other.mock.behave({ kind: 'slow', delayMs: 30 });
  assert.equal(await kitchen.outcome({ ...long, model: 'tandem/race' }), 'ok');
  const loser = kitchen.traces[0]?.spans.find(({ member }) => member === 'large');
  assert.deepEqual([loser?.attributes['left'], loser?.usage?.promptTokens, loser?.usage?.completionTokens], [true, promptTokens, 0]);
  assert.ok((loser?.usage?.bytesUp ?? 0) > 1_500);
});

test('an AI SDK model says what went out before its answer comes', async () => {
  const asked = Promise.withResolvers<void>();
  const hanging = { specificationVersion: 'v4', provider: 'p', modelId: 'm', supportedUrls: {}, doStream: () => new Promise(() => asked.resolve()), doGenerate: () => new Promise(() => asked.resolve()) };
  const refusing = { ...hanging, doGenerate: () => Promise.reject(Object.assign(new Error('no'), { name: 'AI_APICallError', statusCode: 429 })) };
  const open = (model: object): ReturnType<typeof openAiSdkModel> => openAiSdkModel('it', settingsOf<'ai-sdk'>({ engine: 'ai-sdk', model: model as never }), testContext());
  const traffic: Traffic = { bytesUp: 0, bytesDown: 0, work: 'none' };
  const stop = new AbortController();
  const answer = gather((await open(hanging)).generate({ prompt: says('hi') as never, sampling: {} }, quietCall({ whole: true, signal: stop.signal, traffic })));
  await asked.promise;
  assert.ok(traffic.work === 'unseen' && traffic.bytesUp > 0);
  stop.abort();
  await assert.rejects(answer, { code: 'cancelled' });
  await assert.rejects(gather((await open(refusing)).generate({ prompt: says('hi') as never, sampling: {} }, quietCall({ whole: true, traffic }))), { code: 'upstream_rate_limited' });
  assert.equal(traffic.work, 'none');
});
