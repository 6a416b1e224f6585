/** A session that the main thread holds open: a sequence whose laws are copied into memory that both threads see. */
import { fail, TandemError } from '../../errors.ts';
import type { Laws, Step } from '../../decoding/program.ts';
import type { OpenModel } from './open-model.ts';
import type { LlamaSequence } from './sequences.ts';
import type { PendingStep, Task } from './task.ts';

/** An open session. */
export class SessionTask implements Task {
  readonly run: number;
  readonly pending: PendingStep[] = [];
  waits = false;
  readonly model: OpenModel;
  readonly #law: Float32Array;
  readonly #sequence: LlamaSequence;
  #answer: ((error: TandemError | undefined, length: number) => void) | undefined;

  /** @param law memory for one law */
  constructor(run: number, model: OpenModel, sequence: LlamaSequence, law: SharedArrayBuffer) {
    this.run = run;
    this.model = model;
    this.#sequence = sequence;
    this.#law = new Float32Array(law);
  }

  /** Begins to append tokens; gives the step to compute. @param answer called with the length afterwards, or why it failed */
  append(tokens: readonly number[], answer: (error: TandemError | undefined, length: number) => void): readonly Step[] {
    if (this.#answer !== undefined) fail('parameter_invalid', 'The session is appending already.');
    if (tokens.length === 0) fail('parameter_invalid', 'Expected at least one token to append.');
    this.#answer = answer;
    return [{ sequence: this.#sequence, tokens, laws: 'last' }];
  }

  resume(laws: readonly Laws[]): readonly Step[] {
    this.#law.set((laws[0] as Laws).at(0));
    this.#settle(undefined);
    return [];
  }

  fail(error: unknown): readonly Step[] {
    this.#settle(TandemError.from(error));
    return [];
  }

  /** Cuts the prefix back. */
  rollback(length: number): void {
    if (this.#answer !== undefined) fail('parameter_invalid', 'The session is appending.');
    this.#sequence.rollback(length);
  }

  /** A second session with the same prefix. */
  fork(run: number, law: SharedArrayBuffer): SessionTask {
    if (this.#answer !== undefined) fail('parameter_invalid', 'The session is appending.');
    return new SessionTask(run, this.model, this.#sequence.fork(), law);
  }

  /** Frees the prefix. */
  stop(): void {
    this.#settle(new TandemError('cancelled', { message: 'The session was closed.' }));
    this.#sequence.close();
  }

  #settle(error: TandemError | undefined): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(error, this.#sequence.length);
  }
}
