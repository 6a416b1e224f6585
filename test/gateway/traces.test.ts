/** What traces hold of a request that the gateway took, on a real runtime: names that exist, marks, never text. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import { Team } from '../../src/models/team.ts';
import { systemClock } from '../../src/system/clock.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';
import { fake } from '../recipes/fake-model.ts';
import { withGateway } from './fake-runtime.ts';

async function withRuntime(use: (url: string, runtime: Runtime) => Promise<void>): Promise<void> {
  const team = new Team([fake({ id: 'small', answer: { text: 'hello' } }, systemClock)]);
  const runtime = await createTandem({ store: { path: ':memory:' }, gateway: { port: 0 }, aliases: { nick: 'small' } }, { team, env: {} });
  try {
    await withGateway(runtime, (url) => use(url, runtime));
  } finally {
    await runtime.close();
  }
}

const post = (url: string, path: string, body: object): Promise<Response> => fetch(`${url}/v1/${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const traceOf = async (url: string, reply: Response): Promise<TraceRecord> => (await (await fetch(`${url}/tandem/traces/${reply.headers.get('x-tandem-trace')}`)).json()) as TraceRecord;
const messages = [{ role: 'user', content: 'hi' }];

test('a model id that does not exist is not kept, others are', async () => {
  await withRuntime(async (url) => {
    for (const [model, kept] of [['small', 'small'], ['nick', 'nick'], ['tandem/auto', 'tandem/auto'], ['my name is Ann', '(unknown)'], ['tandem/my name is Ann', '(unknown)'], [undefined, 'tandem/auto']] as const) {
      const trace = await traceOf(url, await post(url, 'chat/completions', { model, messages }));
      assert.equal(trace.requestedModel, kept);
      assert.doesNotMatch(JSON.stringify(trace), /Ann/);
    }
    const refused = await traceOf(url, await post(url, 'chat/completions', { model: 'small', messages: 'hi Ann' }));
    assert.deepEqual([refused.outcome, refused.requestedModel, refused.caller], ['parameter_invalid', '(unknown)', 'anonymous']);
  });
});

test('an end-user id leaves its mark in the trace, the same for the same user, and is not kept', async () => {
  await withRuntime(async (url) => {
    const mark = createHash('sha256').update('ann@example.org').digest('hex').slice(0, 12);
    for (const [path, body] of [['chat/completions', { messages, user: 'ann@example.org' }], ['chat/completions', { messages, safety_identifier: 'ann@example.org' }], ['completions', { prompt: 'a', user: 'ann@example.org' }], ['responses', { input: 'a', user: 'ann@example.org' }]] as const) {
      const trace = await traceOf(url, await post(url, path, { model: 'small', ...body }));
      assert.equal(trace.spans.find(({ name }) => name === 'admit')?.attributes['endUser'], mark, path);
      assert.doesNotMatch(JSON.stringify(trace), /ann@/);
    }
    const without = await traceOf(url, await post(url, 'chat/completions', { model: 'small', messages }));
    assert.doesNotMatch(JSON.stringify(without), /endUser/);
  });
});

test('pages go on where the one before ended, also within a millisecond', async () => {
  await withRuntime(async (url, runtime) => {
    const { data } = (await (await fetch(`${url}/tandem/traces`)).json()) as { data: unknown[] };
    assert.deepEqual(data, []);
    await post(url, 'chat/completions', { model: 'small', messages });
    const sample = (await runtime.store.listTraces({}))[0] as TraceRecord;
    for (let n = 0; n < 5; n++) runtime.store.writeTrace({ ...sample, spans: [], id: String(n).repeat(32), startedAtMs: 1_000 });
    const ids: string[] = [];
    let query = '?limit=2';
    for (let pages = 0; pages < 9; pages++) {
      const page = (await (await fetch(`${url}/tandem/traces${query}`)).json()) as { data: { id: string }[]; nextBefore: number | null; nextBeforeId: string | null };
      ids.push(...page.data.map(({ id }) => id));
      if (page.nextBefore === null) break;
      query = `?limit=2&before=${page.nextBefore}&beforeId=${page.nextBeforeId}`;
    }
    assert.deepEqual(ids, [sample.id, ...[4, 3, 2, 1, 0].map((n) => String(n).repeat(32))]);
    for (const wrong of ['?beforeId=x&before=1', `?beforeId=${'0'.repeat(32)}`]) assert.equal((await fetch(`${url}/tandem/traces${wrong}`)).status, 400);
  });
});
