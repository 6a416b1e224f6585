/** Drives token programs over made-up laws: a model is a function from the tokens so far to logits. */
import type { Constraint, Law, Laws, ProgramEnv, Sequence, Step, TokenProgram, Vocabulary } from '../../src/decoding/program.ts';
import { lawsWanted } from '../../src/decoding/program.ts';
import { seededRandom } from '../../src/system/random.ts';

/** A made-up model: logits after these tokens. */
export type MadeUpModel = (tokens: readonly number[]) => readonly number[];

/** A vocabulary of single letters; the last piece ends the answer. */
export function letters(size: number): Vocabulary {
  return { size, isEnd: (token) => token === size - 1, bytes: (token) => (token === size - 1 ? new Uint8Array(0) : Uint8Array.of(97 + (token % 26))) };
}

class MadeUpSequence implements Sequence {
  readonly role: string;
  tokens: number[];
  open = true;
  readonly lengthMax: number;
  constructor(role: string, tokens: number[], lengthMax: number) {
    this.role = role;
    this.lengthMax = lengthMax;
    this.tokens = tokens;
  }
  get length(): number {
    return this.tokens.length;
  }
  rollback(length: number): void {
    if (length < 0 || length > this.tokens.length) throw new RangeError(`rollback to ${length} of ${this.tokens.length}`);
    this.tokens.length = length;
  }
  fork(): MadeUpSequence {
    return new MadeUpSequence(this.role, [...this.tokens], this.lengthMax);
  }
  close(): void {
    this.open = false;
  }
}

/** What a run did. */
export interface Driven<Event> {
  readonly events: Event[];
  /** Steps computed, by role. */
  readonly steps: Readonly<Record<string, number>>;
  /** Tokens read, by role. */
  readonly read: Readonly<Record<string, number>>;
}

/** Runs a program to its end. */
export function drive<Args, Event>(program: TokenProgram<Args, Event>, args: Args, models: Readonly<Record<string, MadeUpModel>>, options: { readonly vocabulary: Vocabulary; readonly seed?: number; readonly constraint?: () => Constraint; /** Tokens that a role's sequences hold at most. */ readonly contexts?: Readonly<Record<string, number>> }): Driven<Event> {
  const { next } = seededRandom(options.seed ?? 1);
  const events: Event[] = [];
  const steps: Record<string, number> = {};
  const read: Record<string, number> = {};
  const env: ProgramEnv<Event> = {
    open: (role) => new MadeUpSequence(role, [], options.contexts?.[role] ?? Infinity),
    vocabulary: () => options.vocabulary,
    constraint: () => {
      if (options.constraint === undefined) throw new TypeError('no grammars here');
      return options.constraint();
    },
    emit: (event) => events.push(event),
    random: next,
  };
  const compute = (step: Step): Laws => {
    const sequence = step.sequence as MadeUpSequence;
    steps[sequence.role] = (steps[sequence.role] ?? 0) + 1;
    read[sequence.role] = (read[sequence.role] ?? 0) + step.tokens.length;
    const laws: Law[] = [];
    const wanted = lawsWanted(step);
    if (sequence.length + step.tokens.length > sequence.lengthMax) throw new RangeError(`${sequence.role}: ${step.tokens.length} tokens after ${sequence.length} of ${sequence.lengthMax}`);
    step.tokens.forEach((token, n) => {
      sequence.tokens.push(token);
      if (n >= step.tokens.length - wanted) laws.push(Float32Array.from((models[sequence.role] as MadeUpModel)(sequence.tokens)));
    });
    const following = step.next?.(laws[0] as Law);
    return following === undefined ? { count: laws.length, at: (index) => laws[index] as Law } : compute({ ...step, tokens: [following] });
  };
  const running = program(env, args);
  let result = running.next();
  while (result.done !== true) result = running.next(result.value.map(compute));
  return { events, steps, read };
}

/** A made-up model whose logits depend on the last tokens in an irregular way. @param spread of the logits */
export function irregular(size: number, salt: number, spread: number): MadeUpModel {
  return (tokens) => {
    let state = salt >>> 0;
    for (const token of tokens.slice(-2)) state = Math.imul(state ^ (token + 0x9e3779b9), 0x85ebca6b) >>> 0;
    return Array.from({ length: size }, (_, id) => {
      let z = Math.imul(state ^ Math.imul(id + 1, 0xc2b2ae35), 0x27d4eb2f) >>> 0;
      z = Math.imul(z ^ (z >>> 15), 0x2c1b3c6d) >>> 0;
      return (((z ^ (z >>> 13)) >>> 0) / 2 ** 32) * spread;
    });
  };
}
