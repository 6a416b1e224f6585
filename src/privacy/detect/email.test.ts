import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../system/random.ts';
import { domainEnd, domainEndByPattern, email, localStart, localStartByPattern } from './email.ts';

const byPattern = (text: string, at: number): object => ({ start: localStartByPattern(text, Math.max(0, at - 64), at), end: domainEndByPattern(text, at + 1) });
const byCharacter = (text: string, at: number): { start: number; end: number } => ({ start: localStart(text, Math.max(0, at - 64), at), end: domainEnd(text, at + 1) });
const found = (text: string): string[] => email.find(text).map(({ start, end }) => text.slice(start, end));

test('addresses are found as people write them', () => {
  assert.deepEqual(found("Write to 'anna.berg@example.org', or (Bob <bob+x@mail.example.co.uk>)."), ['anna.berg@example.org', 'bob+x@mail.example.co.uk']);
  assert.deepEqual(found('jörg@müller.de, 用户@例子.公司 and a@b.xn--p1ai, a@b.org.'), ['jörg@müller.de', '用户@例子.公司', 'a@b.xn--p1ai', 'a@b.org']);
  assert.deepEqual(found('a@b, @c.de, a.@b.de, a..b@c.de, x@1.2, x@-a.de, x@a-.de'), []);
});

test('reading characters finds what the patterns find', () => {
  const random = seededRandom(11);
  const pieces = ['a', 'Z', '7', '-', '.', '_', '%', "'", '!', ' ', '@', 'xn--', 'de', 'org', 'ü', 'ß', '例', '😀', 'abcdefghijklmnopqrstuvwxyz0123456789'];
  const upTo = (most: number): number => Math.floor(random.next() * (most + 1));
  let matched = 0;
  for (let round = 0; round < 60_000; round++) {
    const some = upTo(1) === 0 ? pieces.filter((piece) => /^[ -~]+$/.test(piece)) : pieces;
    const make = (most: number): string => Array.from({ length: upTo(most) }, () => some[upTo(some.length - 1)]).join('');
    const before = make(6);
    const text = `${before}@${Array.from({ length: upTo(4) }, () => make(3)).join('.')}${make(1)}`;
    const at = before.length;
    const read = byCharacter(text, at);
    assert.deepEqual(read, byPattern(text, at), JSON.stringify(text));
    if (read.start < at && read.end > at + 1) matched++;
  }
  assert.ok(matched > 1_000, `only ${matched} addresses were among them`);
});

test('limits of length are those of the patterns', () => {
  for (const length of [62, 63, 64, 65]) {
    const label = 'a'.repeat(length);
    for (const text of [`${label}@b.de`, `x@${label}.de`, `x@b.${label}`, `x@b.xn--${label}`, `x@${'a.'.repeat(length / 7)}de`, `x@${`${'b'.repeat(50)}.`.repeat(length - 58)}de`]) {
      const at = text.indexOf('@');
      assert.deepEqual(byCharacter(text, at), byPattern(text, at), text);
    }
  }
});
