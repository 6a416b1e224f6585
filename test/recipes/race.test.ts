/** Race: first tokens, hand-over, losers, faults. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { cutAfter } from '../../src/recipes/handover-cut.ts';
import { fake, type FakeMember, type FakeSettings } from './fake-model.ts';
import { calls, serveOne, virtualClock, type Order, type Served } from './harness.ts';

interface Raced {
  readonly served: Served;
  readonly small: FakeMember;
  readonly large: FakeMember;
}

async function raced(small: Partial<FakeSettings>, large: Partial<FakeSettings>, order: Partial<Order> = {}): Promise<Raced> {
  const clock = virtualClock();
  const members = [fake({ id: 'small', answer: {}, ...small }, clock), fake({ id: 'large', place: 'cloud', answer: {}, ...large }, clock)] as const;
  const served = await serveOne(members, { model: 'tandem/race', ...order }, clock);
  return { served, small: members[0], large: members[1] };
}

test('whoever gives the first token is streamed, the other is stopped', async () => {
  for (const [smallMs, largeMs, text, loser] of [[5, 50, 'near one', 'large'], [50, 5, 'far one', 'small']] as const) {
    const { served, small, large } = await raced({ answer: { text: 'near one', firstMs: smallMs } }, { answer: { text: 'far one', firstMs: largeMs } });
    assert.equal(served.text, text);
    assert.equal({ small, large }[loser].stopped(), 1);
    assert.deepEqual(Object.keys(served.trace.shares), [loser === 'large' ? 'small' : 'large']);
    assert.equal(served.trace.spans.find((span) => span.member === loser)?.error, undefined, 'losing is no failure');
    assert.ok(served.trace.durationMs < 50);
  }
});

test('the loser is stopped when the race is decided, not when the answer is over', async () => {
  const { served } = await raced({ answer: { text: 'a b c d e f', firstMs: 1, betweenMs: 10 } }, { answer: { text: 'x', firstMs: 500 } });
  const [winner, loser] = ['small', 'large'].map((id) => served.trace.spans.find((span) => span.member === id)?.endMs ?? -1) as [number, number];
  assert.ok(loser < winner - 30, `${loser} and ${winner}`);
});

test('row 107: device and server race for the first token, and the text migrates to the side that shall write it', async () => {
  const { served, small, large } = await raced(
    { answer: { text: 'Once upon a time in a town', firstMs: 1, betweenMs: 10 } },
    { answer: ({ prompt }) => (prompt.prefix === undefined ? { text: 'never', firstMs: 500 } : { text: ' there was light', firstMs: 30 }) },
    { knobs: { handover: 'to-large', handoverTokens: 3 }, sampling: { tokensMax: 20 }, ask: 'a story' },
  );
  assert.equal(served.text, 'Once upon a there was light');
  assert.ok(served.decisions.includes('race.first=small') && served.decisions.includes('race.handover=large'));
  assert.equal(large.asked.at(-1)?.prompt.prefix, 'Once upon a');
  assert.deepEqual([small.asked.length, small.stopped()], [1, 1]);
  assert.deepEqual(served.trace.shares, { small: 3, large: 3 });
});

test('hand-over to an own member happens after so many tokens, with the tokens that are left', async () => {
  const { served, small, large } = await raced(
    { answer: ({ prompt }) => (prompt.prefix === undefined ? { text: 'slow', firstMs: 500 } : { text: ' five six', firstMs: 5 }) },
    { answer: { text: 'one two three four never', firstMs: 1, betweenMs: 1 } },
    { knobs: { handover: 'to-small', handoverTokens: 4 }, sampling: { tokensMax: 10 } },
  );
  assert.equal(served.text, 'one two three four five six');
  assert.equal(small.asked.at(-1)?.prompt.prefix, 'one two three four');
  assert.equal(small.asked.at(-1)?.sampling.tokensMax, 6);
  assert.equal(large.stopped(), 1);
  assert.deepEqual(served.trace.shares, { large: 4, small: 2 });
  assert.equal(served.parts.filter((part) => part.type === 'finish').length, 1);
});

test('a cloud member continues only where no private value can be half written, and reads it masked', async () => {
  const { served, large } = await raced(
    { answer: { text: 'Ask ann@example.org or phone 5 55 now or never', firstMs: 1, betweenMs: 1 } },
    { answer: ({ prompt }) => (prompt.prefix === undefined ? { text: 'slow', firstMs: 500 } : { text: ' today', firstMs: 1 }) },
    { knobs: { handover: 'to-large', handoverTokens: 5 } },
  );
  assert.equal(large.asked.at(-1)?.prompt.prefix, 'Ask [EMAIL_1] or phone 5 55 now', 'not after the 5, where more of a number may follow');
  assert.equal(served.text, 'Ask ann@example.org or phone 5 55 now today');
});

test('the winner goes on when the other side cannot or does not continue', async () => {
  const winner = { answer: { text: 'a b c d', firstMs: 1, betweenMs: 1 } };
  const late = (script: object): Partial<FakeSettings> => ({ place: 'device', answer: ({ prompt }) => (prompt.prefix === undefined ? { text: 'slow', firstMs: 500 } : script) });
  const knobs = { handover: 'to-large', handoverTokens: 2 };
  const failing = await raced(winner, late({ fail: { code: 'engine_failed' } }), { knobs });
  assert.equal(failing.served.text, 'a b c d');
  assert.ok(failing.served.decisions.includes('race.handover=small'));
  const unable = await raced(winner, { ...late({ text: 'x' }), abilities: { continuesPrefix: false } }, { knobs });
  assert.equal(unable.served.text, 'a b c d');
  const structured = await raced({ answer: { text: '{ "a": 1 }', firstMs: 1 } }, late({ text: 'x' }), { knobs, sampling: { format: { type: 'json' } } });
  assert.equal(structured.served.text, '{ "a": 1 }');
});

test('a head start saves the dear side from being asked at all', async () => {
  const quick = await raced({ answer: { text: 'near', firstMs: 5 } }, { answer: { text: 'far', firstMs: 1 } }, { knobs: { largeDelayMs: 20 } });
  assert.deepEqual([quick.served.text, quick.large.asked.length], ['near', 0]);
  const slow = await raced({ answer: { text: 'near', firstMs: 500 } }, { answer: { text: 'far', firstMs: 1 } }, { knobs: { largeDelayMs: 20 } });
  assert.equal(slow.served.text, 'far');
});

test('a side that fails, or says nothing, ends the head start of the other', async () => {
  for (const script of [{ fail: { code: 'engine_failed' as const } }, { text: '' }]) {
    const { served } = await raced({ answer: script }, { answer: { text: 'far', firstMs: 30 } }, { knobs: { largeDelayMs: 4_000 } });
    assert.equal(served.text, 'far');
    assert.ok(served.trace.durationMs < 100, `${served.trace.durationMs} ms`);
  }
});

test('an empty answer wins only when the other side gives none', async () => {
  const won = await raced({ answer: { text: '', firstMs: 1 } }, { answer: { text: 'far', firstMs: 50 } });
  assert.deepEqual([won.served.text, Object.keys(won.served.trace.shares)], ['far', ['large']]);
  const alone = await raced({ answer: { text: '' } }, { answer: { fail: { code: 'upstream_failed' }, firstMs: 5 } });
  assert.deepEqual([alone.served.text, alone.served.error, alone.served.parts.map(({ type }) => type)], ['', undefined, ['finish']]);
  const both = await raced({ answer: { text: '' } }, { answer: { text: '' } }, { knobs: { handover: 'to-large' } });
  assert.deepEqual([both.served.error, both.served.decisions], [undefined, ['race.first=small']]);
});

test('faults: one side failing leaves the race to the other; both failing is an error; cancelling stops both', async () => {
  assert.equal((await raced({ answer: { fail: { code: 'engine_failed' } } }, { answer: { text: 'far', firstMs: 30 } })).served.text, 'far');
  const both = await raced({ answer: { fail: { code: 'engine_failed' } } }, { answer: { fail: { code: 'upstream_timeout' }, firstMs: 5 } });
  assert.equal(both.served.error?.code, 'upstream_timeout');
  const middle = await raced({ answer: { text: 'a b', fail: { code: 'engine_failed', after: 1 } } }, { answer: { text: 'far', firstMs: 30 } });
  assert.deepEqual([middle.served.text, middle.served.error?.code], ['a', 'engine_failed']);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 10);
  const cancelled = await raced({ answer: { text: 'a', hangAfter: 0 } }, { answer: { text: 'b', hangAfter: 0, deaf: true } }, { signal: stop.signal });
  assert.equal(cancelled.served.error?.code, 'cancelled');
  assert.deepEqual([cancelled.small.stopped(), cancelled.large.stopped()], [1, 1]);
  assert.deepEqual(calls(cancelled.served), ['small', 'large']);
});

test('a part that holds more than is wanted before the hand-over is cut in two', async () => {
  const parts = async (tokensMax: number, ...given: readonly { readonly delta: string; readonly tokens?: readonly { readonly text: string }[] }[]): Promise<string[]> => {
    const source = (async function* () {
      for (const one of given) yield { type: 'text', answer: 0, member: 'small', ...one } as const;
    })();
    const cut: string[] = [];
    for await (const part of cutAfter(source, tokensMax)) cut.push(part.type === 'text' ? `${part.delta}|${part.tokens?.length ?? ''}` : part.type);
    return cut;
  };
  const tokens = [{ text: 'One' }, { text: ' two' }, { text: ' three' }];
  assert.deepEqual(await parts(2, { delta: 'One two three', tokens }), ['One two|2', ' three|1']);
  assert.deepEqual(await parts(3, { delta: 'One two three', tokens }, { delta: ' four', tokens: [{ text: ' four' }] }), ['One two three|3', ' four|1']);
  assert.deepEqual(await parts(1, { delta: 'Sub-way here', tokens: [{ text: 'Sub' }, { text: '-way' }, { text: ' here' }] }), ['Sub-way|2', ' here|1'], 'not in the middle of a word');
  assert.deepEqual(await parts(1, { delta: '天地', tokens: [{ text: '天' }, { text: '地' }] }), ['天|1', '地|1'], 'where no blank comes, at the token');
  assert.deepEqual(await parts(1, { delta: 'é', tokens: [{ text: '\uFFFD' }, { text: '\uFFFD' }] }), ['é|2'], 'not in the middle of a character');
  assert.deepEqual(await parts(2, { delta: 'Once upon a time' }), ['Once upon|', ' a time|'], 'without tokens before a blank');
  assert.deepEqual(await parts(2, { delta: 'Onceuponatime' }, { delta: ' there was' }), ['Onceuponatime|', ' there was|']);
});
