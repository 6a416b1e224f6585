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
  #answer: Answer | undefined;
  #at = 0;
  #over = false;
  readonly #onAnswer = (answer: Answer): Pull<ModelPart> => {
    this.#answer = answer;
    return this.pull();
  };
  readonly #onFailure = (error: unknown): never => {
    this.#over = true;
    throw error;
  };

  constructor(fetch: () => Promise<Answer>) {
    super();
    this.#fetch = fetch;
  }

  pull(): Pull<ModelPart> {
    if (this.#over) return ended;
    if (this.#answer === undefined) return this.#fetch().then(this.#onAnswer, this.#onFailure);
    const { parts, failure } = this.#answer;
    const value = parts[this.#at++];
    if (value !== undefined) return { done: false, value };
    this.#over = true;
    if (failure !== undefined) throw failure;
    return ended;
  }

  /** The signal of the call stops what is under way. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#over = true;
    return ended;
  }
}
