/** Embedding requests are under the same limits and in the same books as requests for text. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TandemError } from '../../src/errors.ts';
import { withGateway } from '../gateway/fake-runtime.ts';
import { deployed, price, type Deployed } from './deployment.ts';

const text = 'Write to ann@example.org about it.';
const settings = { embeddings: true, roles: ['embed'] };

async function embedded({ runtime }: Deployed, more: { readonly key?: string; readonly dimensions?: number; readonly model?: string } = {}, signal = new AbortController().signal): Promise<string> {
  try {
    const { key, model = 'large', dimensions } = more;
    await runtime.embed({ model, texts: [text], key, ...(dimensions === undefined ? {} : { dimensions }) }, signal);
    return 'ok';
  } catch (error) {
    return TandemError.from(error).code;
  }
}

test('the caps on dollars hold', async () => {
  const tokenUsd = 1_000_000 / 100; // a cent a token; 12 tokens counted by the server
  const daily = await deployed({ ...settings, price: price(tokenUsd, 0) }, { policy: { costUsdPerDay: 1 } });
  const outcomes: string[] = [];
  for (let n = 0; n < 5; n++) outcomes.push(await embedded(daily));
  const spent = daily.traces.reduce((sum, { usage }) => sum + usage.costUsd, 0);
  assert.ok(outcomes.includes('ok') && outcomes.at(-1) === 'budget_exhausted', outcomes.join(' '));
  assert.ok(spent > 0 && spent <= 1, String(spent));
  const each = await deployed({ ...settings, price: price(tokenUsd, 0) }, { policy: { costUsdMaxPerRequest: 0.01 } });
  assert.equal(await embedded(each), 'budget_exhausted');
  assert.equal(each.mock.requests.length, 0);
  assert.equal(await embedded(await deployed(settings, { policy: { costUsdMaxPerRequest: 1 } })), 'cost_unknown');
});

test('the day of a key holds for requests at once', async () => {
  const kitchen = await deployed({ ...settings, price: price(1_000_000 / 100, 0) }, { gateway: { keys: [{ name: 'team', keyEnv: 'KEY', costUsdPerDay: 0.5 }] } }, { env: { KEY: 'secret' } });
  const outcomes = await Promise.all(Array.from({ length: 10 }, () => embedded(kitchen, { key: 'secret' })));
  assert.ok(outcomes.includes('ok') && outcomes.includes('budget_exhausted'), outcomes.join(' '));
  const spent = kitchen.traces.reduce((sum, { usage }) => sum + usage.costUsd, 0);
  assert.ok(spent > 0 && spent <= 0.5, String(spent));
});

test('the time that a request may take holds, and a client who leaves is booked', async () => {
  const late = await deployed({ ...settings, price: price(1, 0) }, { policy: { totalMsMax: 250 } });
  late.mock.behave({ kind: 'silence' });
  assert.equal(await embedded(late), 'deadline_exceeded');
  assert.ok((late.traces[0]?.usage.costUsd ?? 0) > 0 && (late.traces[0]?.usage.bytesUp ?? 0) > 0);
  const left = await deployed({ ...settings, price: price(1, 0) });
  left.mock.behave({ kind: 'silence' });
  const stop = new AbortController();
  const answer = embedded(left, {}, stop.signal);
  for (let tries = 0; left.mock.requests.length === 0 && tries < 5_000; tries++) await new Promise((resolve) => setTimeout(resolve, 1));
  stop.abort();
  assert.equal(await answer, 'cancelled');
  assert.ok((left.traces[0]?.usage.promptTokens ?? 0) > 0);
  assert.equal(await embedded(left, {}, AbortSignal.abort()), 'cancelled');
});

test('the trace tells the stages, what was hidden, the bytes and the tokens', async () => {
  const kitchen = await deployed({ ...settings, price: price(1, 0) });
  assert.equal(await embedded(kitchen), 'ok');
  const [trace] = kitchen.traces;
  assert.deepEqual([trace?.recipe, trace?.hidden], ['embed', { email: 1 }]);
  assert.ok(!JSON.stringify(kitchen.mock.requests[0]?.body).includes('ann@'));
  assert.deepEqual(trace?.spans.map(({ name, kind }) => `${kind} ${name}`), ['stage request', 'stage admit', 'stage guard-input', 'stage privacy-mask', 'recipe embed', 'call call large']);
  const { usage } = trace ?? assert.fail('no trace');
  assert.ok(usage.promptTokens > 0 && usage.bytesUp > 50 && usage.bytesDown > 50 && usage.costUsd > 0);
});

test('a confidential deployment asks no member in the cloud for vectors', async () => {
  const kitchen = await deployed(settings, { policy: { privacyClass: 'confidential' } });
  assert.equal(await embedded(kitchen), 'policy_violated');
  assert.equal(await embedded(kitchen, { model: 'tandem/embed' }), 'ok', 'the bundled table on this device');
  assert.equal(kitchen.mock.requests.length, 0);
});

test('the reply names the trace, of a failure too', async () => {
  const { mock, runtime, traces } = await deployed({ ...settings, price: price(1, 0) }, { gateway: { port: 0 } });
  await withGateway(runtime, async (url) => {
    const ask = (): Promise<Response> => fetch(`${url}/v1/embeddings`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'large', input: text }) });
    const fine = await ask();
    mock.behave({ kind: 'status', status: 500 });
    const failed = await ask();
    assert.deepEqual([fine.status, failed.status >= 500], [200, true]);
    assert.deepEqual([fine, failed].map(({ headers }) => headers.get('x-tandem-trace')), traces.map(({ id }) => id));
    assert.deepEqual(traces.map(({ outcome }) => outcome), ['ok', 'upstream_failed']);
  });
});
