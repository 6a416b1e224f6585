import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Quiet } from './give-back.ts';

/** Looks at a process second by second (the length of a look is the caller's). @param used processor milliseconds of each second @returns the seconds in which to give back */
function given(used: readonly number[], started = 700): number[] {
  const quiet = new Quiet(started);
  let usedMs = started;
  return used.flatMap((ms, second) => (quiet.look((usedMs += ms), 1_000) ? [second] : []));
}

const quiet = (seconds: number): number[] => new Array<number>(seconds).fill(5);

test('memory is given back after a quiet minute that follows enough work, and once', () => {
  assert.deepEqual(given([900, 900, 900, ...quiet(180)]), [62]);
  assert.deepEqual(given([900, 900, 900, ...quiet(59), 900, ...quiet(59)]), [], 'a pause is not the end of work');
  assert.deepEqual(given([900, 900, 120, 900, ...quiet(60)]), [63], 'a second with some work is not quiet');
  assert.deepEqual(given([1_500, ...quiet(65), 900, ...quiet(65)]), [126], 'work adds up over quiet seconds');
  assert.deepEqual(given(quiet(240)), [], 'what the start used does not count');
  assert.deepEqual(given([2_000, ...quiet(62), 2_000, ...quiet(62)]), [60, 123]);
});

const { header } = process.report.getReport() as { readonly header: { readonly glibcVersionRuntime?: string } };
const skip = header.glibcVersionRuntime === undefined ? 'only glibc keeps what was freed' : false;

test('what is dead in both heaps leaves the process', { skip }, async () => {
  const code = `
    import { giveBack } from ${JSON.stringify(new URL('./give-back.ts', import.meta.url).href)};
    const resident = () => process.memoryUsage.rss() / 2 ** 20;
    await giveBack();
    const before = resident();
    // small enough for the native heap's own lists; every hundredth stays, so that the heap cannot shrink from its end
    const kept = [];
    let held = Array.from({ length: 4_000 }, () => Buffer.alloc(20_000, 1));
    for (let n = 0; n < held.length; n += 100) kept.push(held[n]);
    const full = resident();
    held = undefined;
    await new Promise((resolve) => setTimeout(resolve, 20));
    await giveBack();
    await giveBack(); // memory of arrays is freed after the collection
    console.log(JSON.stringify([before, full, resident(), kept.length]));`;
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env });
  const [before, full, after] = JSON.parse(stdout) as [number, number, number];
  assert.ok(full - before > 60, `${full - before} MiB taken`);
  assert.ok(after - before < 0.25 * (full - before), `${after - before} of ${full - before} MiB left`);
});
