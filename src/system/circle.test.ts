import assert from 'node:assert/strict';
import test from 'node:test';
import { Circle } from './circle.ts';

test('asks every other member, and only them', async () => {
  const members = [0, 1, 2].map((number) => new Circle('circle-test-a', number, 3, { who: () => number, late: async () => number * 10 }));
  assert.deepEqual((await members[1]!.ask('who')).toSorted(), [0, 2]);
  assert.deepEqual((await members[0]!.ask('late')).toSorted(), [10, 20]);
  const [first, second] = await Promise.all([members[0]!.ask('who'), members[2]!.ask('who')]);
  assert.deepEqual([first?.toSorted(), second?.toSorted()], [[1, 2], [0, 1]]);
  for (const member of members) member.close();
});

test('what fails, is not known, is late or has left is left out', async () => {
  const members = [0, 1].map((number) => new Circle('circle-test-b', number, 2, { fails: () => { throw new Error('no'); } }, 50));
  assert.deepEqual(await members[0]!.ask('fails'), []);
  assert.deepEqual(await members[0]!.ask('unknown'), []);
  members[1]!.close();
  assert.deepEqual(await members[0]!.ask('fails'), []);
  members[0]!.close();
  const alone = new Circle('circle-test-c', 0, 1, {});
  assert.deepEqual(await alone.ask('anything'), []);
  alone.close();
});
