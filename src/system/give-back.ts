/**
 * Gives memory back once work is over.
 *
 * Load leaves a process with dead objects that nobody collects while nothing is allocated, and with a native heap that is as large as
 * it ever had to be; how much depends on when a collection last came and when each thread needed most. Both are given
 * back when there was little to do for a minute after enough work to be worth it, not in every pause of it: whoever comes next
 * finds a small heap, and is slower for some time (`bench/gateway-versions.ts --portkey`, whose rounds are pauses for the others: a seventh to a third
 * less throughput when every pause was used; when only the one before the first round was, 2 to 4 % more time a request at one connection).
 * V8 keeps the pages that a collection frees for some eight more seconds, and shrinks its heap if it stays quiet
 * (`npm run bench:gateway -- --memory-only`).
 */
import { collect } from './memory.ts';
import { trimNativeHeap } from './native-heap.ts';

/** How often is looked whether there is little to do. Milliseconds. Long enough for what an idle gateway does every few seconds to be little of it, also where a timer costs milliseconds. */
const lookMs = 5_000;

/** There is little to do while the process uses less than this share of one processor. */
const quietShare = 0.1;

/** How long there must be little to do. Milliseconds. */
const quietMs = 60_000;

/** Processor time after which giving back is worth it: a collection takes some 30 ms, in which this thread answers nobody. Milliseconds. */
const workMs = 2_000;

/** Says when memory is to be given back: once work is over, and not again before there was more. */
export class Quiet {
  #usedMs: number;
  #workedMs = 0;
  #quietMs = 0;

  /** @param usedMs processor time that counts as used for the start */
  constructor(usedMs: number) {
    this.#usedMs = usedMs;
  }

  /** @param usedMs processor time of the process so far @param passedMs since the last look @returns whether to give back */
  look(usedMs: number, passedMs: number): boolean {
    const used = usedMs - this.#usedMs;
    this.#usedMs = usedMs;
    this.#workedMs += used;
    this.#quietMs = used > quietShare * passedMs ? 0 : this.#quietMs + passedMs;
    if (this.#quietMs < quietMs || this.#workedMs < workMs) return false;
    this.#workedMs = 0;
    return true;
  }
}

/** Gives memory back each time that work is over, as long as the process lives. Call it when the process has started; for the main thread. */
export function giveBackWhenQuiet(): void {
  const quiet = new Quiet(usedMs());
  let atMs = performance.now();
  setInterval(() => {
    const nowMs = performance.now();
    const now = quiet.look(usedMs(), nowMs - atMs);
    atMs = nowMs;
    if (now) void giveBack();
  }, lookMs).unref();
}

/** Gives back what this thread's heap and the native heap of the process hold for nothing. */
export async function giveBack(): Promise<void> {
  collect();
  await trimNativeHeap();
}

function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
