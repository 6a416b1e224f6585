/** The programs `generate` and `score` over made-up laws. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chiSquareP } from '../../test/engine/chi-square.ts';
import { drive, irregular, letters, type MadeUpModel } from '../../test/engine/law-driver.ts';
import type { AnswerEvent } from './answer.ts';
import { generate } from './generate.ts';
import type { Constraint } from './program.ts';
import { score, type ScoreEvent } from './score.ts';
import { plainSettings } from './settings.ts';
import { speculate } from './speculate.ts';

const vocabulary = letters(27);
const model = irregular(27, 11, 6);
const greedy = { ...plainSettings, temperature: 0 };
const text = (events: readonly AnswerEvent[]): string => events.map((event) => (event.type === 'text' ? event.delta : '')).join('');

/** Allows one set of tokens at even positions and another at odd ones; may end after four. */
class Alternating implements Constraint {
  at: number;
  constructor(at = 0) {
    this.at = at;
  }
  allows(token: number): boolean {
    return token === 26 ? this.at >= 4 : token % 2 === this.at % 2;
  }
  filter(ids: Int32Array, count: number, keep: Uint8Array): number {
    let kept = 0;
    for (let n = 0; n < count; n++) kept += keep[n] = this.allows(ids[n] as number) ? 1 : 0;
    return kept;
  }
  mask(law: Float32Array): number {
    let kept = 0;
    for (let id = 0; id < law.length; id++) {
      if (this.allows(id)) kept++;
      else law[id] = -Infinity;
    }
    return kept;
  }
  accept(token: number): void {
    assert.ok(this.allows(token));
    this.at++;
  }
  clone(): Alternating {
    return new Alternating(this.at);
  }
  close(): void {}
}

test('ends by length, by an end token, and reports both', () => {
  const { events } = drive(generate, { prompt: [1], settings: greedy, tokensMax: 5, ignoreEnd: true }, { model }, { vocabulary });
  assert.equal(text(events).length, 5);
  assert.deepEqual({ ...events.at(-1), cachedPromptTokens: 0 }, { type: 'finish', reason: 'length', promptTokens: 1, cachedPromptTokens: 0, completionTokens: 5 });
  const ending: MadeUpModel = (tokens) => Array.from({ length: 27 }, (_, id) => (id === (tokens.length > 3 ? 26 : 2) ? 1 : 0));
  const ended = drive(generate, { prompt: [1], settings: greedy, tokensMax: 50 }, { model: ending }, { vocabulary });
  assert.equal(text(ended.events), 'ccc');
  assert.equal((ended.events.at(-1) as { reason: string }).reason, 'stop');
});

test('the same seed gives the same answer, another one another', () => {
  const run = (seed: number): string => text(drive(generate, { prompt: [1], settings: plainSettings, tokensMax: 30, ignoreEnd: true }, { model }, { vocabulary, seed }).events);
  assert.equal(run(4), run(4));
  assert.notEqual(run(4), run(5));
});

test('refuses an empty prompt', () => {
  assert.throws(() => drive(generate, { prompt: [], settings: greedy, tokensMax: 5 }, { model }, { vocabulary }), { code: 'parameter_invalid' });
});

test('a grammar holds, plain and speculative, greedy and sampled', () => {
  const draft = irregular(27, 12, 6);
  for (let seed = 1; seed < 40; seed++) {
    const args = { prompt: [seed % 26], settings: seed % 2 === 0 ? greedy : plainSettings, tokensMax: 12, grammar: 'any' };
    const plain = text(drive(generate, args, { model }, { vocabulary, seed, constraint: () => new Alternating() }).events);
    const fast = text(drive(speculate, { ...args, draft: { confidenceMin: 0 } }, { target: model, draft }, { vocabulary, seed, constraint: () => new Alternating() }).events);
    if (seed % 2 === 0) assert.equal(fast, plain);
    for (const answer of [plain, fast]) {
      assert.ok(answer.length >= 4);
      [...answer].forEach((letter, n) => assert.equal((letter.charCodeAt(0) - 97) % 2, n % 2));
    }
  }
});

test('sampling under a grammar follows the law of the allowed tokens, plain and speculative', () => {
  const expected = model([3]).map((logit, id) => (id % 2 === 0 && id !== 26 ? Math.exp(logit) : 0));
  const total = expected.reduce((sum, weight) => sum + weight, 0);
  for (const program of [generate, speculate] as const) {
    const counts = new Array<number>(27).fill(0);
    for (let seed = 0; seed < 8000; seed++) {
      const { events } = drive(program, { prompt: [3], settings: plainSettings, tokensMax: 2, topLogprobs: 0, grammar: 'any', draft: { confidenceMin: 0 } }, { model, target: model, draft: irregular(27, 50, 4) }, { vocabulary, seed, constraint: () => new Alternating() });
      const id = events.flatMap((event) => (event.type === 'text' ? (event.tokens ?? []) : []))[0]?.id as number;
      counts[id] = (counts[id] ?? 0) + 1;
    }
    const p = chiSquareP({ counts, expected: expected.map((weight) => weight / total) });
    assert.ok(p > 0.01, `${program.name}: p = ${p}`);
  }
});

test('reports are of the law before settings, and their text joins to the answer', () => {
  const { events } = drive(generate, { prompt: [1], settings: { ...greedy, logitBias: [[7, 50]] as const }, tokensMax: 3, topLogprobs: 2, ignoreEnd: true }, { model }, { vocabulary });
  const tokens = events.flatMap((event) => (event.type === 'text' ? (event.tokens ?? []) : []));
  assert.equal(tokens.map((token) => token.text).join(''), text(events));
  assert.ok(tokens.every((token) => token.id === 7));
  const law = model([1]);
  const normaliser = Math.log(law.reduce((sum, logit) => sum + Math.exp(logit), 0));
  assert.ok(Math.abs((tokens[0]?.logprob ?? 0) - ((law[7] ?? 0) - normaliser)) < 1e-5);
  assert.equal(tokens[0]?.top?.length, 2);
});

test('tokens that are part of a character report their bytes, and wait for the character: a stop text may cut it off', () => {
  const pieces = [Uint8Array.of(0x61), Uint8Array.of(0xe6), Uint8Array.of(0x97), Uint8Array.of(0xa5), Uint8Array.of(0xa5, 0x62)];
  const parts = { size: pieces.length, isEnd: () => false, bytes: (token: number) => pieces[token] as Uint8Array };
  const saying = (...tokens: number[]): MadeUpModel => (before) => pieces.map((_, id) => (tokens[before.length - 1] === id ? 9 : 0));
  const report = (said: number[], more: { readonly stop?: readonly string[] } = {}): unknown => {
    const { events } = drive(generate, { prompt: [0], settings: greedy, tokensMax: said.length, topLogprobs: 1, ...more }, { model: saying(...said) }, { vocabulary: parts });
    const tokens = events.flatMap((event) => (event.type === 'text' ? (event.tokens ?? []) : []));
    for (const { id, text: own, bytes, top } of tokens) assert.deepEqual(top?.map((other) => [other.id, other.bytes]), [[id, bytes]], own);
    return [text(events), tokens.map(({ text: own, bytes }) => bytes ?? own)];
  };
  assert.deepEqual(report([0, 1, 2, 3, 0]), ['a日a', ['a', [0xe6], [0x97], [0xa5], 'a']]);
  assert.deepEqual(report([1, 2, 4]), ['日b', [[0xe6], [0x97], [0xa5, 0x62]]]);
  assert.deepEqual(report([0, 1, 2, 3, 0], { stop: ['日'] }), ['a', ['a']]);
  assert.deepEqual(report([0, 1, 2], { stop: ['日'] }), ['a\uFFFD', ['a', [0xe6], [0x97]]], 'a character that stays incomplete');
  assert.deepEqual(report([1, 0]), ['\uFFFDa', [[0xe6], '\uFFFDa']]);
  const { events } = drive(score, { prompt: [0], continuation: [1, 2, 3, 0], topLogprobs: 1 }, { model: saying(1, 2, 3, 0) }, { vocabulary: parts });
  const scored = (events as ScoreEvent[]).flatMap((event) => (event.type === 'scored' ? event.tokens : []));
  assert.deepEqual(scored.map(({ bytes, top }) => [bytes, top?.[0]?.bytes]), [[[0xe6], [0xe6]], [[0x97], [0x97]], [[0xa5], [0xa5]], [undefined, undefined]]);
});

test('scores every token of a continuation, in portions', () => {
  const continuation = Array.from({ length: 150 }, (_, n) => (n * 7) % 26);
  const { events } = drive(score, { prompt: [1, 2], continuation, topLogprobs: 1 }, { model }, { vocabulary });
  const tokens = (events as ScoreEvent[]).flatMap((event) => (event.type === 'scored' ? event.tokens : []));
  assert.deepEqual(tokens.map((token) => token.id), continuation);
  tokens.forEach((token, n) => {
    const law = model([1, 2, ...continuation.slice(0, n)]);
    const normaliser = Math.log(law.reduce((sum, logit) => sum + Math.exp(logit), 0));
    assert.ok(Math.abs((token.logprob ?? 0) - ((law[token.id as number] ?? 0) - normaliser)) < 1e-5);
  });
  assert.equal(events.at(-1)?.type, 'finish');
});
