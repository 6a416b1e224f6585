import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, systemRandom } from '../system/random.ts';
import { newTraceId } from './trace-id.ts';

test('an id is 32 hex digits, and sorts by time', () => {
  const times = [0, 1, 1_700_000_000_000.75, 1_700_000_000_001, 2_800_000_000_000];
  const ids = times.map((ms) => newTraceId(ms, systemRandom));
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
  assert.deepEqual(ids.toSorted(), ids);
});

test('ids of one moment differ; the same seed gives the same ids', () => {
  const random = seededRandom(7);
  const ids = new Set(Array.from({ length: 1000 }, () => newTraceId(5, random)));
  assert.equal(ids.size, 1000);
  assert.equal(newTraceId(5, seededRandom(7)), [...ids][0]);
});
