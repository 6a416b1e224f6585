/**
 * Keeps the tokens of an answer inside a grammar: a token may come next where its bytes lead somewhere.
 *
 * Whatever the grammar, a question about all tokens of a vocabulary is answered with a bounded amount of work or fails; memory is bounded too.
 */
import { fail } from '../../errors.ts';
import type { Constraint, Law, Vocabulary } from '../program.ts';
import { automatonOf } from './automaton.ts';
import { States, type State } from './states.ts';

/** Steps of work that one question may take: some tenths of a second. */
const workMax = 1_000_000;

/** Checks a grammar as whoever begins an answer with it does. @throws {TandemError} schema_unsupported */
export function checkGbnf(gbnf: string): void {
  new States(automatonOf(gbnf)).first();
}

/** A grammar and how far into it an answer is. */
export class GrammarConstraint implements Constraint {
  readonly #vocabulary: Vocabulary;
  readonly #states: States;
  #state: State;
  #workEnd = 0;

  private constructor(vocabulary: Vocabulary, states: States, state: State) {
    this.#vocabulary = vocabulary;
    this.#states = states;
    this.#state = state;
  }

  /** Begins an answer. @throws {TandemError} schema_unsupported for a grammar that cannot be read or is too large */
  static begin(vocabulary: Vocabulary, gbnf: string): GrammarConstraint {
    const states = new States(automatonOf(gbnf));
    return new GrammarConstraint(vocabulary, states, states.first());
  }

  allows(token: number): boolean {
    this.#workEnd = this.#states.work + workMax;
    return this.#may(token);
  }

  filter(ids: Int32Array, count: number, keep: Uint8Array): number {
    this.#workEnd = this.#states.work + workMax;
    let kept = 0;
    for (let n = 0; n < count; n++) kept += keep[n] = this.#may(ids[n] as number) ? 1 : 0;
    return kept;
  }

  mask(law: Law): number {
    this.#workEnd = this.#states.work + workMax;
    let kept = 0;
    for (let token = 0; token < law.length; token++) {
      if (this.#may(token)) kept++;
      else law[token] = -Infinity;
    }
    return kept;
  }

  accept(token: number): void {
    this.#workEnd = this.#states.work + workMax;
    if (this.#vocabulary.isEnd(token) && this.#state.mayEnd) return;
    const state = this.#after(this.#vocabulary.bytes(token));
    if (state.dead) fail('engine_failed', 'A token outside the grammar was taken.');
    this.#state = state;
  }

  clone(): GrammarConstraint {
    return new GrammarConstraint(this.#vocabulary, this.#states, this.#state);
  }

  close(): void {
    // holds nothing but memory of its own
  }

  #may(token: number): boolean {
    if (this.#vocabulary.isEnd(token)) return this.#state.mayEnd;
    const bytes = this.#vocabulary.bytes(token);
    return bytes.length > 0 && !this.#after(bytes).dead;
  }

  #after(bytes: Uint8Array): State {
    let state = this.#state;
    for (let n = 0; n < bytes.length && !state.dead; n++) state = this.#states.after(state, bytes[n] as number);
    if (this.#states.work > this.#workEnd) fail('schema_unsupported', { message: 'The grammar can be read in too many ways at one place.', param: 'grammar' });
    return state;
  }
}
