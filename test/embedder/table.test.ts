/** The static embedder by itself: cutting into pieces, exact sums, files that are damaged, lengths. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { TandemError } from '../../src/errors.ts';
import { characterRows, PieceList } from '../../src/embed/pieces.ts';
import { StaticEmbedder } from '../../src/embed/table.ts';
import { seededRandom } from '../../src/system/random.ts';
import { fileOf, tinyTable } from './tiny-table.ts';

const names = ['!', ',', 'a', 'cat', 'cats', 'na', 'river', '中', '##s', '##ive', '##r', '##iver', '##a'];

function cut(text: string, list = new PieceList(names.join('\n'))): string[] {
  const { rows, length } = list.encode(text);
  return Array.from(rows.subarray(0, length), (row) => names[row] ?? `?${row - names.length}`);
}

test('a word is cut into the longest pieces, from left to right', () => {
  assert.deepEqual(cut('Cat, CATS! rivers'), ['cat', ',', 'cats', '!', 'river', '##s']);
  assert.deepEqual(cut('naïve'), ['na', '##ive']);
  assert.deepEqual(cut('ariver'), ['a', '##r', '##iver']);
});

test('characters that no piece covers take shared rows, the same one each time, also outside the basic plane', () => {
  const [first, again, other] = [cut('中国'), cut('国'), cut('語')];
  assert.equal(first[0], '中');
  assert.match(first[1] ?? '', /^\?\d+$/);
  assert.deepEqual(again, first.slice(1));
  assert.notDeepEqual(other, again);
  assert.deepEqual(cut('x😀x').length, 3);
  assert.ok(cut('😀😃🏳️‍🌈').every((name) => Number(name.slice(1)) < characterRows));
});

test('white space, control characters and case do not matter; an empty text has no pieces', () => {
  assert.deepEqual(cut('\u00a0CAT\u200b\tcat\r\n'), ['cat', 'cat']);
  assert.deepEqual(cut(''), []);
  assert.deepEqual(cut(' \n\u00a0'), []);
});

test('long words and long texts are cut whole', () => {
  assert.equal(cut('a'.repeat(3000)).length, 3000);
  assert.equal(cut('cat '.repeat(5000)).length, 5000);
  const list = new PieceList(names.join('\n'));
  assert.equal(list.encode('cat cat cat', 7).length, 2);
});

test('the vector is the scaled sum of the rows, exactly, for any number of pieces', () => {
  const tiny = tinyTable(names, 8, 3);
  const embedder = new StaticEmbedder(fileOf(tiny));
  const random = seededRandom(5);
  for (const count of [1, 2, 255, 256, 257, 700, 3000]) {
    const text = Array.from({ length: count }, () => ['cat', 'river', 'a', '中', 'qq'][Math.floor(random.next() * 5)]).join(' ');
    const rows = embedder.piecesOf(text);
    const sums = Array.from({ length: 8 }, (_, j) => rows.reduce((sum, row) => sum + (tiny.rows[row * 8 + j] as number) - 128, 0) * (tiny.scales[j] as number));
    const length = Math.hypot(...sums);
    const found = new Float64Array(8);
    assert.equal(embedder.embed(text, found), rows.length);
    found.forEach((each, j) => assert.ok(Math.abs(each - (sums[j] as number) / length) < 1e-12, `${count} pieces`));
  }
});

test('a text without characters gives zeros', () => {
  const found = new Float32Array(8).fill(7);
  assert.equal(new StaticEmbedder(fileOf(tinyTable(names, 8))).embed(' ', found), 0);
  assert.deepEqual([...found], new Array(8).fill(0));
});

test('a file at an odd address reads the same', () => {
  const file = fileOf(tinyTable(names, 8));
  const shifted = new Uint8Array(file.length + 3);
  shifted.set(file, 3);
  const [a, b] = [new Float64Array(8), new Float64Array(8)];
  new StaticEmbedder(file).embed('cat', a);
  new StaticEmbedder(shifted.subarray(3)).embed('cat', b);
  assert.deepEqual(a, b);
});

test('other files, and files that are cut off, damaged or of another version, are refused by name', () => {
  const file = fileOf(tinyTable(names, 8));
  const damaged = Buffer.from(file);
  damaged[damaged.length - 40] = (damaged[damaged.length - 40] as number) ^ 1;
  const tooFewNames = fileOf({ ...tinyTable(names, 8), names: names.slice(1) }, { pieces: names.length - 2 });
  for (const [bytes, says] of [[Buffer.from('GGUF'), /no table/], [file.subarray(0, 10), /no table/], [file.subarray(0, 60), /cut off/], [file.subarray(0, 300), /cut off/], [damaged, /checksum/], [fileOf(tinyTable(names, 8), { characterRows: 7 }), /another version/], [fileOf(tinyTable(names, 8), { dimensions: 6 }), /another version/], [tooFewNames, /pieces|cut off/]] as const) {
    assert.throws(() => new StaticEmbedder(bytes), (error: unknown) => TandemError.is(error) && error.code === 'model_file_invalid' && says.test(error.message), String(says));
  }
});
