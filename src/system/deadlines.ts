/**
 * Deadlines of many runs with one timer. A deadline far away is looked at ten times a second, which is exact to a tenth
 * of a second and costs a run no timer of its own; a near one gets its own timer.
 */
import { Bag } from './bag.ts';
import type { Clock } from './clock.ts';

/** How often far deadlines are looked at. */
const everyMs = 100;
/** Deadlines at least this far away are looked at together. */
const farMs = 10_000;

interface Deadline {
  readonly dueMs: number;
  readonly pass: () => void;
  over: boolean;
}

/** Watches deadlines. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #far = new Bag<Deadline>();
  #ticking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `passed` when the time is over, unless the function that it gives is called before. */
  watch(leftMs: number, passed: () => void): () => void {
    if (leftMs < farMs) {
      const off = new AbortController();
      this.#clock.sleep(leftMs, off.signal).then(passed, () => undefined);
      return () => off.abort();
    }
    const takeOut = (): void => {
      if (!deadline.over) this.#far.remove(ticket);
      deadline.over = true;
    };
    const deadline: Deadline = {
      dueMs: this.#clock.monotonicMs() + leftMs,
      pass: () => {
        takeOut();
        passed();
      },
      over: false,
    };
    const ticket = this.#far.add(deadline);
    if (!this.#ticking) void this.#tick();
    return takeOut;
  }

  async #tick(): Promise<void> {
    this.#ticking = true;
    while (this.#far.size > 0) {
      await this.#clock.sleep(everyMs);
      const nowMs = this.#clock.monotonicMs();
      for (const deadline of this.#far.items()) {
        if (deadline.dueMs <= nowMs && !deadline.over) deadline.pass();
      }
    }
    this.#ticking = false;
  }
}
