/**
 * Hands a stream on, changed on the way. Written as a stream that can be pulled, not a generator: every part of every answer
 * passes several of these, and a generator that loops over another one costs each part some four turns of the microtask
 * queue where this costs one or none. Knows nothing of what it carries.
 */
import { ended, pulled, Pulled, type Pull } from './pull.ts';

/** What happens to the items of a stream on their way. Synchronous; keeps the state of one stream. */
export interface Passage<I, O> {
  /**
   * The next item. Gives it as it is where it goes on unchanged; else pushes what goes on instead. Gives `true` when the
   * stream is over after that, whatever else would come. May throw: then `end` is asked, and the stream fails.
   */
  take(item: I, out: O[]): O | boolean;
  /** The source has ended or failed, or `take` threw: what is still held. */
  end(out: O[]): void;
}

/** A stream that was changed on its way. One reader, who asks for one item at a time; leaving it leaves the source. */
export class Relay<I, O extends object> extends Pulled<O> {
  readonly #from: AsyncIterable<I>;
  readonly #passage: Passage<I, O>;
  #source: Pulled<I> | undefined;
  /** What is ready to be read, from `#at` on. */
  readonly #ready: O[] = [];
  #at = 0;
  #failure: { readonly error: unknown } | undefined;
  /** Nothing more is asked of the source. */
  #closed = false;
  /** The source has not ended by itself, and is to be left once everything was read. */
  #toLeave = false;

  /** @param from nothing is asked of it before the first item is read @param passage for this stream alone */
  constructor(from: AsyncIterable<I>, passage: Passage<I, O>) {
    super();
    this.#from = from;
    this.#passage = passage;
  }

  pull(): Pull<O> {
    while (this.#at === this.#ready.length && !this.#closed) {
      let result: Pull<I>;
      try {
        result = (this.#source ??= pulled(this.#from)).pull();
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (result instanceof Promise) return result;
      const unchanged = this.#receive(result);
      if (unchanged !== undefined) return unchanged;
    }
    return this.#give();
  }

  leave(): Promise<void> | undefined {
    const leave = this.#toLeave || !this.#closed;
    this.#closed = true;
    this.#toLeave = false;
    this.#failure = undefined;
    this.#at = this.#ready.length = 0;
    return leave ? this.#source?.leave() : undefined;
  }

  /** What is ready, then the failure or the end. */
  #give(): Pull<O> {
    const value = this.#ready[this.#at];
    if (value !== undefined) {
      this.#at++;
      return { done: false, value };
    }
    if (this.#toLeave) {
      this.#toLeave = false;
      return this.#leaveSource();
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    return ended;
  }

  async #leaveSource(): Promise<void> {
    try {
      await this.#source?.leave();
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  /** Takes an item; gives it where it goes on as it is, else what goes on is ready. */
  #receive(result: IteratorResult<I>): IteratorYieldResult<O> | undefined {
    if (this.#at > 0) this.#at = this.#ready.length = 0;
    if (result.done === true) {
      this.#closed = true;
      this.#passage.end(this.#ready);
      return undefined;
    }
    try {
      const taken = this.#passage.take(result.value, this.#ready);
      if (typeof taken === 'object') return { done: false, value: taken };
      if (taken) this.#closed = this.#toLeave = true;
    } catch (error) {
      this.#toLeave = true;
      this.#fail(error);
    }
    return undefined;
  }

  #fail(error: unknown): void {
    this.#closed = true;
    this.#failure = { error };
    this.#passage.end(this.#ready);
  }
}
