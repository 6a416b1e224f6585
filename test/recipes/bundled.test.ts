/** The recipes on the bundled pair: real weights, real laws, the whole pipeline. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test, { after, before } from 'node:test';
import { TandemError } from '../../src/errors.ts';
import type { Received, Sampling } from '../../src/exchange.ts';
import { createTandem, type Runtime } from '../../src/tandem.ts';
import type { TraceRecord } from '../../src/trace/trace.ts';

const weights = ['small', 'large'].every((name) => existsSync(new URL(`../../weights/${name}/model.gguf`, import.meta.url)));
const skip = weights ? false : 'weights/small and weights/large are not here';
const questions = ['Sort: wind sun fox clock', 'Uppercase: rain pear slow', 'Compute, left to right: 11 * 5', 'Intent: how are you doing', 'Tell me a story about a dog.'];

let runtime: Runtime;
const traces: TraceRecord[] = [];
before(async () => {
  if (weights) runtime = await createTandem({ store: { path: ':memory:' } }, { onTrace: (record) => void traces.push(record) });
});
after(() => runtime?.close());

async function answer(model: string, content: string, sampling: Sampling = {}, more: Partial<Received> = {}): Promise<{ readonly text: string; readonly trace: TraceRecord }> {
  const received: Received = { surface: 'library', model, prompt: { messages: [{ role: 'user', content }] }, sampling: { temperature: 0, tokensMax: 40, ...sampling }, answers: 1, policy: {}, knobs: {}, explain: false, key: undefined, ...more };
  const { parts } = await runtime.handle(received, new AbortController().signal);
  let text = '';
  for await (const part of parts) if (part.type === 'text') text += part.delta;
  const trace = traces.at(-1);
  assert.ok(trace !== undefined);
  return { text, trace };
}

test('every recipe answers on the bundled pair, with its calls in the trace', { skip }, async () => {
  for (const id of runtime.recipes.keys()) {
    const { text, trace } = await answer(`tandem/${id}`, questions[0] ?? '');
    assert.ok(text.length > 0, id);
    assert.equal(trace.outcome, 'ok', id);
    assert.ok(Object.values(trace.shares).some((tokens) => tokens > 0), id);
    assert.ok(trace.spans.some((span) => span.kind === 'call' && (span.usage?.completionTokens ?? 0) > 0), id);
  }
});

test('speculate writes what the large model writes, token for token, and says how it went', { skip }, async () => {
  for (const question of questions) {
    const [plain, drafted] = [await answer('large', question), await answer('tandem/speculate', question)];
    assert.equal(drafted.text, plain.text, question);
    const attributes = drafted.trace.spans.find((span) => span.name === 'speculate')?.attributes;
    assert.ok(Number(attributes?.['rounds']) > 0 && Number(attributes?.['accepted']) <= Number(attributes?.['drafted']), question);
  }
});

test('nano drafts for large, and stands at the bottom of a cascade', { skip }, async () => {
  const nano = existsSync(new URL('../../weights/nano/model.gguf', import.meta.url));
  assert.ok(nano, 'weights/nano is part of the bundle');
  const team = await createTandem({
    store: { path: ':memory:' },
    members: { nano: { engine: 'llama', file: 'bundled:nano', roles: ['small', 'draft'] }, large: { engine: 'llama', file: 'bundled:large', roles: ['large'] } },
  });
  const ask = async (model: string, content: string, knobs = {}): Promise<string> => {
    const { parts } = await team.handle({ surface: 'library', model, prompt: { messages: [{ role: 'user', content }] }, sampling: { temperature: 0, tokensMax: 40 }, answers: 1, policy: {}, knobs, explain: false, key: undefined }, new AbortController().signal);
    let text = '';
    for await (const part of parts) if (part.type === 'text') text += part.delta;
    return text;
  };
  try {
    for (const question of questions) assert.equal(await ask('tandem/speculate', question), await ask('large', question), question);
    assert.equal(await ask('tandem/cascade', questions[0] ?? '', { threshold: 0 }), await ask('nano', questions[0] ?? ''));
  } finally {
    await team.close();
  }
});

test('a cascade that accepts everything is the small model, one that accepts nothing the large one', { skip }, async () => {
  for (const question of questions) {
    for (const [threshold, model] of [[0, 'small'], [1, 'large']] as const) {
      assert.equal((await answer('tandem/cascade', question, {}, { knobs: { threshold } })).text, (await answer(model, question)).text);
    }
  }
});

test('a race hands its beginning over, and the other side continues it', { skip }, async () => {
  // a small model this fast may have said all of it in two parts
  for (const more of [{}, { topLogprobs: 1 }]) {
    const { text, trace } = await answer('tandem/race', questions[4] ?? '', { tokensMax: 60, seed: 7, ...more }, { knobs: { handover: 'to-large', handoverTokens: 4, largeDelayMs: 5000 } });
    assert.ok(text.length > 0);
    assert.equal(trace.spans.flatMap((span) => span.decisions).find(({ name }) => name === 'race.handover')?.chosen, 'large');
    assert.ok((trace.shares['large'] ?? 0) > 0);
    const share = trace.shares['small'] ?? 0;
    assert.ok(share > 0 && share < 20, `${share}: of the answer, not of all that came of the call`);
  }
});

test('self-consistency draws different samples, and the same seed gives the same answer', { skip }, async () => {
  const asked = { knobs: { test: 'self-consistency', samples: 4, threshold: 0 } };
  const first = await answer('tandem/cascade', questions[4] ?? '', { seed: 3 }, asked);
  assert.equal((await answer('tandem/cascade', questions[4] ?? '', { seed: 3 }, asked)).text, first.text);
  assert.equal(first.trace.spans.filter((span) => span.kind === 'call').length, 4);
});

test('what the pair cannot do is refused by name', { skip }, async () => {
  const refused = async (model: string, more: Partial<Received>): Promise<string> => {
    try {
      await answer(model, 'x', {}, more);
    } catch (error) {
      return TandemError.from(error).code;
    }
    return 'answered';
  };
  assert.equal(await refused('tandem/speculate', { prompt: { messages: [{ role: 'user', content: 'x' }], tools: [{ name: 'f' }] } }), 'parameter_unsupported');
  assert.equal(await refused('tandem/cascade', { knobs: { test: 'consensus' } }), 'recipe_unavailable');
  assert.equal(await refused('small', { policy: { limits: { places: ['cloud'] } } }), 'policy_violated');
});
