/**
 * Amounts within the last so many milliseconds: each amount leaves the window when it is that old. No cliff at the turn of
 * a minute, unlike fixed windows. Amounts of the same few milliseconds are one entry, so that a window of a minute stays
 * small however much comes; an amount may leave by so much early.
 *
 * Lies in a row of numbers that may be shared by threads; then only one of them may use it at a time.
 */

/** Where the numbers of a window lie: how many entries, the first one, their sum; then a ring of times and one of amounts. */
const at = { count: 0, head: 1, sum: 2, ring: 3 } as const;

/** Sum of the amounts of the last `lengthMs` milliseconds. */
export class SlidingWindow {
  readonly #lengthMs: number;
  readonly #resolutionMs: number;
  readonly #room: number;
  readonly #words: Float64Array;

  /**
   * @param lengthMs length of the window
   * @param resolutionMs amounts within so many milliseconds are one entry; default 10
   * @param words `SlidingWindow.words(lengthMs, resolutionMs)` numbers, all 0 at first; default: its own
   */
  constructor(lengthMs: number, resolutionMs = 10, words: Float64Array = new Float64Array(SlidingWindow.words(lengthMs, resolutionMs))) {
    this.#lengthMs = lengthMs;
    this.#resolutionMs = resolutionMs;
    this.#room = roomOf(lengthMs, resolutionMs);
    this.#words = words;
  }

  /** How many numbers a window takes. */
  static words(lengthMs: number, resolutionMs = 10): number {
    return at.ring + 2 * roomOf(lengthMs, resolutionMs);
  }

  /** Adds an amount. A time before that of the last amount counts as that one. */
  add(amount: number, nowMs: number): void {
    const words = this.#words;
    const atMs = Math.floor(nowMs / this.#resolutionMs) * this.#resolutionMs;
    this.sum(nowMs);
    const count = words[at.count] ?? 0;
    const last = this.#slot(count - 1);
    if (count > 0 && (words[last] ?? 0) >= atMs) words[last + this.#room] = (words[last + this.#room] ?? 0) + amount;
    else {
      const next = this.#slot(count);
      words[next] = atMs;
      words[next + this.#room] = amount;
      words[at.count] = count + 1;
    }
    words[at.sum] = (words[at.sum] ?? 0) + amount;
  }

  /** Sum of what lies in the window now. */
  sum(nowMs: number): number {
    const words = this.#words;
    const since = nowMs - this.#lengthMs;
    while ((words[at.count] ?? 0) > 0) {
      const first = this.#slot(0);
      if ((words[first] ?? 0) > since) return words[at.sum] ?? 0;
      words[at.sum] = (words[at.sum] ?? 0) - (words[first + this.#room] ?? 0);
      words[at.head] = ((words[at.head] ?? 0) + 1) % this.#room;
      words[at.count] = (words[at.count] ?? 0) - 1;
    }
    return (words[at.sum] = 0);
  }

  /** Milliseconds until the sum has fallen to at most `target`, if nothing is added. */
  untilAtMost(target: number, nowMs: number): number {
    let left = this.sum(nowMs);
    const count = this.#words[at.count] ?? 0;
    let index = 0;
    while (left > target && index < count) left -= this.#words[this.#slot(index++) + this.#room] ?? 0;
    return index === 0 ? 0 : Math.max(1, (this.#words[this.#slot(index - 1)] ?? nowMs) + this.#lengthMs - nowMs);
  }

  /** Where the time of an entry lies; its amount lies `#room` further on. */
  #slot(index: number): number {
    const place = (this.#words[at.head] ?? 0) + index;
    return at.ring + (place < 0 ? place + this.#room : place >= this.#room ? place - this.#room : place);
  }
}

/** Entries that can lie in a window at once. */
function roomOf(lengthMs: number, resolutionMs: number): number {
  return Math.ceil(lengthMs / resolutionMs) + 2;
}
