/**
 * Joins the steps of all tasks into batches, one model at a time, and resumes the tasks with their laws.
 *
 * Models take turns. In a batch, short steps (writing, checking drafts) go first and whole; prompts share what is left, a
 * different one first each time. When others wait, prompts are read in portions of about `portionMs`, so that writing goes on
 * while a long prompt is read. Laws are read in place when all steps of a task were computed in one batch, which is the normal case.
 */
import { fail, TandemError } from '../../errors.ts';
import { LlamaContext, batchTokensMax } from './context.ts';
import type { LlamaSequence, SequenceStore } from './sequences.ts';
import { PendingStep, type Task } from './task.ts';
import type { Step } from '../../decoding/program.ts';

/** Steps of at most this many tokens are not split. */
const shortTokens = 32;
/** How long a batch may take while others wait. Milliseconds. */
const portionMs = 40;
/** The least that a prompt gets of a batch. */
const portionMin = 16;

/** Where steps are computed: a context with its sequences, and adapters by name. */
export interface Lane {
  readonly context: LlamaContext;
  readonly store: SequenceStore;
  /** Applies an adapter by its name; empty for none. */
  useAdapter(name: string): void;
}

interface Entry {
  readonly step: PendingStep;
  readonly count: number;
  readonly firstRow: number;
  readonly rows: number;
}

interface Queue {
  readonly lane: Lane;
  readonly steps: PendingStep[];
  /** Milliseconds a token, measured on batches of prompts. */
  msPerToken: number;
}

/** What the scheduler tells about the batch it begins, so that it can be stopped. */
export interface Watch {
  begin(runs: readonly number[]): void;
  end(): void;
}

/** Drives tasks over lanes. */
export class Scheduler {
  readonly #queues = new Map<SequenceStore, Queue>();
  /** The queues in the order of their turns. */
  #order: readonly Queue[] = [];
  readonly #waiting = new Map<Task, PendingStep[]>();
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
    return this.#waiting.size > 0;
  }

  /** Takes on the steps of a task; resumes it at once when they are empty. */
  submit(task: Task, steps: readonly Step[]): void {
    while (steps.length > 0) {
      try {
        const pending = steps.length === 1 ? [this.#accepted(task, steps[0] as Step)] : steps.map((step) => this.#accepted(task, step));
        let waits = false;
        for (const step of pending) {
          if (step.complete) continue;
          this.#queueOf(step.sequence).steps.push(step);
          waits = true;
        }
        if (waits) {
          this.#waiting.set(task, pending);
          return;
        }
        steps = task.resume(pending);
      } catch (error) {
        steps = task.fail(error);
      }
    }
  }

  /** Forgets what a task asked for. */
  withdraw(task: Task): void {
    const pending = this.#waiting.get(task);
    if (pending === undefined) return;
    this.#waiting.delete(task);
    for (const step of pending) {
      const { steps } = this.#queueOf(step.sequence);
      const at = steps.indexOf(step);
      if (at >= 0) steps.splice(at, 1);
    }
  }

  /** Computes one batch of the model whose turn it is. */
  advance(): void {
    const queue = this.#next();
    if (queue === undefined) return;
    const adapter = (queue.steps[0] as PendingStep).sequence.adapter;
    queue.lane.useAdapter(adapter);
    const entries = this.#fill(queue, queue.steps.length === 1 ? queue.steps : queue.steps.filter((step) => step.sequence.adapter === adapter));
    const tokens = queue.lane.context.length;
    const long = tokens > shortTokens || tokens * queue.msPerToken > portionMs / 2;
    if (long) this.#watch.begin(entries.map(({ step }) => step.task.run));
    const timed = tokens >= portionMin;
    const beganMs = timed ? this.#now() : 0;
    const outcome = queue.lane.context.decode();
    const tookMs = timed ? this.#now() - beganMs : 0;
    if (long || outcome === 'stopped') this.#watch.end();
    if (outcome === 'done') {
      if (timed) queue.msPerToken += 0.3 * (tookMs / tokens - queue.msPerToken);
      this.#finish(queue, entries);
    } else {
      for (const { step } of entries) queue.lane.store.restore(step.sequence);
      if (outcome === 'failed') this.#failAll(entries, new TandemError('engine_failed', { message: 'The engine could not compute a batch.' }));
      if (outcome === 'full' && !queue.lane.store.evict()) this.#failAll(entries.slice(-1), new TandemError('engine_out_of_memory', { message: 'The memory of the model holds no further tokens.' }));
    }
    // whoever came first goes last next time
    if (queue.steps.length > 1) queue.steps.push(queue.steps.shift() as PendingStep);
  }

  /** The queue whose turn it is. */
  #next(): Queue | undefined {
    const { length } = this.#order;
    for (let n = 0; n < length; n++) {
      const queue = this.#order[this.#turn++ % length] as Queue;
      if (queue.steps.length > 0) return queue;
    }
    return undefined;
  }

  #accepted(task: Task, step: Step): PendingStep {
    const sequence = step.sequence as LlamaSequence;
    const { tokensMax, context } = sequence.store;
    if (!sequence.open) fail('engine_failed', 'A program used a closed sequence.');
    if (step.tokens.length === 0 && step.laws !== 'none' && step.laws !== 'all') fail('engine_failed', 'A program asked for a law without a token.');
    if (sequence.length + step.tokens.length > tokensMax) {
      fail('context_too_long', `The context of ${tokensMax} tokens cannot take ${step.tokens.length} more after ${sequence.length}.`);
    }
    for (const token of step.tokens) if (!(token >= 0 && token < context.vocabularySize)) fail('parameter_invalid', `A token id lies outside the vocabulary of ${context.vocabularySize} pieces.`);
    return new PendingStep(task, step);
  }

  #queueOf(sequence: LlamaSequence): Queue {
    return this.#queues.get(sequence.store) ?? fail('engine_failed', 'The model of a program is closed.');
  }

  /** Puts short steps and portions of prompts into the batch. */
  #fill(queue: Queue, candidates: readonly PendingStep[]): Entry[] {
    const { context } = queue.lane;
    const entries: Entry[] = [];
    const prompts: PendingStep[] = [];
    for (const step of candidates) {
      if (step.remaining > shortTokens) prompts.push(step);
      else if (step.remaining <= batchTokensMax - context.length && step.rowsOf(step.remaining) <= context.outputsMax - context.outputs) entries.push(this.#put(context, step, step.remaining));
    }
    let budget = Math.min(batchTokensMax, this.#portion(queue)) - context.length;
    for (let n = 0; n < prompts.length; n++) {
      const step = prompts[n] as PendingStep;
      const share = Math.max(portionMin, Math.floor(budget / (prompts.length - n)));
      let count = Math.min(step.remaining, share, batchTokensMax - context.length);
      count -= Math.max(0, step.rowsOf(count) - (context.outputsMax - context.outputs));
      if (count <= 0) continue;
      entries.push(this.#put(context, step, count));
      budget -= count;
    }
    return entries;
  }

  /** Tokens that a batch may have: all, unless somebody waits for it. */
  #portion(queue: Queue): number {
    if (this.#waiting.size <= 1 || queue.msPerToken === 0) return this.#waiting.size <= 1 ? batchTokensMax : batchTokensMax / 4;
    return Math.max(2 * shortTokens, Math.floor(portionMs / queue.msPerToken));
  }

  #put(context: LlamaContext, step: PendingStep, count: number): Entry {
    const rows = step.rowsOf(count);
    const firstRow = context.outputs;
    const { sequence, tokens, done } = step;
    for (let n = 0; n < count; n++) context.add(tokens[done + n] as number, sequence.length + n, sequence.id, n >= count - rows);
    return { step, count, firstRow, rows };
  }

  #finish(queue: Queue, entries: readonly Entry[]): void {
    for (const { step, count, firstRow } of entries) {
      for (let n = 0; n < count; n++) step.sequence.tokens.push(step.tokens[step.done + n] as number);
      step.advance(count, queue.lane.context, firstRow);
      if (!step.complete) continue;
      if (queue.steps.length === 1) queue.steps.pop();
      else queue.steps.splice(queue.steps.indexOf(step), 1);
    }
    if (entries.length === 1) {
      // one request at a time is the common case, and a small model's step is short
      const { step, rows } = entries[0] as Entry;
      const all = this.#waiting.get(step.task) as PendingStep[];
      if (all.length === 1 ? step.complete : all.every((other) => other.complete)) this.#ready(step.task);
      else if (rows > 0) step.copy(rows);
      return;
    }
    const ready = new Set<Task>();
    for (const { step, rows } of entries) {
      const all = this.#waiting.get(step.task) as PendingStep[];
      if (all.every((other) => other.complete)) ready.add(step.task);
      else if (rows > 0) step.copy(rows);
    }
    // laws stay valid until the next batch, so every task is resumed before it
    for (const task of ready) this.#ready(task);
  }

  #ready(task: Task): void {
    const laws = this.#waiting.get(task);
    if (laws === undefined) return;
    this.#waiting.delete(task);
    this.#resume(task, laws);
  }

  #resume(task: Task, laws: readonly PendingStep[]): void {
    let steps: readonly Step[];
    try {
      steps = task.resume(laws);
    } catch (error) {
      steps = task.fail(error);
    }
    this.submit(task, steps);
  }

  #failAll(entries: readonly Entry[], error: TandemError): void {
    for (const task of new Set(entries.map(({ step }) => step.task))) {
      this.withdraw(task);
      this.submit(task, task.fail(error));
    }
  }
}
