import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atTurnEnd, requestBegins, requestEnds, withOthers } from './turn.ts';

test('what is ready in one turn is done together, step by step', async () => {
  const seen: string[] = [];
  const request = async (name: string): Promise<void> => {
    await new Promise<void>((resolve) => atTurnEnd(resolve));
    seen.push(`${name} first`);
    await undefined;
    seen.push(`${name} second`);
  };
  await Promise.all([request('a'), request('b')]);
  assert.deepEqual(seen, ['a first', 'b first', 'a second', 'b second']);
});

test('nothing is done at once, and what is added meanwhile waits for the next turn', async () => {
  const seen: string[] = [];
  const done = new Promise<void>((resolve) => {
    atTurnEnd(() => {
      seen.push('one');
      atTurnEnd(() => {
        seen.push('three');
        resolve();
      });
    });
    atTurnEnd(() => seen.push('two'));
  });
  seen.push('begun');
  await done;
  assert.deepEqual(seen, ['begun', 'one', 'two', 'three']);
});

test('a request that is alone goes on at once, one of several with the others', async () => {
  const seen: string[] = [];
  requestBegins();
  withOthers(() => seen.push('alone'));
  assert.deepEqual(seen, ['alone']);
  requestBegins();
  const done = new Promise<void>((resolve) => {
    withOthers(() => seen.push('first'));
    withOthers(() => {
      seen.push('second');
      resolve();
    });
  });
  assert.deepEqual(seen, ['alone']);
  await done;
  assert.deepEqual(seen, ['alone', 'first', 'second']);
  requestEnds();
  withOthers(() => seen.push('alone again'));
  assert.equal(seen.at(-1), 'alone again');
  requestEnds();
});
