/**
 * Who may begin: requests wait in line until every model that they need has a place and memory for them.
 *
 * A request promises how many tokens and sequences it needs at most, so what has begun cannot run out of memory. Whoever waits for a model
 * keeps those behind it from overtaking on that model, and nobody else. What cannot wait (the fork of a session) takes what is free or is refused.
 */
import { fail } from '../../errors.ts';
import type { OpenModel } from './open-model.ts';

/** What is needed of a model. */
export interface Need {
  /** Tokens of memory. */
  readonly cells: number;
  readonly sequences: number;
}

/** What a request needs. */
export interface Claim {
  readonly run: number;
  readonly needs: ReadonlyMap<OpenModel, Need>;
  /** Called when the request may begin. */
  begin(): void;
}

/** The line. */
export class Admission {
  readonly #waiting: Claim[] = [];
  readonly #admitted = new Map<number, { readonly needs: Claim['needs']; readonly requests: number }>();

  /** Requests in line. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Requests that have begun and not ended, and forks of sessions. */
  get admitted(): number {
    return this.#admitted.size;
  }

  /** Puts a request in line. @throws {TandemError} context_too_long, engine_out_of_memory when it could never begin */
  enter(claim: Claim): void {
    for (const [model, { cells, sequences }] of claim.needs) {
      if (cells > model.context.cells) fail('context_too_long', `The request needs ${cells} tokens of context, the model has ${model.context.cells}.`);
      if (sequences > model.sequencesMax) fail('engine_out_of_memory', `The request needs ${sequences} sequences at once, the model holds ${model.sequencesMax}.`);
    }
    this.#waiting.push(claim);
  }

  /** Lets begin whoever can. */
  admit(): void {
    const blocked = new Set<OpenModel>();
    const beginning: Claim[] = [];
    for (let n = 0; n < this.#waiting.length; n++) {
      const claim = this.#waiting[n] as Claim;
      const needs = [...claim.needs];
      if (needs.some(([model, need]) => blocked.has(model) || model.requests >= model.requestsMax || !fits(model, need))) {
        for (const [model] of needs) blocked.add(model);
        continue;
      }
      this.#give(claim.run, claim.needs, 1);
      this.#waiting.splice(n--, 1);
      beginning.push(claim);
    }
    for (const claim of beginning) claim.begin();
  }

  /** Gives what is free at once, beyond the number of requests that may run. @throws {TandemError} engine_out_of_memory when there is not enough, or somebody waits for it */
  take(run: number, model: OpenModel, need: Need): void {
    if (!fits(model, need) || this.#waiting.some(({ needs }) => needs.has(model))) fail('engine_out_of_memory', 'The model has no place and memory left for another sequence.');
    this.#give(run, new Map([[model, need]]), 0);
  }

  /** Gives back what a request was promised, or takes it out of the line. */
  leave(run: number): void {
    const at = this.#waiting.findIndex((claim) => claim.run === run);
    if (at >= 0) this.#waiting.splice(at, 1);
    const admitted = this.#admitted.get(run);
    if (admitted === undefined) return;
    this.#admitted.delete(run);
    for (const [model, { cells, sequences }] of admitted.needs) {
      model.requests -= admitted.requests;
      model.promised -= cells;
      model.promisedSequences -= sequences;
    }
  }

  #give(run: number, needs: Claim['needs'], requests: number): void {
    this.#admitted.set(run, { needs, requests });
    for (const [model, { cells, sequences }] of needs) {
      model.requests += requests;
      model.promised += cells;
      model.promisedSequences += sequences;
    }
  }
}

function fits(model: OpenModel, { cells, sequences }: Need): boolean {
  return model.promised + cells <= model.context.cells && model.promisedSequences + sequences <= model.sequencesMax;
}
