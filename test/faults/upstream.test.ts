/** What the `openai` engine makes of servers that misbehave: each fault its own code, in the stream too, and nothing hangs. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { TandemError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { openOpenAiModel } from '../../src/models/openai/index.ts';
import type { Call, Model, ModelPart } from '../../src/models/port.ts';
import type { Clock } from '../../src/system/clock.ts';
import { ask, quietCall, says } from '../conformance/asking.ts';
import { startMock } from '../conformance/mock-openai.ts';
import type { Misbehaviour, MockOpenAi } from '../conformance/mock-openai.ts';
import { settingsOf, testContext } from '../conformance/settings.ts';

const SECRET = 'the-secret-of-the-prompt';

/** A clock whose sleeps are over at once, and which remembers them. */
class LeapingClock implements Clock {
  readonly slept: number[] = [];
  #nowMs = 0;
  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(ms);
    this.#nowMs += ms;
  }
}

let mock: MockOpenAi;
let clock: LeapingClock;
const models: Model[] = [];
before(async () => {
  mock = await startMock({ answer: () => ' the small cat runs over the bridge' });
});
after(async () => {
  await Promise.all(models.map((model) => model.close()));
  await mock.close();
});
beforeEach(() => {
  clock = new LeapingClock();
  mock.behave(undefined);
});

async function open(fields: Partial<Parameters<typeof settingsOf<'openai'>>[0]> = {}, env = {}): Promise<Model> {
  const settings = settingsOf<'openai'>({ engine: 'openai', model: 'mock', place: 'edge', baseUrl: mock.url, retriesMax: 0, ...fields });
  const model = await openOpenAiModel('it', settings, testContext({ clock, env }));
  models.push(model);
  return model;
}

/** The text that came, and the error that ended it. */
async function failing(model: Model, call: Call = quietCall()): Promise<{ text: string; error: TandemError }> {
  let text = '';
  try {
    for await (const part of model.generate({ prompt: says(SECRET), sampling: {} }, call)) text += part.type === 'text' ? part.delta : '';
  } catch (error) {
    assert.ok(TandemError.is(error), `a TandemError, got ${String(error)}`);
    assert.ok(!error.message.includes(SECRET), 'no text of the prompt in the message');
    return { text, error };
  }
  assert.fail(`expected a failure, got an answer of ${text.length} characters`);
}

const status = (code: number, body?: string): Misbehaviour => ({ kind: 'status', status: code, ...(body === undefined ? {} : { body }) });
const faults: readonly [string, Misbehaviour, ErrorCode, ('stream' | 'whole')[]][] = [
  ['400', status(400), 'upstream_refused', ['stream', 'whole']],
  ['400 for a long context', status(400, '{"error":{"code":"context_length_exceeded"}}'), 'context_too_long', ['stream', 'whole']],
  ['404', status(404, 'not json'), 'upstream_refused', ['stream', 'whole']],
  ['401', status(401), 'upstream_auth', ['stream', 'whole']],
  ['403', status(403), 'upstream_auth', ['stream', 'whole']],
  ['408', status(408), 'upstream_timeout', ['stream', 'whole']],
  ['429', status(429), 'upstream_rate_limited', ['stream', 'whole']],
  ['500', status(500), 'upstream_failed', ['stream', 'whole']],
  ['503', status(503, '<html>'), 'upstream_failed', ['stream', 'whole']],
  ['a redirect', { kind: 'status', status: 302, headers: { location: '/' } }, 'upstream_malformed', ['stream', 'whole']],
  ['a connection that is reset', { kind: 'reset' }, 'upstream_unreachable', ['stream', 'whole']],
  ['an HTML page', { kind: 'body', type: 'text/html', text: '<html>hello</html>' }, 'upstream_malformed', ['stream', 'whole']],
  ['garbage of another type', { kind: 'body', type: 'text/plain', text: 'hello\nthere' }, 'upstream_malformed', ['stream', 'whole']],
  ['JSON without choices', { kind: 'body', type: 'application/json', text: '{"id":"x"}' }, 'upstream_malformed', ['stream', 'whole']],
  ['JSON with no choice', { kind: 'body', type: 'application/json', text: '{"choices":[]}' }, 'upstream_malformed', ['stream', 'whole']],
  ['half a JSON text', { kind: 'body', type: 'application/json', text: '{"choices":[{' }, 'upstream_malformed', ['stream', 'whole']],
  ['an error object with status 200', { kind: 'body', type: 'application/json', text: `{"error":{"message":"${SECRET}","type":"server_error"}}` }, 'upstream_failed', ['stream', 'whole']],
  ['an empty body', { kind: 'body', type: 'text/event-stream', text: '' }, 'upstream_truncated', ['stream']],
  ['garbage in the stream', { kind: 'garbage-event', events: 3 }, 'upstream_malformed', ['stream']],
  ['an error in the stream', { kind: 'error-event', events: 3, error: { message: SECRET, type: 'overloaded_error', code: 529 } }, 'upstream_failed', ['stream']],
  ['a stream that is cut', { kind: 'cut', events: 3 }, 'upstream_truncated', ['stream', 'whole']],
  ['a stream that ends early', { kind: 'early-end', events: 3 }, 'upstream_truncated', ['stream']],
  ['silence before the answer', { kind: 'silence' }, 'upstream_timeout', ['stream', 'whole']],
  ['silence within the answer', { kind: 'stall', events: 3 }, 'upstream_timeout', ['stream', 'whole']],
];

/** Time-outs that even a busy machine does not reach. */
const patient = { firstTokenTimeoutMs: 30_000, betweenTokensTimeoutMs: 30_000, totalTimeoutMs: 60_000 };

/** The one time-out that a fault is to reach: short, so that nobody waits, and of no matter to the others. */
function impatience(kind: Misbehaviour['kind'], form: 'stream' | 'whole'): Partial<typeof patient> {
  if (kind !== 'silence' && kind !== 'stall') return {};
  if (form === 'whole') return { totalTimeoutMs: 150 };
  return kind === 'silence' ? { firstTokenTimeoutMs: 150 } : { betweenTokensTimeoutMs: 150 };
}

describe('each fault has its own code', () => {
  for (const [name, how, code, forms] of faults) {
    for (const form of forms) {
      test(`${name}, ${form}`, async () => {
        mock.behave(how);
        const model = await open({ ...patient, ...impatience(how.kind, form) });
        const { text, error } = await failing(model, quietCall({ whole: form === 'whole' }));
        assert.equal(error.code, code, error.message);
        assert.equal(error.member, 'it');
        if ('events' in how && form === 'stream') assert.ok(' the small cat runs'.startsWith(text) && text.startsWith(' the'), 'the text before the fault was delivered');
      });
    }
  }
  test('a time-out says which one it was', async () => {
    mock.behave({ kind: 'silence' });
    assert.match((await failing(await open({ ...patient, firstTokenTimeoutMs: 100 }))).error.message, /firstTokenTimeoutMs/);
    mock.behave({ kind: 'stall', events: 2 });
    assert.match((await failing(await open({ ...patient, betweenTokensTimeoutMs: 100 }))).error.message, /betweenTokensTimeoutMs/);
    const short = await open({ ...patient, totalTimeoutMs: 100 });
    mock.behave({ kind: 'stall', events: 2 });
    assert.match((await failing(short)).error.message, /totalTimeoutMs/);
  });
  test('nobody listens', async () => {
    const { error } = await failing(await open({ baseUrl: 'http://127.0.0.1:9/v1' }));
    assert.equal(error.code, 'upstream_unreachable');
    assert.match(error.message, /ECONNREFUSED/);
  });
  test('the server does not speak HTTP', async (t) => {
    const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.write('SSH-2.0-nope\r\n')));
    t.after(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { error } = await failing(await open({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }));
    assert.equal(error.code, 'upstream_malformed');
  });
  test('the key is wrong, or its variable not set', async (t) => {
    const locked = await startMock({ key: 'right' });
    t.after(() => locked.close());
    const fields = { baseUrl: locked.url, apiKeyEnv: 'MOCK_KEY' };
    assert.equal((await failing(await open(fields, { MOCK_KEY: 'wrong' }))).error.code, 'upstream_auth');
    await assert.rejects((await open(fields, { MOCK_KEY: 'wrong' })).check(quietCall()), (error) => TandemError.is(error) && error.code === 'upstream_auth');
    assert.ok((await ask(await open(fields, { MOCK_KEY: 'right' }), says('hi'))).text.length > 0);
    await assert.rejects(open(fields), (error) => TandemError.is(error) && error.code === 'config_invalid');
  });
});

describe('what servers leave out is borne', () => {
  const cases: readonly [string, Misbehaviour][] = [
    ['no [DONE]', { kind: 'no-done' }],
    ['bytes one by one', { kind: 'bytes', each: 1 }],
    ['lines that end in CRLF, cut anywhere', { kind: 'bytes', each: 7, lineEnd: '\r\n' }],
    ['lines that end in CR', { kind: 'bytes', each: 5, lineEnd: '\r' }],
  ];
  for (const [name, how] of cases) {
    test(name, async () => {
      mock.behave(how);
      const { text, reason, usage } = await ask(await open(), says('hi'));
      assert.deepEqual([text, reason, usage.completionTokens], [' the small cat runs over the bridge', 'stop', 7]);
    });
  }
  for (const whole of [false, true]) {
    test(`no usage, ${whole ? 'whole' : 'streamed'}: it is estimated and marked`, async () => {
      mock.behave({ kind: 'no-usage' });
      const call = quietCall({ whole });
      const { usage } = await ask(await open(), says('hi'), {}, call);
      assert.ok(usage.completionTokens > 0 && usage.promptTokens > 0);
      assert.deepEqual(call.notes.map(([event]) => event), ['usage-estimated']);
    });
  }
  test('a whole reply to a request for a stream', async () => {
    mock.behave({ kind: 'body', type: 'application/json; charset=utf-8', text: '{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}' });
    assert.equal((await ask(await open(), says('hi'))).text, 'whole');
  });
});

describe('retries', () => {
  const again: readonly [string, Misbehaviour][] = [['429', status(429)], ['500', status(500)], ['408', status(408)]];
  for (const [name, how] of again) {
    test(`${name} twice, then an answer`, async () => {
      mock.behave(how, 2);
      const call = quietCall();
      assert.ok((await ask(await open({ retriesMax: 2 }), says('hi'), {}, call)).text.length > 0);
      assert.deepEqual(call.notes.map(([event, { attempt }]) => [event, attempt]), [['retry', 1], ['retry', 2]]);
      assert.equal(clock.slept.length, 2);
      assert.ok(clock.slept[0]! <= 250 && clock.slept[1]! <= 500, 'full jitter below the doubling bound');
    });
  }
  for (const whole of [false, true]) {
    test(`none where the request was sent and the connection lost, ${whole ? 'whole' : 'streamed'}: it may have been read and charged`, async () => {
      mock.behave({ kind: 'reset' });
      const before = mock.requests.length;
      const { error } = await failing(await open({ retriesMax: 3 }), quietCall({ whole }));
      assert.deepEqual([error.code, mock.requests.length - before, clock.slept.length], ['upstream_unreachable', 1, 0]);
      assert.match(error.message, /lost before the answer began/);
    });
  }
  test('where no connection could be made, nothing was sent, and it is tried again', async () => {
    const call = quietCall();
    assert.equal((await failing(await open({ retriesMax: 2, baseUrl: 'http://127.0.0.1:9/v1' }), call)).error.code, 'upstream_unreachable');
    assert.deepEqual(call.notes.map(([event]) => event), ['retry', 'retry']);
  });
  test('no more of them than allowed', async () => {
    mock.behave(status(500));
    const before = mock.requests.length;
    assert.equal((await failing(await open({ retriesMax: 3 }))).error.code, 'upstream_failed');
    assert.equal(mock.requests.length - before, 4);
  });
  test('none for a refusal, and none once text has come', async () => {
    const model = await open({ retriesMax: 3 });
    for (const how of [status(400), status(401), { kind: 'cut', events: 3 }, { kind: 'error-event', events: 3, error: { code: 500 } }, { kind: 'garbage-event', events: 0 }] as const) {
      mock.behave(how);
      const before = mock.requests.length;
      await failing(model);
      assert.equal(mock.requests.length - before, 1, JSON.stringify(how));
    }
  });
  test('one for an error that is the first thing in the stream', async () => {
    mock.behave({ kind: 'error-event', events: 0, error: { code: 500 } }, 1);
    assert.ok((await ask(await open({ retriesMax: 1 }), says('hi'))).text.length > 0);
  });
  test('Retry-After in seconds and as a date is waited for', async () => {
    const model = await open({ retriesMax: 1, retryAfterMsMax: 30_000 });
    mock.behave({ kind: 'status', status: 429, headers: { 'retry-after': '3' } }, 1);
    await ask(model, says('hi'));
    assert.ok(clock.slept[0]! >= 3_000 && clock.slept[0]! <= 3_251);
    mock.behave({ kind: 'status', status: 503, headers: { 'retry-after': new Date(clock.wallMs() + 20_000).toUTCString() } }, 1);
    await ask(model, says('hi'));
    assert.ok(clock.slept[1]! >= 15_000 && clock.slept[1]! <= 20_251, `waited ${clock.slept[1]}`);
  });
  test('Retry-After beyond the total time-out is handed on, not waited for', async () => {
    mock.behave({ kind: 'status', status: 429, headers: { 'retry-after': '120' } });
    const { error } = await failing(await open({ retriesMax: 5, totalTimeoutMs: 60_000 }));
    assert.deepEqual([error.code, error.retryAfterMs, clock.slept.length], ['upstream_rate_limited', 120_000, 0]);
  });
  test('Retry-After beyond the patience with a member is handed on at once: ten seconds over all retries, a quarter of one where another can take over', async () => {
    const model = await open({ retriesMax: 5 });
    const asking = (waitMs: number): Misbehaviour => ({ kind: 'status', status: 429, headers: { 'retry-after-ms': String(waitMs) } });
    const rows: readonly [number, boolean, number][] = [[10_001, false, 0], [4_000, false, 2], [4_000, true, 0], [251, true, 0], [100, true, 2]];
    for (const [waitMs, replaceable, waits] of rows) {
      mock.behave(asking(waitMs));
      clock.slept.length = 0;
      const { error } = await failing(model, quietCall({ replaceable }));
      assert.deepEqual([error.code, error.retryAfterMs, clock.slept.length], ['upstream_rate_limited', waitMs, waits], `${waitMs} ms, ${replaceable}`);
    }
  });
  test('used-up quota is not tried again', async () => {
    mock.behave(status(429, '{"error":{"type":"insufficient_quota"}}'));
    await failing(await open({ retriesMax: 5 }));
    assert.equal(clock.slept.length, 0);
  });
});

describe('cancelling', () => {
  const forms: readonly [string, Misbehaviour | undefined, boolean][] = [['before the first byte', { kind: 'silence' }, false], ['within the stream', { kind: 'stall', events: 3 }, false], ['a whole answer', { kind: 'stall', events: 0 }, true]];
  for (const [name, how, whole] of forms) {
    test(`${name} closes the connection`, async () => {
      mock.behave(how);
      const controller = new AbortController();
      const model = await open();
      const answer = failing(model, quietCall({ signal: controller.signal, whole }));
      const before = mock.requests.length;
      while (mock.requests.length === before) await new Promise((resolve) => setTimeout(resolve, 2));
      await new Promise((resolve) => setTimeout(resolve, 20));
      const abortedMs = performance.now();
      controller.abort();
      assert.equal((await answer).error.code, 'cancelled');
      const request = mock.requests.at(-1);
      await request?.ended;
      assert.equal(request?.cancelled, true);
      assert.ok(performance.now() - abortedMs < 1_000);
    });
  }
  test('leaving the loop closes the connection', async () => {
    mock.behave({ kind: 'stall', events: 3 });
    for await (const part of (await open()).generate({ prompt: says('hi'), sampling: {} }, quietCall()) as AsyncIterable<ModelPart>) if (part.type === 'text') break;
    const request = mock.requests.at(-1);
    await request?.ended;
    assert.equal(request?.cancelled, true);
  });
  test('a call that waits for a connection can be stopped', async () => {
    const model = await open({ connectionsMax: 1 });
    mock.behave({ kind: 'silence' });
    const [first, second] = [new AbortController(), new AbortController()];
    const held = failing(model, quietCall({ signal: first.signal }));
    const waiting = failing(model, quietCall({ signal: second.signal }));
    await new Promise((resolve) => setTimeout(resolve, 20));
    second.abort();
    assert.equal((await waiting).error.code, 'cancelled');
    first.abort();
    assert.equal((await held).error.code, 'cancelled');
    mock.behave(undefined);
    assert.ok((await ask(model, says('hi'))).text.length > 0);
  });
  test('a retry that waits can be stopped', async () => {
    const controller = new AbortController();
    clock.sleep = (_ms, signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
    mock.behave(status(500));
    const answer = failing(await open({ retriesMax: 1 }), quietCall({ signal: controller.signal, note: () => setImmediate(() => controller.abort()) }));
    assert.equal((await answer).error.code, 'cancelled');
  });
});

describe('connections', () => {
  test('are used again, also after whole error replies', async (t) => {
    const own = await startMock();
    t.after(() => own.close());
    const model = await open({ baseUrl: own.url, connectionsMax: 4 });
    for (let i = 0; i < 12; i++) {
      own.behave(i % 3 === 0 ? status(500) : undefined);
      await ask(model, says('hi'), {}, quietCall({ whole: i % 2 === 0 })).catch(() => {});
    }
    assert.ok((await own.connections()) <= 2, 'the next call may begin before the last reply has quite ended');
    await Promise.all(Array.from({ length: 40 }, () => ask(model, says('hi'))));
    assert.ok((await own.connections()) <= 4);
  });
  test('a slow reader holds the server back instead of filling memory', async (t) => {
    const text = ' the cat'.repeat(2_000);
    const own = await startMock({ answer: () => text });
    t.after(() => own.close());
    const model = await open({ baseUrl: own.url });
    let got = '';
    for await (const part of model.generate({ prompt: says('hi'), sampling: { tokensMax: 10_000 } }, quietCall())) {
      if (part.type !== 'text') continue;
      got += part.delta;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal(got, text);
  });
});
