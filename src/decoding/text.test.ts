/** From tokens to text: whole characters, stop texts, wherever the stream is cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../system/random.ts';
import { PieceJoiner } from './pieces.ts';
import type { Vocabulary } from './program.ts';
import { StopFinder } from './stops.ts';

/** A vocabulary whose tokens are these bytes. */
const vocabularyOf = (pieces: readonly Uint8Array[]): Vocabulary => ({ size: pieces.length, isEnd: () => false, bytes: (token) => pieces[token] ?? new Uint8Array(0) });

test('characters come out whole, however they are cut', () => {
  const { next } = seededRandom(3);
  const text = 'naïve café 東京 😀 Ω\u0301 end';
  const bytes = Buffer.from(text);
  for (let n = 0; n < 200; n++) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + Math.floor(next() * 3);
      pieces.push(new Uint8Array(bytes.subarray(at, at + length)));
      at += length;
    }
    const joiner = new PieceJoiner(vocabularyOf(pieces));
    const parts = pieces.map((_, token) => joiner.push(token));
    assert.equal(parts.join('') + joiner.end(), text);
    for (const part of parts) assert.ok(part.isWellFormed());
  }
});

test('bytes that are no character give U+FFFD and harm nothing else', () => {
  const joiner = new PieceJoiner(vocabularyOf([Uint8Array.of(0xe6, 0x9d), Uint8Array.of(0x61), Uint8Array.of(0xff), Buffer.from('b')]));
  assert.equal([0, 1, 2, 3].map((token) => joiner.push(token)).join('') + joiner.end(), '\uFFFDa\uFFFDb');
  const open = new PieceJoiner(vocabularyOf([Uint8Array.of(0xf0, 0x9f)]));
  assert.equal(open.push(0) + open.end(), '\uFFFD');
});

test('the answer ends before the first stop text, however the stream is cut', () => {
  const { next } = seededRandom(9);
  const text = 'one two ENENDtwo three END four';
  for (let n = 0; n < 300; n++) {
    const finder = new StopFinder(['END', 'three', '']);
    let out = '';
    for (let at = 0; at < text.length && !finder.found; ) {
      const length = 1 + Math.floor(next() * 6);
      const part = finder.push(text.slice(at, at + length));
      assert.ok(!`${out}${part}`.includes('END'));
      out += part;
      at += length;
    }
    assert.equal(out, 'one two EN');
    assert.equal(finder.push('more'), '');
  }
});

test('of several stop texts the one that is complete first ends the answer, over every way to cut the stream', () => {
  const cases: readonly [readonly string[], string, string][] = [
    [['abcd', 'bc'], 'abcd', 'a'], [['abcd', 'bc'], 'abd', 'abd'], [['bc', 'abc'], 'xabcd', 'x'], [['c', 'abc'], 'ababc', 'ab'], [['aa', 'aab'], 'xaab', 'x'], [['abx', 'b'], 'ab', 'a'], [['aba', 'bab'], 'cbabab', 'c'], [['ab', 'ba'], 'aab', 'a'],
  ];
  for (const [stops, text, expected] of cases) {
    for (let cuts = 0; cuts < 2 ** (text.length - 1); cuts++) {
      const finder = new StopFinder(stops);
      let [out, piece] = ['', ''];
      for (let at = 0; at < text.length; at++) {
        piece += text[at];
        if (at + 1 < text.length && ((cuts >> at) & 1) === 0) continue;
        out += finder.push(piece);
        piece = '';
      }
      if (!finder.found) out += finder.end();
      assert.equal(out, expected, `${stops.join()} in ${text}, cut by ${cuts.toString(2)}`);
    }
  }
});

test('what only looked like a stop text comes out at the end', () => {
  const finder = new StopFinder(['abcd']);
  assert.equal(finder.push('xab'), 'x');
  assert.equal(finder.push('c'), '');
  assert.equal(finder.push('abc'), 'abc');
  assert.equal(finder.end(), 'abc');
});
