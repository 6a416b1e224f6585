/**
 * What the scheduler drives: tasks that want steps computed, and the steps on their way.
 *
 * A task is a running token program, an open session or a text to embed. It knows nothing of batches; the scheduler knows
 * nothing of what a task is for.
 */
import { lawsWanted, type Law, type Laws, type Step } from '../../decoding/program.ts';
import type { LlamaContext } from './context.ts';
import type { LlamaSequence } from './sequences.ts';

/** Something that wants steps computed. */
export interface Task {
  /** Number of the run. */
  readonly run: number;
  /** The steps that it asked for last. Kept by the scheduler. */
  readonly pending: PendingStep[];
  /** Whether it waits for them. Kept by the scheduler. */
  waits: boolean;
  /** Called with the laws of all steps it asked for; gives the next steps, or nothing when it waits or has ended. */
  resume(laws: readonly Laws[]): readonly Step[];
  /** Called instead when its steps could not be computed. */
  fail(error: unknown): readonly Step[];
}

/** A step on its way through batches, and the laws it gets. Used again for the task's next step, since those of small models are short. */
export class PendingStep implements Laws {
  readonly task: Task;
  sequence: LlamaSequence;
  tokens: readonly number[];
  /** Laws wanted: after each of this many last tokens. */
  count: number;
  /** What lets it go on by itself, if anything. */
  next: Step['next'];
  /** Tokens that were computed. */
  done = 0;
  /** Tokens that go into the batch, and the laws that they give. */
  portion = 0;
  rows = 0;
  #context: LlamaContext | undefined;
  #firstRow = 0;
  readonly #copies: Law[] = [];
  /** The token that it goes on with. */
  readonly #following = [0];

  constructor(task: Task, step: Step) {
    this.task = task;
    this.sequence = step.sequence as LlamaSequence;
    this.tokens = step.tokens;
    this.count = lawsWanted(step);
    this.next = step.next;
  }

  /** Becomes the task's next step. */
  renew(step: Step): void {
    this.sequence = step.sequence as LlamaSequence;
    this.tokens = step.tokens;
    this.count = lawsWanted(step);
    this.next = step.next;
    this.done = 0;
    while (this.#copies.length > 0) this.#copies.pop();
  }

  /** Goes on by itself, once all its tokens were computed and while their law is in place. False when it is over. @throws what `next` throws */
  goOn(): boolean {
    const token = this.next?.(this.at(0));
    if (token === undefined) return false;
    this.#following[0] = token;
    this.tokens = this.#following;
    this.done = 0;
    this.rows = 0;
    return true;
  }

  get remaining(): number {
    return this.tokens.length - this.done;
  }

  get complete(): boolean {
    return this.done === this.tokens.length;
  }

  /** Laws that the next `count` tokens give. */
  rowsOf(count: number): number {
    return Math.max(0, Math.min(count, this.done + count - (this.tokens.length - this.count)));
  }

  at(index: number): Law {
    const copies = this.#copies.length;
    if (index < copies) return this.#copies[index] as Law;
    return (this.#context as LlamaContext).law(this.#firstRow + index - copies);
  }

  /** Chooses how many of its next tokens go into the batch. @returns the laws that they give */
  choose(portion: number): number {
    this.portion = portion;
    return (this.rows = this.rowsOf(portion));
  }

  /** Puts the chosen tokens into the batch. */
  put(context: LlamaContext): void {
    const { sequence, tokens, done, portion, rows } = this;
    this.#context = context;
    this.#firstRow = context.outputs;
    for (let n = 0; n < portion; n++) context.add(tokens[done + n] as number, sequence.length + n, sequence.id, n >= portion - rows);
  }

  /** Notes that its portion was computed. */
  advance(): void {
    const { sequence, tokens, portion } = this;
    for (let n = 0; n < portion; n++) sequence.tokens.push(tokens[this.done++] as number);
  }

  /** Takes the laws of its portion out of the context, because another batch comes before the task can read them. */
  copy(): void {
    for (let n = 0; n < this.rows; n++) this.#copies.push((this.#context as LlamaContext).law(this.#firstRow + n).slice());
  }
}
