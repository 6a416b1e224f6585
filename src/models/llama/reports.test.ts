/** Reports of runs: what is joined, what goes at once, how long the rest is held back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingText } from '../../decoding/growing-text.ts';
import { PieceJoiner } from '../../decoding/pieces.ts';
import type { FromEngine, RunReport } from './protocol.ts';
import { Reports } from './reports.ts';

class Harness {
  nowMs = 1000;
  readonly sent: { readonly atMs: number; readonly reports: readonly RunReport[] }[] = [];
  readonly reports = new Reports((message: FromEngine) => message.type === 'reports' && this.sent.push({ atMs: this.nowMs, reports: message.reports }), () => this.nowMs);

  /** One step that gives a piece of text. */
  step(run: number, delta: string, tookMs: number): void {
    this.nowMs += tookMs;
    this.reports.event(run, { type: 'text', delta });
    this.reports.flush(false);
  }

  text(run: number): string {
    return this.sent.flatMap(({ reports }) => reports).filter((report) => report.run === run).flatMap(({ events }) => events as { type: string; delta?: string }[]).map(({ delta }) => delta ?? '').join('');
  }
}

test('the first text and the end of a run go at once, in order with everything else', () => {
  const harness = new Harness();
  harness.step(1, 'a', 1);
  assert.deepEqual(harness.sent.map(({ reports }) => reports), [[{ run: 1, events: [{ type: 'text', delta: 'a' }], end: false, error: undefined }]]);
  harness.step(1, 'b', 1);
  harness.step(1, 'c', 1);
  const told = { type: 'text', delta: 'd', tokens: [{ text: 'd', id: 4 }] };
  harness.reports.event(1, told);
  harness.reports.event(1, { type: 'text', delta: 'e' });
  harness.reports.event(1, { type: 'finish' });
  harness.reports.end(1);
  assert.equal(harness.sent.length, 1, 'nothing but the first text has gone');
  harness.reports.flush(false);
  assert.deepEqual(harness.sent[1]?.reports, [{ run: 1, events: [{ type: 'text', delta: 'bc' }, told, { type: 'text', delta: 'e' }, { type: 'finish' }], end: true, error: undefined }]);
  harness.reports.flush(true);
  assert.equal(harness.sent.length, 2, 'nothing is sent twice');
});

for (const turnMs of [0.25, 1, 5, 12, 20, 100]) {
  const heldMs = turnMs < 10 ? 48 : 24;
  test(`turns of ${turnMs} ms: text is held back 24 ms at first, then about ${heldMs} ms, and all of it arrives`, () => {
    const harness = new Harness();
    let text = '';
    for (let n = 0; n < 4000; n++) {
      text += String(n % 10);
      harness.step(7, String(n % 10), turnMs);
    }
    harness.reports.end(7, new Error('stopped'));
    harness.reports.flush(true);
    assert.equal(harness.text(7), text);
    assert.equal(harness.sent.at(-1)?.reports[0]?.end, true);
    assert.match(harness.sent.at(-1)?.reports[0]?.error?.message ?? '', /./);
    const apart = harness.sent.slice(1, -1).map(({ atMs }, n) => atMs - (harness.sent[n]?.atMs ?? 0));
    assert.ok(apart.length > 10);
    apart.forEach((ms, n) => {
      const atLeast = n === 0 ? 24 : heldMs;
      assert.ok(ms >= atLeast - 1e-6 && ms <= atLeast + (turnMs < 10 ? 24 : turnMs) + 1e-6, `${ms} ms before message ${n + 2}`);
    });
  });
}

test('what counts is how long a batch takes, not how many a turn has', () => {
  for (const [batches, heldMs] of [[8, 48], [1, 24]] as const) {
    const harness = new Harness();
    for (let n = 0; n < 500; n++) {
      harness.nowMs += 16;
      harness.reports.event(1, { type: 'text', delta: 'x' });
      harness.reports.flush(false, batches);
    }
    const [first = 0, last = 0] = [harness.sent[20]?.atMs, harness.sent.at(-1)?.atMs];
    const apartMs = (last - first) / (harness.sent.length - 21);
    assert.ok(apartMs >= heldMs && apartMs <= heldMs + 16, `${apartMs} ms apart`);
  }
});

test('growing text is read when it leaves, in order with what else there is', () => {
  const bytes = [Uint8Array.of(0xc3), Uint8Array.of(0xa9), Uint8Array.of(0x61)]; // two halves of an é, an a
  const joiner = new PieceJoiner({ size: bytes.length, isEnd: () => false, bytes: (token) => bytes[token] ?? new Uint8Array(0) });
  const harness = new Harness();
  const emit = (): GrowingText => {
    const text = new GrowingText(joiner);
    harness.reports.event(1, text);
    return text;
  };
  harness.step(1, 'first', 1);
  const one = emit();
  for (const token of [2, 2, 0]) assert.equal(one.push(token), true);
  harness.reports.flush(true);
  assert.equal(one.push(1), false, 'what has left grows no more');
  const two = emit();
  two.push(1);
  harness.reports.event(1, { type: 'finish' });
  two.push(2);
  harness.reports.flush(true);
  const half = emit();
  half.push(0);
  harness.reports.flush(true);
  harness.reports.end(1);
  harness.reports.flush(true);
  assert.deepEqual(harness.sent.map(({ reports }) => reports[0]?.events), [
    [{ type: 'text', delta: 'first' }],
    [{ type: 'text', delta: 'aa' }],
    [{ type: 'text', delta: '\u00e9a' }, { type: 'finish' }],
    [],
    [],
  ]);
});

test('a turn that takes long all at once delays text by three further turns at most', () => {
  const harness = new Harness();
  for (let n = 0; n < 500; n++) harness.step(1, 'x', 0.5);
  const before = harness.sent.length;
  for (let n = 0; n < 4; n++) harness.step(1, 'y', 100);
  assert.ok(harness.sent.length > before);
  for (let n = 0; n < 5; n++) harness.step(1, 'z', 100);
  assert.ok(harness.sent.length >= before + 5, 'from then on each turn is sent');
});

test('runs share a message and keep their own text', () => {
  const harness = new Harness();
  for (let n = 0; n < 100; n++) {
    harness.reports.event(1, { type: 'text', delta: `a${n} ` });
    harness.step(2, `b${n} `, 1);
  }
  harness.reports.end(1);
  harness.reports.end(2);
  harness.reports.flush(true);
  for (const [run, letter] of [[1, 'a'], [2, 'b']] as const) assert.equal(harness.text(run), Array.from({ length: 100 }, (_, n) => `${letter}${n} `).join(''));
  assert.ok(harness.sent.length < 10, `${harness.sent.length} messages`);
});
