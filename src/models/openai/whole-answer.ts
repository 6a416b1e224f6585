/** An answer that comes in one piece, as the stream of parts that the port asks for. Knows nothing of where it comes from. */
import { ended, Pulled, type Pull } from '../../system/pull.ts';
import type { ModelPart } from '../port.ts';

/** A whole answer; a failure comes after its parts. */
export interface Answer {
  readonly parts: readonly ModelPart[];
  readonly failure?: unknown;
}

/** The parts of an answer that is fetched in one piece, when the first is asked for. */
export class WholeAnswer extends Pulled<ModelPart> {
  readonly #fetch: () => Promise<Answer>;
  #fetching: Promise<void> | undefined;
  #parts: Answer['parts'] | undefined;
  #failure: { readonly error: unknown } | undefined;
  #at = 0;
  #over = false;

  constructor(fetch: () => Promise<Answer>) {
    super();
    this.#fetch = fetch;
  }

  pull(): Pull<ModelPart> {
    if (this.#over) return ended;
    const value = this.#parts?.[this.#at];
    if (value !== undefined) {
      this.#at++;
      return { done: false, value };
    }
    if (this.#parts === undefined && this.#failure === undefined) return (this.#fetching ??= this.#wait());
    this.#over = true;
    if (this.#failure !== undefined) throw this.#failure.error;
    return ended;
  }

  async #wait(): Promise<void> {
    try {
      const { parts, failure } = await this.#fetch();
      if (failure !== undefined) this.#failure = { error: failure };
      this.#parts = parts;
    } catch (error) {
      this.#failure = { error };
    }
  }

  /** The signal of the call stops what is under way. */
  leave(): undefined {
    this.#over = true;
  }
}
