/**
 * Streams that give what is already here without a promise.
 *
 * A part of an answer passes several streams, one inside the other. Where its source has it at hand (the second part of a
 * whole reply, the tenth event of one read), asking with `pull` takes it through all of them in one go, where `next` costs
 * every stream a promise and a turn of the microtask queue. Whoever knows nothing of it uses such a stream as any other.
 */

/** The next item of a stream, or the promise of it. */
export type Pull<T> = IteratorResult<T, undefined> | Promise<IteratorResult<T, undefined>>;

/** The end of a stream. */
export const ended: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A stream that can be pulled. One reader, who asks for one item at a time. */
export abstract class Pulled<T> implements AsyncIterableIterator<T, undefined> {
  /** The next item, at once where it is here. What `next` would reject with is thrown, or rejects. */
  abstract pull(): Pull<T>;

  /** Leaves the stream. */
  abstract return(): Promise<IteratorReturnResult<undefined>>;

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    return this.pull();
  }
}

/** Asks any stream for its next item, at once where it can. @throws what `next` would reject with */
export function pull<T>(stream: AsyncIterator<T, unknown, undefined>): Pull<T> {
  return stream instanceof Pulled ? (stream as Pulled<T>).pull() : (stream.next() as Promise<IteratorResult<T, undefined>>);
}
