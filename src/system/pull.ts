/**
 * Streams that are asked, not awaited.
 *
 * A part of an answer passes several streams, one inside the other. As async iterators each of them would wait for the one inside
 * with a promise of its own: some ten turns of the microtask queue for each part. A pulled stream gives its next item
 * when it is here, and else the promise that it will be worth asking again. That promise comes from the innermost stream and is handed out
 * through all of them as it is; whoever stands outside waits for it and asks again, and then the item passes them all in one
 * go. (The model is the polling of Rust's futures.) Whoever knows nothing of it reads such a stream as any other.
 */

/** The next item of a stream, or a promise that resolves, and never rejects, when it is worth asking again. */
export type Pull<T> = IteratorResult<T, undefined> | Promise<void>;

/** The end of a stream. */
export const ended: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A stream that can be pulled. One reader. */
export abstract class Pulled<T> implements AsyncIterableIterator<T, undefined> {
  /** The next item if it is here. Throws what `next` would reject with. */
  abstract pull(): Pull<T>;

  /** Leaves the stream; a promise where that takes time. Throws, or the promise rejects, as the stream's own clean-up does. */
  abstract leave(): Promise<void> | undefined;

  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.leave();
    return ended;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    for (;;) {
      const next = this.pull();
      if (!(next instanceof Promise)) return next;
      await next;
    }
  }
}

/** Leaves a stream whose failures concern nobody any more. */
export function leaveQuietly(stream: Pulled<unknown> | undefined): Promise<void> | undefined {
  try {
    return stream?.leave()?.catch(() => undefined);
  } catch {
    return undefined;
  }
}

/** Any stream as one that can be pulled. Nothing is asked of it yet. */
export function pulled<T>(stream: AsyncIterable<T>): Pulled<T> {
  const source = stream[Symbol.asyncIterator]();
  return source instanceof Pulled ? (source as Pulled<T>) : new Awaited(source);
}

/** A stream that gives promises. */
class Awaited<T> extends Pulled<T> {
  readonly #source: AsyncIterator<T, unknown, undefined>;
  #waiting: Promise<void> | undefined;
  #come: { readonly result: IteratorResult<T, unknown> } | { readonly error: unknown } | undefined;

  constructor(source: AsyncIterator<T, unknown, undefined>) {
    super();
    this.#source = source;
  }

  pull(): Pull<T> {
    const come = this.#come;
    if (come === undefined) return (this.#waiting ??= this.#wait());
    this.#come = undefined;
    if ('error' in come) throw come.error;
    return come.result.done === true ? ended : come.result;
  }

  async #wait(): Promise<void> {
    try {
      this.#come = { result: await this.#source.next() };
    } catch (error) {
      this.#come = { error };
    }
    this.#waiting = undefined;
  }

  async leave(): Promise<void> {
    await this.#source.return?.();
  }
}

/** The items of lists that come one after the other. Those of one list are here at once. */
export class Flattened<T> extends Pulled<T> {
  readonly #lists: Pulled<readonly T[]>;
  #list: readonly T[] = [];
  #at = 0;

  constructor(lists: AsyncIterable<readonly T[]>) {
    super();
    this.#lists = pulled(lists);
  }

  pull(): Pull<T> {
    while (this.#at === this.#list.length) {
      const next = this.#lists.pull();
      if (next instanceof Promise) return next;
      if (next.done === true) return ended;
      this.#list = next.value;
      this.#at = 0;
    }
    return { done: false, value: this.#list[this.#at++] as T };
  }

  leave(): Promise<void> | undefined {
    this.#list = [];
    this.#at = 0;
    return this.#lists.leave();
  }
}
