/**
 * Keeps the memory of a long-running process in bounds.
 *
 * V8 lets the part of a heap in which new objects are made (the young generation) double again and again under load, to 128 MiB on
 * a machine with much memory, in each thread, although a gateway's objects die young and little is gained beyond some 64. A
 * thread's heap is bounded where the thread is made (`youngGeneration`). The main thread's limit is fixed before any code
 * runs, so its growth is stopped when it has reached the size (`holdYoungGeneration`).
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';

/** Half of the young generation that holds new objects, in MiB; the other half takes those that live on. */
const halfMiB = { gateway: 32, engine: 4, store: 2 } as const;

/** How much the other part of a heap may grow over what was alive in it before it is collected. V8's own choice is up to 300. */
const oldGrowthPercent = 50;

/** Limits for a thread's heap. @param of what the thread does */
export function youngGeneration(of: keyof typeof halfMiB): { readonly maxYoungGenerationSizeMb: number } {
  return { maxYoungGenerationSizeMb: 3 * halfMiB[of] }; // V8 counts large new objects as a third half
}

/**
 * Gives the threads that are made from now on their whole young generation at once, so that `holdYoungGeneration` can stop
 * growth, which V8 knows for the whole process only. Call it before anything is loaded from the compile cache: flags of V8 are part of its key.
 */
export function fixThreadsYoungGeneration(): void {
  if (!isChosen()) setFlagsFromString(`--min-semi-space-size=${halfMiB.gateway}`);
}

/** How often a young generation that has its size is looked at: V8 makes it smaller when there is little to do. Milliseconds. */
const lookMs = 1_000;

/**
 * Stops the growth of this thread's young generation when it has its size, and allows it below; collects the rest earlier, in all threads.
 * The first time it grows step by step, since a start needs little; when it was given back after load (`give-back.ts`) it grows in one
 * step, since a small one costs a request some percent more processor time (`bench/gateway-versions.ts --portkey --connections 1`), and with few requests at once it grows slowly.
 * For the main thread.
 */
export function holdYoungGeneration(): void {
  if (isChosen()) return;
  const grows = (): boolean => youngBytes() < 2 * halfMiB.gateway * 2 ** 20;
  // Node makes an entry of every collection for an observer, so there is one only while the generation may grow.
  const collections = new PerformanceObserver(() => {
    if (!grows()) hold();
  });
  const grow = (factor: number): void => {
    setFlagsFromString(`--semi-space-growth-factor=${factor}`);
    collections.observe({ entryTypes: ['gc'] });
  };
  const hold = (): void => {
    collections.disconnect();
    setFlagsFromString('--semi-space-growth-factor=1');
    const timer = setInterval(() => {
      if (!grows()) return;
      clearInterval(timer);
      grow(halfMiB.gateway);
    }, lookMs).unref();
  };
  setFlagsFromString(`--heap-growing-percent=${oldGrowthPercent}`);
  process.once('exit', () => {
    // the compile cache is written after this, and flags of V8 are part of its key
    setFlagsFromString('--semi-space-growth-factor=2');
    setFlagsFromString('--heap-growing-percent=0');
  });
  if (grows()) grow(2);
  else hold();
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? Infinity;
}

/** Whether the one who started the process chose the size. */
function isChosen(): boolean {
  return /semi[-_]space/.test([...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' '));
}

const tidied = 'tandem.tidied';
const tidyAfterMs = 1_000;
const tidyTries = 5;

/** Lets every thread that is made from now on give back, once, what it needed for starting only. */
export function tidyThreads(): void {
  if (lock() === undefined) setEnvironmentData(tidied, new SharedArrayBuffer(4));
}

/** `tidy` for a thread, where the process wants it. */
export function tidyThread(): void {
  if (lock() !== undefined) tidy();
}

/**
 * Collects all garbage of this thread's heap once, a second from now, and gives the memory back. It also tells V8 how little
 * is alive, so that later collections come in time. Takes some 50 ms, so it waits for a moment without work; after some tries it is left.
 * Compiled code goes as well and what comes after is compiled with less knowledge: a gateway without models took up to 15 % more time a request.
 * @param busy whether there is work
 */
export function tidy(busy: () => boolean = () => false): void {
  let tries = 0;
  const timer = setInterval(() => {
    if (!busy()) collector()({ type: 'major', flavor: 'last-resort' });
    else if (++tries < tidyTries) return;
    clearInterval(timer);
  }, tidyAfterMs);
  timer.unref();
}

function lock(): Int32Array | undefined {
  const memory = getEnvironmentData(tidied);
  return memory instanceof SharedArrayBuffer ? new Int32Array(memory) : undefined;
}

/** Collects the garbage of this thread's heap. Unlike `tidy` it keeps compiled code. */
export function collect(): void {
  collector()({ type: 'major' });
}

type Collect = (how: { readonly type: 'major'; readonly flavor?: 'last-resort' }) => void;

let collecting: Collect | undefined;

/** V8's function `gc`. */
function collector(): Collect {
  return (collecting ??= fetchCollector());
}

/** It hangs on a flag of the process, so only one thread at a time may fetch it. */
function fetchCollector(): Collect {
  const taken = lock() ?? new Int32Array(new SharedArrayBuffer(4));
  while (Atomics.compareExchange(taken, 0, 0, 1) !== 0) Atomics.wait(taken, 0, 1, 10);
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as Collect;
  } finally {
    setFlagsFromString('--no-expose-gc');
    Atomics.store(taken, 0, 0);
  }
}
