/**
 * Stop texts in a stream: the answer ends before the one that is complete first, wherever the stream is cut. Of several that are complete with
 * the same character, the longest counts.
 *
 * Text that could still become a stop text is held back. Worked example, stop "END": the parts "abE", "N", "x" come out as
 * "ab", "", "ENx"; the parts "abE", "ND" as "ab" and the end. With the stops "abcd" and "bc", "abcd" gives "a".
 */

/** Holds back what may be part of a stop text. */
export class StopFinder {
  readonly #stops: readonly string[];
  #held = '';
  #found = false;

  /** @param stops texts at which the answer ends; empty ones are ignored */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Whether there is any stop text. */
  get seeks(): boolean {
    return this.#stops.length > 0;
  }

  /** Whether a stop text was found; everything later is not part of the answer. */
  get found(): boolean {
    return this.#found;
  }

  /** Text that is surely part of the answer, now that `text` has come. */
  push(text: string): string {
    if (this.#found) return '';
    if (this.#stops.length === 0) return text;
    const all = this.#held + text;
    let begin = -1;
    let end = Infinity;
    for (const stop of this.#stops) {
      const at = all.indexOf(stop);
      if (at < 0 || at + stop.length > end || (at + stop.length === end && at > begin)) continue;
      begin = at;
      end = at + stop.length;
    }
    if (begin >= 0) {
      this.#found = true;
      this.#held = '';
      return all.slice(0, begin);
    }
    const kept = this.#partial(all);
    this.#held = all.slice(all.length - kept);
    return all.slice(0, all.length - kept);
  }

  /** What is still held back when the answer ends for another reason. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Length of the longest end of the text that begins a stop text. */
  #partial(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
