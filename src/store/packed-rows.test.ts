import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SqlValue } from './driver.ts';
import { packRows, unpackedRows } from './packed-rows.ts';

const throughThread = (rows: readonly (readonly SqlValue[])[]): SqlValue[][] => [...unpackedRows(structuredClone(packRows(rows)))];

test('packed rows come out as they went in', () => {
  const rows: SqlValue[][] = [
    ['id', 1, null, 0.1, ''],
    ['', -0, 'ünïcode 漢字 🙂', Number.MAX_SAFE_INTEGER, null],
    [null, Number.MIN_VALUE, 'a\0b', -1e300, '[{"id":0}]'],
  ];
  assert.deepEqual(throughThread(rows), rows);
});

test('texts that meet inside a surrogate pair stay apart', () => {
  const rows = [['\ud83d', '\ude42'], ['x', '\ud83d']];
  assert.deepEqual(throughThread(rows), rows);
});

test('no rows are no rows', () => {
  assert.deepEqual(throughThread([]), []);
});

test('rows keep their order and length', () => {
  const rows = Array.from({ length: 500 }, (_, n): SqlValue[] => [n, `t${'é'.repeat(n % 7)}`, n % 3 === 0 ? null : n / 3]);
  assert.deepEqual(throughThread(rows), rows);
});
