import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const memory = JSON.stringify(new URL('./memory.ts', import.meta.url).href);

/** Makes many objects that live for a while, then gives the size of the young generation. MiB. */
const load = `
  const young = () => v8.getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20;
  const load = async () => {
    let kept = [];
    for (let turn = 0; turn < 400; turn++) {
      for (let n = 0; n < 30_000; n++) kept.push({ n });
      if (turn % 20 === 19) kept = [];
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return young();
  };`;

/** Runs a module in a process of its own, and reads the JSON that it prints. */
async function run(code: string): Promise<unknown> {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], { env });
  return JSON.parse(stdout) as unknown;
}

test('the young generation of the main thread stops growing at its size, and may grow again', async () => {
  const [before, held, tidied, again] = (await run(`
    import v8 from 'node:v8';
    import { holdYoungGeneration, tidy } from ${memory};
    ${load}
    const before = young();
    holdYoungGeneration();
    const held = await load();
    tidy();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const tidied = young();
    console.log(JSON.stringify([before, held, tidied, await load()]));
    process.exit();`)) as [number, number, number, number];
  assert.ok(before < 16, `${before} MiB`);
  assert.ok(tidied < 16, `${tidied} MiB after it was tidied`);
  assert.deepEqual([held, again], [64, 64]);
});

test('threads have the whole of a bounded young generation', async () => {
  const inThread = `import v8 from 'node:v8'; import { parentPort } from 'node:worker_threads'; ${load} parentPort.postMessage(await load());`;
  const sizes = await run(`
    import { Worker } from 'node:worker_threads';
    import { fixThreadsYoungGeneration, youngGeneration } from ${memory};
    fixThreadsYoungGeneration();
    const size = (of) => new Promise((resolve, reject) => new Worker(${JSON.stringify(inThread)}, { eval: true, resourceLimits: youngGeneration(of) }).on('message', resolve).on('error', reject));
    console.log(JSON.stringify([await size('gateway'), await size('engine'), await size('store')]));`);
  assert.deepEqual(sizes, [64, 8, 4]);
});

test('threads tidy up side by side, and only where the process wants it', async () => {
  const inThread = `import { parentPort } from 'node:worker_threads'; import { tidyThread } from ${memory}; tidyThread(); setTimeout(() => parentPort.postMessage(typeof gc), 2_000);`;
  const types = await run(`
    import { Worker } from 'node:worker_threads';
    import { tidy, tidyThreads } from ${memory};
    tidyThreads();
    tidy();
    const threads = Array.from({ length: 6 }, () => new Promise((resolve, reject) => new Worker(${JSON.stringify(inThread)}, { eval: true }).on('message', resolve).on('error', reject)));
    console.log(JSON.stringify(await Promise.all(threads)));`);
  assert.deepEqual(types, Array.from({ length: 6 }, () => 'undefined'));
});
