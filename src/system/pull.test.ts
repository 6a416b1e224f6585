/** Streams that are asked: what they give at once, what has to be waited for, failing, and leaving. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { ended, Flattened, leaveQuietly, pulled, Pulled, type Pull } from './pull.ts';

interface Seen {
  asked: number;
  left: boolean;
}

/** Gives these, each after a turn; then fails, where it is to. */
async function* source<T>(items: readonly T[], seen: Seen = { asked: 0, left: false }, failure?: Error): AsyncGenerator<T> {
  try {
    for (const item of items) {
      seen.asked++;
      await new Promise((resolve) => setImmediate(resolve));
      yield item;
    }
    if (failure !== undefined) throw failure;
  } finally {
    seen.left = true;
  }
}

/** Everything that can be had without waiting. */
function atOnce<T>(stream: Pulled<T>): T[] {
  const got: T[] = [];
  for (let next = stream.pull(); !(next instanceof Promise) && next.done !== true; next = stream.pull()) got.push(next.value);
  return got;
}

test('what is not here is a promise, the same one until it is; nothing is asked twice or ahead', async () => {
  const seen = { asked: 0, left: false };
  const stream = pulled(source(['a', 'b'], seen));
  assert.equal(seen.asked, 0);
  const wait = stream.pull();
  assert.ok(wait instanceof Promise);
  assert.equal(stream.pull(), wait);
  assert.equal(seen.asked, 1);
  assert.equal(await wait, undefined);
  assert.deepEqual(stream.pull(), { done: false, value: 'a' });
  assert.equal(seen.asked, 1);
  await stream.pull();
  assert.deepEqual(stream.pull(), { done: false, value: 'b' });
  await stream.pull();
  assert.deepEqual(stream.pull(), ended);
});

test('a failure is thrown when it is asked for; the promise before it resolves', async () => {
  const stream = pulled(source(['a'], undefined, new Error('broken')));
  await stream.pull();
  atOnce(stream);
  assert.equal(await stream.pull(), undefined);
  assert.throws(() => stream.pull(), /broken/);
});

test('lists are flattened: the items of one are here at once, empty ones are passed over', async () => {
  const stream = new Flattened(source([[1, 2, 3], [], [], [4], [5, 6]]));
  const rounds: number[][] = [];
  for (;;) {
    const next = stream.pull();
    if (next instanceof Promise) {
      await next;
      continue;
    }
    if (next.done === true) break;
    rounds.push([next.value, ...atOnce(stream)]);
  }
  assert.deepEqual(rounds, [[1, 2, 3], [4], [5, 6]]);
});

test('they read as any other stream, and leaving them leaves their source', async () => {
  const got: number[] = [];
  for await (const n of new Flattened(source([[1, 2], [3]]))) got.push(n);
  assert.deepEqual(got, [1, 2, 3]);
  const seen = { asked: 0, left: false };
  for await (const n of new Flattened(source([[1, 2], [3]], seen))) if (n === 1) break;
  assert.deepEqual(seen, { asked: 1, left: true });
  await assert.rejects(async () => {
    for await (const n of new Flattened(source([[1]], undefined, new Error('broken')))) got.push(n);
  }, /broken/);
  assert.deepEqual(got, [1, 2, 3, 1]);
});

test('a stream that can be pulled is taken as it is', () => {
  const stream = new Flattened<number>(source([[1]]));
  assert.equal(pulled(stream), stream);
});

/** A stream that is left in its own way. */
class Leaving extends Pulled<number[]> {
  readonly #how: () => Promise<void> | undefined;
  constructor(how: () => Promise<void> | undefined) {
    super();
    this.#how = how;
  }
  pull(): Pull<number[]> {
    return ended;
  }
  leave(): Promise<void> | undefined {
    return this.#how();
  }
}

test('leaving takes no promise where the source needs none, and tells of a clean-up that fails', async () => {
  assert.equal(new Flattened(new Leaving(() => undefined)).leave(), undefined);
  const broken = (): never => {
    throw new Error('broken');
  };
  assert.throws(() => new Flattened(new Leaving(broken)).leave(), /broken/);
  await assert.rejects(new Flattened(new Leaving(broken)).return(), /broken/);
  await assert.rejects(new Flattened(new Leaving(async () => broken())).return(), /broken/);
});

test('leaving quietly says nothing of failures', async () => {
  const broken = (): never => {
    throw new Error('broken');
  };
  assert.equal(leaveQuietly(undefined), undefined);
  assert.equal(leaveQuietly(new Leaving(broken)), undefined);
  assert.equal(await leaveQuietly(new Leaving(async () => broken())), undefined);
});
