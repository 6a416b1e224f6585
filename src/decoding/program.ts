/**
 * Token programs: collaboration token by token, written without I/O.
 *
 * A program is a generator over sequences (prefixes in models' memories). It yields the steps that it wants computed
 * together and receives their laws; everything else (fork, rollback, sampling, accepting) is plain arithmetic in
 * between. Who drives it decides where it runs: the `llama` engine drives many programs in its own thread and joins
 * their steps into one batch a model; a test drives one over made-up laws; a link can drive one over a wire.
 *
 * Terms. Piece: an entry of a vocabulary. Token: the id of a piece. Sequence: a growing list of tokens held in a model's
 * memory. Law: the unnormalised logits over all pieces for the token that comes next. Step: appending tokens to a
 * sequence and asking for laws after them.
 *
 * Worked example (greedy generation):
 *
 *   function* greedy(env, { prompt, tokensMax }) {
 *     const sequence = env.open('model');
 *     let [laws] = yield [{ sequence, tokens: prompt, laws: 'last' }];
 *     for (let n = 0; n < tokensMax; n++) {
 *       const token = argmax(laws.at(0));
 *       if (env.vocabulary('model').isEnd(token)) break;
 *       env.emit({ token });
 *       [laws] = yield [{ sequence, tokens: [token], laws: 'last' }];
 *     }
 *   }
 *
 * The same as one step that goes on by itself: the driver need not wake the program for each token.
 *
 *   let n = 0;
 *   const next = (law) => {
 *     const token = argmax(law);
 *     if (env.vocabulary('model').isEnd(token)) return undefined;
 *     env.emit({ token });
 *     return ++n < tokensMax ? token : undefined;
 *   };
 *   yield [{ sequence, tokens: prompt, laws: 'last', next }];
 */

/** Logits over the vocabulary, in place: valid until the program yields again. The program may write to it. */
export type Law = Float32Array;

/** The laws of one step. Valid until the program yields again. */
export interface Laws {
  /** 1 for `last`, the number of tokens for `all`, 0 for `none`, the number that was asked for. */
  readonly count: number;
  /** The law after the `index`-th token for which one was asked. */
  at(index: number): Law;
}

/** A growing list of tokens in a model's memory. Closed by the driver when the program ends. */
export interface Sequence {
  /** The role under which the program opened it. */
  readonly role: string;
  /** Tokens held. */
  readonly length: number;
  /** Tokens that it can hold. */
  readonly lengthMax: number;
  /** Cuts back to the first `length` tokens; immediate. */
  rollback(length: number): void;
  /** A second sequence with the same tokens, sharing memory; immediate. @throws {TandemError} engine_out_of_memory */
  fork(): Sequence;
  /** Frees the memory now rather than at the program's end. */
  close(): void;
}

/** Tokens to append to a sequence, and the laws to report. A program has one step at a time on a sequence. */
export interface Step {
  readonly sequence: Sequence;
  readonly tokens: readonly number[];
  /** After which tokens laws are wanted; a number means after each of that many last ones. */
  readonly laws: 'last' | 'all' | 'none' | number;
  /**
   * Lets the step go on by itself; `laws` must be `last`. Called with each law: a token that it returns is appended and its law comes
   * next; nothing ends the step, and the program gets the law after the last token that was appended. Must not yield, open or close anything.
   * Between two tokens of a small model even waking a generator counts.
   */
  readonly next?: (law: Law) => number | undefined;
}

/** How many laws a step asks for. */
export function lawsWanted({ tokens, laws }: Pick<Step, 'tokens' | 'laws'>): number {
  if (typeof laws === 'number') return Math.min(laws, tokens.length);
  return laws === 'all' ? tokens.length : laws === 'last' ? 1 : 0;
}

/** What a program may know of a vocabulary. */
export interface Vocabulary {
  /** Number of pieces. */
  readonly size: number;
  /** Whether a token ends the answer (end of text or of turn). */
  isEnd(token: number): boolean;
  /** The bytes that a token stands for; empty for control tokens. Pieces can cut a UTF-8 character. */
  bytes(token: number): Uint8Array;
}

/** A grammar over the text of an answer, and how far into it the answer is. */
export interface Constraint {
  /** Whether a token may come next. End tokens may come exactly where the grammar may end. */
  allows(token: number): boolean;
  /** Sets `keep[n]` to 1 where `ids[n]` may come next, else to 0, for the first `count`; returns how many may. */
  filter(ids: Int32Array, count: number, keep: Uint8Array): number;
  /** Sets the logits of tokens that may not come next to minus infinity; returns how many may. */
  mask(law: Law): number;
  /** Moves on by a token that is allowed. */
  accept(token: number): void;
  /** A second constraint in the same state. */
  clone(): Constraint;
  /** Frees it now rather than at the program's end. */
  close(): void;
}

/** What the driver gives a program. */
export interface ProgramEnv<Event> {
  /**
   * Opens a sequence on the model in this role. `reuse`: tokens of a prompt; the longest prefix that the driver still
   * holds is kept, and `sequence.length` tells how many tokens need not be appended again.
   */
  open(role: string, reuse?: readonly number[]): Sequence;
  vocabulary(role: string): Vocabulary;
  /**
   * A constraint that keeps answers of the model in this role inside a grammar in GBNF.
   * @throws {TandemError} schema_unsupported when the grammar cannot be read, ability_missing when the driver has no grammars
   */
  constraint(role: string, gbnf: string): Constraint;
  /** Reports an event to the caller, in order. */
  emit(event: Event): void;
  /** Uniform in [0, 1), from the program's seed. */
  random(): number;
}

/** A program: yields steps to compute together, receives one `Laws` a step in the same order. */
export type TokenProgram<Args, Event> = (env: ProgramEnv<Event>, args: Args) => Generator<readonly Step[], void, readonly Laws[]>;

/** How to run a program. */
export interface ProgramRun<Args> {
  /** Name in `decoding/programs.ts`. */
  readonly program: string;
  /** Model id for each role of the program. */
  readonly roles: Readonly<Record<string, string>>;
  /** Anything that structured cloning carries. */
  readonly args: Args;
  /** 32-bit seed of `env.random`; default from the system's randomness. */
  readonly seed?: number;
  /** LoRA adapter by role, where the model's own default is not meant. */
  readonly adapters?: Readonly<Record<string, string>>;
  /** Tokens of memory that the program needs at most, by role; it waits until they are free. Default: one whole context. */
  readonly cells?: Readonly<Record<string, number>>;
  readonly signal: AbortSignal;
}

/** Where programs run beside their models. */
export interface TokenHost {
  /** Runs a program; its events arrive in order, possibly several at once. Ends when the program ends; aborting the signal or leaving the loop stops it. */
  run<Args, Event>(run: ProgramRun<Args>): AsyncIterable<Event>;
}
