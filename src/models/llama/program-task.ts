/** A running token program: gives it its environment, collects its events, frees what it holds when it ends. */
import { fail } from '../../errors.ts';
import { GrammarConstraint } from '../../decoding/grammar/constraint.ts';
import type { Constraint, Laws, ProgramEnv, Step, TokenProgram, Vocabulary } from '../../decoding/program.ts';
import { seededRandom } from '../../system/random.ts';
import type { OpenModel } from './open-model.ts';
import type { LlamaSequence } from './sequences.ts';
import type { PendingStep, Task } from './task.ts';

/** What a program task is made of. */
export interface ProgramTaskSettings {
  readonly run: number;
  readonly program: TokenProgram<unknown, unknown>;
  readonly args: unknown;
  readonly seed: number;
  readonly roles: ReadonlyMap<string, OpenModel>;
  readonly adapters: Readonly<Record<string, string>>;
}

/** Told what a program does. */
export interface ProgramListener {
  event(task: ProgramTask, event: unknown): void;
  /** Called once. @param error why it ended early, if it did */
  end(task: ProgramTask, error?: unknown): void;
}

/** A running program. */
export class ProgramTask implements Task, ProgramEnv<unknown> {
  readonly run: number;
  readonly pending: PendingStep[] = [];
  waits = false;
  readonly roles: ReadonlyMap<string, OpenModel>;
  readonly random: () => number;
  readonly #adapters: Readonly<Record<string, string>>;
  readonly #listener: ProgramListener;
  readonly #generator: Generator<readonly Step[], void, readonly Laws[]>;
  readonly #sequences: LlamaSequence[] = [];
  #ended = false;

  constructor(settings: ProgramTaskSettings, listener: ProgramListener) {
    this.run = settings.run;
    this.roles = settings.roles;
    this.random = seededRandom(settings.seed).next;
    this.#adapters = settings.adapters;
    this.#listener = listener;
    this.#generator = settings.program(this, settings.args);
  }

  /** Runs the program up to its first steps. */
  start(): readonly Step[] {
    try {
      return this.#next(this.#generator.next());
    } catch (error) {
      return this.fail(error);
    }
  }

  resume(laws: readonly Laws[]): readonly Step[] {
    return this.#next(this.#generator.next(laws));
  }

  fail(error: unknown): readonly Step[] {
    this.stop(error);
    return [];
  }

  /** Ends the program and frees what it holds. @param error why, if early */
  stop(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#generator.return();
    } catch {
      // a generator that is running cannot be told; it has thrown or will not be resumed
    }
    for (const sequence of this.#sequences) sequence.close();
    this.#listener.end(this, error);
  }

  open(role: string, reuse?: readonly number[]): LlamaSequence {
    const model = this.#model(role);
    const sequence = model.store.open(role, this.#adapters[role] ?? '', reuse);
    return this.#owned(sequence);
  }

  vocabulary(role: string): Vocabulary {
    return this.#model(role).vocabulary;
  }

  constraint(role: string, gbnf: string): Constraint {
    return GrammarConstraint.begin(this.#model(role).vocabulary, gbnf);
  }

  emit(event: unknown): void {
    this.#listener.event(this, event);
  }

  /** Forks are the program's too, so that they are closed with it. */
  #owned(sequence: LlamaSequence): LlamaSequence {
    this.#sequences.push(sequence);
    sequence.onFork = (fork) => this.#owned(fork);
    return sequence;
  }

  #model(role: string): OpenModel {
    return this.roles.get(role) ?? fail('engine_failed', `The program has no model in the role "${role}".`);
  }

  #next(result: IteratorResult<readonly Step[], void>): readonly Step[] {
    if (result.done !== true) return result.value;
    this.stop();
    return [];
  }
}
