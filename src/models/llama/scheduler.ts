/**
 * Joins the steps of all tasks into batches, one model at a time, and resumes the tasks with their laws.
 *
 * Models take turns; `batch.ts` says what goes into a batch, a different step first each time. Laws are read in place when all steps of
 * a task were computed in one batch, which is the normal case.
 * A step that goes on by itself and has nobody beside it is computed token by token in one go, until the turn is over.
 */
import { fail, TandemError } from '../../errors.ts';
import { fillBatch, isLong, portionMin, type Lane, type Queue } from './batch.ts';
import type { DecodeOutcome, LlamaContext } from './context.ts';
import type { LlamaSequence, SequenceStore } from './sequences.ts';
import { PendingStep, type Task } from './task.ts';
import type { Step } from '../../decoding/program.ts';

/** What the scheduler tells about the batch it begins, so that it can be stopped. */
export interface Watch {
  begin(runs: readonly number[]): void;
  end(): void;
  /** Whether something waits that is to be done before the next batch. */
  readonly urgent: boolean;
}

/** Drives tasks over lanes. */
export class Scheduler {
  readonly #queues = new Map<SequenceStore, Queue>();
  /** The queues in the order of their turns. */
  #order: readonly Queue[] = [];
  /** Tasks that wait for steps. */
  #waiting = 0;
  /** The steps that are in the batch. */
  readonly #batch: PendingStep[] = [];
  readonly #watch: Watch;
  readonly #now: () => number;
  #turn = 0;

  /** @param watch told of every batch that takes long @param now milliseconds, monotonic */
  constructor(watch: Watch, now: () => number) {
    this.#watch = watch;
    this.#now = now;
  }

  /** Adds a lane. */
  addLane(lane: Lane): void {
    this.#queues.set(lane.store, { lane, steps: [], msPerToken: 0 });
    this.#order = [...this.#queues.values()];
  }

  /** Removes a lane; its tasks must have ended. */
  removeLane(lane: Lane): void {
    this.#queues.delete(lane.store);
    this.#order = [...this.#queues.values()];
  }

  /** Whether anything is to be computed. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Whether it is to be computed for one task alone. */
  get lone(): boolean {
    return this.#waiting === 1;
  }

  /** Takes on the steps of a task; resumes it at once when they are empty. */
  submit(task: Task, steps: readonly Step[]): void {
    while (steps.length > 0) {
      try {
        this.#accept(task, steps);
        if (this.#enqueue(task)) return;
        steps = task.resume(task.pending);
      } catch (error) {
        steps = task.fail(error);
      }
    }
    this.#setWaits(task, false);
  }

  /** Forgets what a task asked for. */
  withdraw(task: Task): void {
    if (!task.waits) return;
    this.#setWaits(task, false);
    for (const step of task.pending) {
      const steps = this.#queues.get(step.sequence.store)?.steps ?? [];
      const at = steps.indexOf(step);
      if (at >= 0) steps.splice(at, 1);
    }
  }

  /**
   * Computes one batch of the model whose turn it is; for a lone task that goes on by itself, one after the other.
   * @param untilMs when such a task is to be left, by the scheduler's clock @returns batches that were computed
   */
  advance(untilMs: number): number {
    const queue = this.#next();
    if (queue === undefined) return 0;
    const step = queue.steps[0] as PendingStep;
    if (this.#waiting === 1 && step.next !== undefined && step.remaining === 1 && queue.steps.length === 1 && !isLong(1, queue)) return this.#write(queue, step, untilMs);
    this.#compute(queue);
    return 1;
  }

  /** Computes a batch. */
  #compute(queue: Queue): void {
    fillBatch(queue, this.#batch, this.#waiting > 1);
    const { context } = queue.lane;
    const tokens = context.length;
    const long = isLong(tokens, queue) && this.#mayStop(queue.lane);
    if (long) this.#beginWatch(context);
    const timed = tokens >= portionMin;
    const beganMs = timed ? this.#now() : 0;
    const outcome = context.decode();
    const tookMs = timed ? this.#now() - beganMs : 0;
    if (long) this.#endWatch(context);
    if (outcome === 'done') {
      if (timed) queue.msPerToken += 0.3 * (tookMs / tokens - queue.msPerToken);
      this.#finish(queue);
    } else this.#undo(queue, this.#batch, outcome);
    while (this.#batch.length > 0) this.#batch.pop();
    // whoever came first goes last next time
    if (queue.steps.length > 1) queue.steps.push(queue.steps.shift() as PendingStep);
  }

  /** Lets the only step write token after token. What lies between two of them counts, so this is all that is done. */
  #write(queue: Queue, step: PendingStep, untilMs: number): number {
    const { lane, steps } = queue;
    const { context } = lane;
    lane.useAdapter(step.sequence.adapter);
    let batches = 0;
    do {
      step.choose(1);
      step.put(context);
      const outcome = context.decode();
      batches++;
      if (outcome !== 'done') {
        this.#undo(queue, [step], outcome);
        return batches;
      }
      step.advance();
    } while (this.#goesOn(step) && !this.#watch.urgent && this.#now() < untilMs);
    if (step.complete && steps.pop() !== undefined) this.#resume(step.task);
    return batches;
  }

  /** Lets a complete step go on by itself, if it does. */
  #goesOn(step: PendingStep): boolean {
    if (step.next === undefined) return false;
    try {
      if (!step.goOn()) return false;
      this.#check(step.sequence, step.tokens);
      return true;
    } catch (error) {
      this.withdraw(step.task);
      this.submit(step.task, step.task.fail(error));
      return false;
    }
  }

  /** Makes memory as it was before a batch that was not computed; makes room, or ends whoever cannot go on. */
  #undo({ lane: { store } }: Queue, batch: readonly PendingStep[], outcome: DecodeOutcome): void {
    let failed = outcome === 'failed';
    for (const step of batch) if (!store.restore(step.sequence)) failed = true;
    if (failed) this.#failAll(batch, new TandemError('engine_failed', { message: 'The engine could not compute a batch.' }));
    else if (outcome === 'full' && !store.evict()) this.#failAll(batch.slice(-1), new TandemError('engine_out_of_memory', { message: 'The memory of the model holds no further tokens.' }));
  }

  /** Whether stopping the batch harms nobody but the task that is stopped: what cannot be cut back is lost with it. */
  #mayStop({ rollsBack }: Lane): boolean {
    return rollsBack || this.#batch.every(({ task }) => task === this.#batch[0]?.task);
  }

  /** Lets a batch that takes long be stopped. Others are not watched, since asking after each operation takes its time too. */
  #beginWatch(context: LlamaContext): void {
    this.#watch.begin(this.#batch.map(({ task }) => task.run));
    context.mayStop(true);
  }

  #endWatch(context: LlamaContext): void {
    context.mayStop(false);
    this.#watch.end();
  }

  /** The queue whose turn it is. */
  #next(): Queue | undefined {
    const { length } = this.#order;
    if (length === 1 && (this.#order[0] as Queue).steps.length > 0) return this.#order[0];
    for (let n = 0; n < length; n++) {
      const queue = this.#order[this.#turn++ % length] as Queue;
      if (queue.steps.length > 0) return queue;
    }
    return undefined;
  }

  /** Makes steps the pending ones of a task. */
  #accept(task: Task, steps: readonly Step[]): void {
    const { pending } = task;
    for (let n = 0; n < steps.length; n++) {
      const step = steps[n] as Step;
      if (step.tokens.length === 0 && step.laws !== 'none' && step.laws !== 'all') fail('engine_failed', 'A program asked for a law without a token.');
      this.#check(step.sequence as LlamaSequence, step.tokens);
      if (n < pending.length) (pending[n] as PendingStep).renew(step);
      else pending.push(new PendingStep(task, step));
    }
    while (pending.length > steps.length) pending.pop();
  }

  /** Whether a sequence can take these tokens. */
  #check(sequence: LlamaSequence, tokens: readonly number[]): void {
    const { tokensMax, context } = sequence.store;
    if (!sequence.open) fail('engine_failed', 'A program used a closed sequence.');
    if (sequence.length + tokens.length > tokensMax) {
      fail('context_too_long', `The context of ${tokensMax} tokens cannot take ${tokens.length} more after ${sequence.length}.`);
    }
    for (let n = 0; n < tokens.length; n++) {
      const token = tokens[n] as number;
      if (!(token >= 0 && token < context.vocabularySize)) fail('parameter_invalid', `A token id lies outside the vocabulary of ${context.vocabularySize} pieces.`);
    }
  }

  /** Lets a task wait for those of its pending steps that have tokens. False when none has. */
  #enqueue(task: Task): boolean {
    let any = false;
    for (const step of task.pending) {
      if (step.complete) continue;
      const queue = this.#queues.get(step.sequence.store) ?? fail('engine_failed', 'The model of a program is closed.');
      this.#setWaits(task, true);
      queue.steps.push(step);
      any = true;
    }
    return any;
  }

  /** Notes whether a task waits. One that goes on to its next steps waits all the time. */
  #setWaits(task: Task, waits: boolean): void {
    if (task.waits === waits) return;
    task.waits = waits;
    this.#waiting += waits ? 1 : -1;
  }

  /** Takes what was computed, and does not go on, out of the queue and resumes the tasks that have all that they asked for. */
  #finish({ steps }: Queue): void {
    const batch = this.#batch;
    for (let n = 0; n < batch.length; n++) {
      const step = batch[n] as PendingStep;
      step.advance();
      if (!step.complete || this.#goesOn(step)) continue;
      const at = steps.indexOf(step);
      if (at >= 0) steps.splice(at, 1);
    }
    // laws stay valid until the next batch, so every task is resumed before it
    if (batch.length === 1) {
      const step = batch[0] as PendingStep;
      if (hasAll(step.task)) this.#resume(step.task);
      else step.copy();
      return;
    }
    const ready = new Set<Task>();
    for (const step of batch) {
      if (hasAll(step.task)) ready.add(step.task);
      else step.copy();
    }
    for (const task of ready) this.#resume(task);
  }

  #resume(task: Task): void {
    if (!task.waits) return;
    let steps: readonly Step[];
    try {
      steps = task.resume(task.pending);
    } catch (error) {
      steps = task.fail(error);
    }
    this.submit(task, steps);
  }

  #failAll(batch: readonly PendingStep[], error: TandemError): void {
    for (const task of new Set(batch.map((step) => step.task))) {
      this.withdraw(task);
      this.submit(task, task.fail(error));
    }
  }
}

/** Whether all that a task asked for was computed. */
function hasAll({ pending }: Task): boolean {
  for (let n = 0; n < pending.length; n++) if (!(pending[n] as PendingStep).complete) return false;
  return true;
}
