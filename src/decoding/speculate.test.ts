/** Speculation keeps the target's law: greedy token for token, sampled by chi-square over 50,000 tokens a pair of laws. Row 91 of systems.md. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chiSquareP, type Block } from '../../test/engine/chi-square.ts';
import { drive, irregular, letters, type MadeUpModel } from '../../test/engine/law-driver.ts';
import type { AnswerEvent } from './answer.ts';
import { DraftLength } from './draft-length.ts';
import { generate } from './generate.ts';
import { Shaper } from './shape.ts';
import { plainSettings, type ShapeSettings } from './settings.ts';
import { speculate } from './speculate.ts';

const text = (events: readonly AnswerEvent[]): string => events.map((event) => (event.type === 'text' ? event.delta : '')).join('');
const finish = (events: readonly AnswerEvent[]): Extract<AnswerEvent, { type: 'finish' }> => events.at(-1) as Extract<AnswerEvent, { type: 'finish' }>;
const greedy: ShapeSettings = { ...plainSettings, temperature: 0 };

/** Mixes two models, so that the draft is right often but not always. */
const near = (target: MadeUpModel, other: MadeUpModel, share: number): MadeUpModel => (tokens) => {
  const b = other(tokens);
  return target(tokens).map((logit, id) => (1 - share) * logit + share * (b[id] ?? 0));
};

test('greedy output is the target\'s, token for token, whatever is drafted', () => {
  const vocabulary = letters(27);
  for (let salt = 1; salt <= 200; salt++) {
    const target = irregular(27, salt, 8);
    const draft = near(target, irregular(27, salt + 1000, 8), (salt % 5) / 4);
    const args = { prompt: [salt % 26, 3], settings: { ...greedy, repetitionPenalty: salt % 3 === 0 ? 1.2 : 1, presencePenalty: salt % 4 === 0 ? 0.5 : 0 }, tokensMax: 24 };
    const plain = drive(generate, args, { model: target }, { vocabulary });
    for (const settings of [{ confidenceMin: 0 }, {}, { tokensMax: 3, confidenceMin: 0 }]) {
      const fast = drive(speculate, { ...args, draft: settings }, { target, draft }, { vocabulary });
      assert.equal(text(fast.events), text(plain.events));
      assert.equal(finish(fast.events).reason, finish(plain.events).reason);
      assert.equal(finish(fast.events).completionTokens, finish(plain.events).completionTokens);
    }
  }
});

test('a draft model with a smaller context drafts while what is written fits, and then no more', () => {
  const vocabulary = letters(27);
  const target = irregular(27, 7, 8);
  const args = { prompt: [1, 2, 3, 4], settings: greedy, tokensMax: 40, ignoreEnd: true };
  const plain = drive(generate, args, { model: target }, { vocabulary });
  for (const draft of [target, irregular(27, 8, 8)]) {
    for (let context = 1; context <= 46; context++) {
      const fast = drive(speculate, { ...args, draft: { confidenceMin: 0, tokensMax: 5 } }, { target, draft }, { vocabulary, contexts: { draft: context, target: 44 } });
      assert.equal(text(fast.events), text(plain.events), `context of ${context}`);
      const { draftedTokens = 0 } = finish(fast.events);
      assert.equal(draftedTokens > 0, context >= args.prompt.length, `drafted ${draftedTokens} with a context of ${context}`);
    }
  }
});

test('a draft that is always right takes fewer target steps', () => {
  const target = irregular(27, 5, 12);
  const args = { prompt: [1, 2, 3], settings: greedy, tokensMax: 32, ignoreEnd: true, draft: { confidenceMin: 0, tokensMax: 7 } };
  const { steps, events } = drive(speculate, args, { target, draft: target }, { vocabulary: letters(27) });
  assert.equal(finish(events).completionTokens, 32);
  assert.equal(finish(events).acceptedTokens, finish(events).draftedTokens);
  assert.equal(steps['target'], 4);
});

test('a drafted end token is checked without being read', () => {
  const end = 26;
  // five letters, then the end; the draft model says the same
  const target: MadeUpModel = (tokens) => Array.from({ length: 27 }, (_, id) => (id === (tokens.length < 6 ? tokens.length : end) ? 20 : 0));
  for (const settings of [greedy, plainSettings]) {
    const args = { prompt: [0], settings, tokensMax: 40, draft: { tokensMax: 20 } };
    const { steps, read, events } = drive(speculate, args, { target, draft: target }, { vocabulary: letters(27) });
    assert.equal(text(events), 'bcdef');
    assert.equal(finish(events).reason, 'stop');
    assert.equal(finish(events).draftedTokens, 6);
    assert.equal(finish(events).acceptedTokens, 6);
    assert.equal(steps['target'], 1);
    assert.equal(read['target'], 6, 'the prompt and five letters');
  }
  // a refused end token gives way to what the target writes
  const endsEarly: MadeUpModel = (tokens) => (tokens.length < 3 ? target(tokens) : Array.from({ length: 27 }, (_, id) => (id === end ? 20 : 0)));
  const refused = drive(speculate, { prompt: [0], settings: greedy, tokensMax: 40, draft: { confidenceMin: 0 } }, { target, draft: endsEarly }, { vocabulary: letters(27) });
  assert.equal(text(refused.events), 'bcdef');
  assert.ok(finish(refused.events).draftedTokens as number > (finish(refused.events).acceptedTokens as number));
});

test('a draft that is never right does no harm, and drafting pauses', () => {
  const target = irregular(27, 5, 12);
  const opposite: MadeUpModel = (tokens) => target(tokens).map((logit) => -logit * 3);
  const args = { prompt: [1, 2, 3], settings: greedy, tokensMax: 64, ignoreEnd: true };
  const { steps, events } = drive(speculate, args, { target, draft: opposite }, { vocabulary: letters(27) });
  assert.equal(finish(events).acceptedTokens, 0);
  assert.ok((steps['draft'] as number) < 40, `the draft model is asked rarely, was ${steps['draft']} times`);
});

test('pauses grow fourfold up to the longest, and an accepted draft ends their growth', () => {
  const length = new DraftLength({ tokensMax: 3, pauseMax: 20 });
  /** Rounds without drafts until the next with drafts. */
  const pause = (): number => {
    let rounds = 0;
    while (length.begin() === 0) rounds++;
    return rounds;
  };
  const missed = Array.from({ length: 5 }, () => {
    length.learn(0);
    return pause();
  });
  assert.deepEqual(missed, [1, 4, 16, 20, 20]);
  length.learn(1);
  assert.equal(pause(), 0);
  length.learn(0);
  assert.equal(pause(), 1);
});

test('stop texts, end tokens and reports are those of plain decoding', () => {
  const target = irregular(27, 77, 9);
  const draft = near(target, irregular(27, 78, 9), 0.4);
  const vocabulary = letters(27);
  const whole = text(drive(generate, { prompt: [4], settings: greedy, tokensMax: 40, ignoreEnd: true }, { model: target }, { vocabulary }).events);
  const stop = whole.slice(9, 12);
  const args = { prompt: [4], settings: greedy, tokensMax: 40, stop: [stop], topLogprobs: 3, ignoreEnd: true };
  const plain = drive(generate, args, { model: target }, { vocabulary });
  const fast = drive(speculate, { ...args, draft: { confidenceMin: 0 } }, { target, draft }, { vocabulary });
  const tokens = (events: readonly AnswerEvent[]): unknown[] => events.flatMap((event) => (event.type === 'text' ? (event.tokens ?? []) : []));
  assert.equal(text(fast.events), whole.slice(0, whole.indexOf(stop)));
  assert.equal(finish(fast.events).reason, 'stop');
  assert.deepEqual(tokens(fast.events), tokens(plain.events));
});

/** Draws many answers and compares what follows each context, at each position, with the exact law. */
function lawOf(name: string, target: MadeUpModel, draft: MadeUpModel, settings: ShapeSettings, expects: MadeUpModel = target): number {
  const size = 12;
  const vocabulary = letters(size + 1);
  const positions = 5;
  const runs = 10_000;
  // counts of the next token at each position, by the two tokens before it, which are all that the made-up laws depend on
  const counts = Array.from({ length: positions }, () => new Map<string, number[]>());
  for (let run = 0; run < runs; run++) {
    const { events } = drive(speculate, { prompt: [1, 2], settings, tokensMax: positions, ignoreEnd: true, topLogprobs: 0, draft: { tokensMax: 4, confidenceMin: run % 2 === 0 ? 0 : 0.3 } }, { target, draft }, { vocabulary, seed: 1 + run });
    const ids = events.flatMap((event) => (event.type === 'text' ? (event.tokens ?? []).map((token) => token.id as number) : []));
    assert.equal(ids.length, positions, name);
    ids.forEach((id, n) => {
      const key = [1, 2, ...ids].slice(n, n + 2).join(' ');
      const of = counts[n]?.get(key) ?? new Array<number>(size + 1).fill(0);
      counts[n]?.set(key, of);
      of[id] = (of[id] ?? 0) + 1;
    });
  }
  const blocks: Block[] = [];
  const shaper = new Shaper(size + 1, settings);
  for (const position of counts) {
    for (const [key, of] of position) {
      const shaped = shaper.shape(Float32Array.from(expects(key.split(' ').map(Number))));
      const expected = new Array<number>(size + 1).fill(0);
      for (let n = 0; n < shaped.count; n++) expected[shaped.ids[n] as number] = (shaped.weights[n] as number) / shaped.total;
      blocks.push({ counts: of, expected });
    }
  }
  return chiSquareP(...blocks);
}

const size = 13;
const target = irregular(size, 3, 3);
const pairs: readonly [string, MadeUpModel, MadeUpModel, ShapeSettings][] = [
  ['near', target, near(target, irregular(size, 4, 3), 0.5), plainSettings],
  ['far', target, irregular(size, 9, 4), plainSettings],
  ['disjoint supports', (tokens) => target(tokens).map((logit, id) => (id % 2 === 0 ? logit : -Infinity)), (tokens) => target(tokens).map((logit, id) => (id % 2 === 1 ? logit : -Infinity)), plainSettings],
  ['top-k, top-p, temperature', irregular(size, 21, 5), near(irregular(size, 21, 5), irregular(size, 22, 5), 0.6), { ...plainSettings, temperature: 0.8, topK: 8, topP: 0.9 }],
];
for (const [name, p, q, settings] of pairs) test(`50,000 sampled tokens follow the target's law: ${name}`, () => {
  const probability = lawOf(name, p, q, settings);
  assert.ok(probability > 0.01, `p = ${probability}`);
});

test('the chi-square test can fail', () => {
  const off: MadeUpModel = (tokens) => target(tokens).map((logit, id) => logit + (id % 2) * 0.3);
  assert.ok(lawOf('slightly off', target, irregular(size, 9, 4), plainSettings, off) < 1e-4, 'a law that is slightly off is told apart');
  assert.ok(chiSquareP({ counts: [600, 400], expected: [0.5, 0.5] }) < 1e-6);
  assert.ok(Math.abs(chiSquareP({ counts: [55, 45], expected: [0.5, 0.5] }) - 0.3173) < 1e-3);
});
