import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadNative } from './bindings.ts';
import { added, getsHugePages, ownMemory, withHugePages } from './huge-pages.ts';
import { WeightsCache } from './weights.ts';

const stretches = (...pairs: [number, number][]): { from: number; to: number }[] => pairs.map(([from, to]) => ({ from, to }));

test('what was added between two looks at memory', () => {
  assert.deepEqual(added(stretches([10, 20]), stretches([10, 20], [30, 40])), stretches([30, 40]));
  assert.deepEqual(added(stretches([10, 20], [30, 40]), stretches([5, 45])), stretches([5, 10], [20, 30], [40, 45]), 'grown together');
  assert.deepEqual(added(stretches([10, 20], [30, 40]), stretches([12, 18])), [], 'freed');
  assert.deepEqual(added([], stretches([1, 2])), stretches([1, 2]));
  assert.deepEqual(added(stretches([10, 20]), stretches([15, 25], [50, 60])), stretches([20, 25], [50, 60]), 'moved up');
});

test('memory of no file is found among the rest', () => {
  const maps = `00400000-00401000 r--p 00000000 fe:00 1234    /usr/bin/node
06b7d000-06bb6000 rw-p 00000000 00:00 0 
1a2b3c000-1a2b4c000 rw-p 00000000 00:00 0                                  [heap]
7f0000000000-7f0002000000 rw-p 00000000 00:00 0 
7f1000000000-7f1000021000 rw-p 00010000 fe:00 99    /some/file
7f2000000000-7f2000001000 r-xp 00000000 00:00 0 
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
`;
  assert.deepEqual(ownMemory(maps), stretches([0x06b7d000, 0x06bb6000], [0x7f0000000000, 0x7f0002000000]));
});

const off = (() => {
  try {
    return readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1').includes('[never]') ? 'the system has huge pages switched off' : false;
  } catch {
    return 'this system has no huge pages';
  }
})();

/** What of this process lies on huge pages, in MiB. */
const hugeMiB = (): number => [...readFileSync('/proc/self/smaps', 'latin1').matchAll(/^AnonHugePages: +(\d+) kB/gm)].reduce((sum, [, kib]) => sum + Number(kib) / 1024, 0);

test('memory that is allocated under it lies on huge pages', { skip: off }, async () => {
  const native = await loadNative(false);
  const megabytes = 32;
  const before = hugeMiB();
  const buffer = withHugePages(native, () => Buffer.alloc(megabytes * 2 ** 20, 7));
  const got = hugeMiB() - before;
  assert.ok(got >= megabytes - 4, `${got} of ${megabytes} MiB`);
  assert.ok(buffer.every((byte) => byte === 7), 'what lies there is the same');
});

test('memory up to 256 MiB gets them where there are any', { skip: off }, async () => {
  const native = await loadNative(false);
  assert.equal(getsHugePages(native, 256 * 2 ** 20), true);
  assert.equal(getsHugePages(native, 256 * 2 ** 20 + 1), false);
  assert.equal(getsHugePages({ madvise: undefined }, 1), false);
});

const large = fileURLToPath(new URL('../../../weights/large/model.gguf', import.meta.url));

test('the weights of a small model lie on huge pages, and are freed', { skip: existsSync(large) ? off : 'weights/large is not here' }, async () => {
  const cache = new WeightsCache(await loadNative(false));
  const before = hugeMiB();
  const weights = cache.acquire(large, 0);
  const got = hugeMiB() - before;
  const megabytes = weights.header.fileBytes / 2 ** 20;
  assert.ok(got >= megabytes - 6, `${got} of ${megabytes} MiB`);
  cache.release(weights);
  // The heap beside them may have got some of its own meanwhile.
  const left = hugeMiB() - before;
  assert.ok(left <= got / 2, `${left} of ${got} MiB are left`);
});
