/**
 * Where the accounts of the keys lie: in memory that the threads of a gateway share, so that a limit is one limit however
 * many threads serve the key. A lock a key lets one thread at a time read and change an account, for about a microsecond.
 */
import type { KeySettings } from './keys.ts';
import { SlidingWindow } from './sliding-window.ts';

/** Length of the windows in which requests and tokens are counted. */
const windowMs = 60_000;
/** Amounts of so many milliseconds are one entry of a window. */
const resolutionMs = 50;

const own = { lock: 0, runningTokens: 1, spentUsd: 2, day: 3, asideUsd: 4, drawing: 5, windows: 6 } as const;
const windowWords = SlidingWindow.words(windowMs, resolutionMs);

/** Bytes that the accounts of these keys take. */
export function accountBytes(keys: readonly KeySettings[]): number {
  return 8 * keys.reduce((sum, key) => sum + wordsOf(key), 0);
}

/** The accounts' memory, one for each key in order. @param shared `accountBytes(keys)` bytes, all 0 at first; default: its own */
export function accountMemories(keys: readonly KeySettings[], shared: SharedArrayBuffer | ArrayBuffer = new ArrayBuffer(accountBytes(keys))): AccountMemory[] {
  let word = 0;
  return keys.map((key) => {
    const memory = new AccountMemory(key, shared, 8 * word);
    word += wordsOf(key);
    return memory;
  });
}

function wordsOf({ requestsPerMinute, tokensPerMinute }: KeySettings): number {
  return own.windows + (requestsPerMinute === undefined ? 0 : windowWords) + (tokensPerMinute === undefined ? 0 : windowWords);
}

/** What is noted of one key. Use it only within `locked`. */
export class AccountMemory {
  /** Requests of the last minute; absent where they are not limited. */
  readonly requests: SlidingWindow | undefined;
  /** Tokens of the last minute; absent where they are not limited. */
  readonly tokens: SlidingWindow | undefined;
  readonly #lock: Int32Array;
  readonly #words: Float64Array;

  /** @param byteOffset where in the memory this account begins */
  constructor(settings: KeySettings, memory: SharedArrayBuffer | ArrayBuffer, byteOffset: number) {
    this.#lock = new Int32Array(memory, byteOffset, 1);
    this.#words = new Float64Array(memory, byteOffset, wordsOf(settings));
    let from: number = own.windows;
    const window = (limit: number | undefined): SlidingWindow | undefined => {
      if (limit === undefined) return undefined;
      const words = this.#words.subarray(from, (from += windowWords));
      return new SlidingWindow(windowMs, resolutionMs, words);
    };
    this.requests = window(settings.requestsPerMinute);
    this.tokens = window(settings.tokensPerMinute);
  }

  /** Prompt tokens of running requests, as they were estimated. */
  get runningTokens(): number {
    return this.#words[own.runningTokens] ?? 0;
  }
  set runningTokens(value: number) {
    this.#words[own.runningTokens] = value;
  }

  /** Dollars spent on `day`. */
  get spentUsd(): number {
    return this.#words[own.spentUsd] ?? 0;
  }
  set spentUsd(value: number) {
    this.#words[own.spentUsd] = value;
  }

  /** Dollars that running requests have set aside for calls under way, and that their ended calls cost. */
  get asideUsd(): number {
    return this.#words[own.asideUsd] ?? 0;
  }
  set asideUsd(value: number) {
    this.#words[own.asideUsd] = value;
  }

  /** Running requests that draw on the dollars of the day. */
  get drawing(): number {
    return this.#words[own.drawing] ?? 0;
  }
  set drawing(value: number) {
    this.#words[own.drawing] = value;
  }

  /** Days since 1970 that `spentUsd` is for; undefined before it was read from the store. */
  get day(): number | undefined {
    const stored = this.#words[own.day] ?? 0;
    return stored === 0 ? undefined : stored - 1;
  }
  set day(value: number) {
    this.#words[own.day] = value + 1;
  }

  /** Does something while no other thread uses this account. Not to be nested. */
  locked<T>(work: () => T): T {
    for (let tries = 0; Atomics.compareExchange(this.#lock, 0, 0, 1) !== 0; tries++) if (tries > 1_000) pause(this.#lock);
    try {
      return work();
    } finally {
      Atomics.store(this.#lock, 0, 0);
    }
  }
}

/** Lets another thread work that holds the lock but not a processor. */
function pause(lock: Int32Array): void {
  if (lock.buffer instanceof SharedArrayBuffer) Atomics.wait(lock, 0, 1, 0.1);
}
