/**
 * Who may begin: requests wait in line until every model that they need has a place and memory for them.
 *
 * A request promises how many tokens it needs at most, so what has begun cannot run out of memory. Whoever waits for a model
 * keeps those behind it from overtaking on that model, and nobody else.
 */
import { fail } from '../../errors.ts';
import type { OpenModel } from './open-model.ts';

/** What a request needs. */
export interface Claim {
  readonly run: number;
  /** Cells by model. */
  readonly cells: ReadonlyMap<OpenModel, number>;
  /** Called when the request may begin. */
  begin(): void;
}

/** The line. */
export class Admission {
  readonly #waiting: Claim[] = [];
  readonly #admitted = new Map<number, Claim>();

  /** Requests in line. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Requests that have begun and not ended. */
  get admitted(): number {
    return this.#admitted.size;
  }

  /** Puts a request in line. @throws {TandemError} context_too_long when it could never begin */
  enter(claim: Claim): void {
    for (const [model, cells] of claim.cells) {
      if (cells > model.context.cells) fail('context_too_long', `The request needs ${cells} tokens of context, the model has ${model.context.cells}.`);
    }
    this.#waiting.push(claim);
  }

  /** Lets begin whoever can. */
  admit(): void {
    const blocked = new Set<OpenModel>();
    const beginning: Claim[] = [];
    for (let n = 0; n < this.#waiting.length; n++) {
      const claim = this.#waiting[n] as Claim;
      const models = [...claim.cells];
      if (models.some(([model, cells]) => blocked.has(model) || model.requests >= model.requestsMax || model.promised + cells > model.context.cells)) {
        for (const [model] of models) blocked.add(model);
        continue;
      }
      for (const [model, cells] of models) {
        model.requests++;
        model.promised += cells;
      }
      this.#admitted.set(claim.run, claim);
      this.#waiting.splice(n--, 1);
      beginning.push(claim);
    }
    for (const claim of beginning) claim.begin();
  }

  /** Gives back what a request was promised, or takes it out of the line. */
  leave(run: number): void {
    const at = this.#waiting.findIndex((claim) => claim.run === run);
    if (at >= 0) this.#waiting.splice(at, 1);
    const claim = this.#admitted.get(run);
    if (claim === undefined) return;
    this.#admitted.delete(run);
    for (const [model, cells] of claim.cells) {
      model.requests--;
      model.promised -= cells;
    }
  }
}
