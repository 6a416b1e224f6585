/**
 * Runs a prepared recipe and hands its parts on: one answer, or several at once. Holds the run's deadline and its one
 * signal, counts who wrote what of the final answer, and sees to it that each answer ends with exactly one finish. When
 * the run ends, fails or is left, everything under it is stopped.
 */
import { TandemError } from '../errors.ts';
import { reached, type Answered, type Part, type Sampling, type Veiled } from '../exchange.ts';
import type { Team } from '../models/team.ts';
import type { Journey } from '../pipeline.ts';
import { Aborter, offAbort, onAbort } from '../system/abort.ts';
import type { Clock } from '../system/clock.ts';
import { seededRandom, type Random } from '../system/random.ts';
import type { Meter } from '../trace/meter.ts';
import type { Span } from '../trace/trace.ts';
import type { Breakers } from './breakers.ts';
import type { Live } from './live.ts';
import type { Deadlines } from '../system/deadlines.ts';
import { Budget, type SharedPurse } from './budget.ts';
import { ended, leaveQuietly, pulled, Pulled, type Pull } from '../system/pull.ts';
import { reasonOf } from '../system/waits.ts';
import { noLongerNeeded } from './call.ts';
import { watchTime } from './deadline.ts';
import type { Prepared } from './kitchen.ts';
import { merge } from './merge.ts';
import type { RecipeContext } from './recipe.ts';
import { Tally } from './tally.ts';

/** What surrounds the run. */
export interface Surroundings {
  readonly journey: Journey;
  /** The request's root span. */
  readonly span: Span;
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  readonly breakers: Breakers;
  readonly live: Live;
  readonly deadlines: Deadlines;
  /** What all requests together may still spend, where that is capped. */
  readonly purse?: SharedPurse;
}

/** Prepares another recipe on some of the members. @throws {TandemError} */
export type PrepareOther = (recipe: string, team: Team, knobs: Readonly<Record<string, unknown>>) => Prepared;

/** The answer stream of a prepared recipe. Nothing is asked before the first part is read. */
export function serve(prepared: Prepared, prepareOther: PrepareOther, veiled: Veiled, around: Surroundings): Answered {
  return reached<'answered', AsyncIterable<Part>>(new Serving(prepared, prepareOther, veiled, around));
}

class Serving extends Pulled<Part> {
  readonly #prepared: Prepared;
  readonly #prepareOther: PrepareOther;
  readonly #veiled: Veiled;
  readonly #around: Surroundings;
  readonly #stop = new Aborter();
  readonly #tally = new Tally();
  /** One bit for each answer whose finish has not come. */
  #unfinished: number;
  readonly #written = new Map<string, number>();
  #span: Span | undefined;
  #source: Pulled<Part> | undefined;
  /** Nothing more is asked of the recipe. */
  #over = false;
  /** The recipe was told so. */
  #left = false;
  #unwatch: (() => void) | undefined;
  readonly #onAbort = (): void => this.#stop.abort(reasonOf(this.#around.journey.signal));

  constructor(prepared: Prepared, prepareOther: PrepareOther, veiled: Veiled, around: Surroundings) {
    super();
    this.#prepared = prepared;
    this.#prepareOther = prepareOther;
    this.#veiled = veiled;
    this.#around = around;
    this.#unfinished = 2 ** veiled.request.answers - 1;
  }

  pull(): Pull<Part> {
    while (!this.#over) {
      let next: Pull<Part>;
      try {
        next = (this.#source ??= this.#begin()).pull();
      } catch (error) {
        throw this.#failure(error);
      }
      if (next instanceof Promise) return next;
      if (this.#counts(next)) return next;
    }
    return this.leave() ?? ended;
  }

  leave(): Promise<void> | undefined {
    if (this.#left) return undefined;
    this.#left = true;
    if (!this.#over) {
      if (!this.#stop.signal.aborted) this.#stop.abort(new TandemError('cancelled', { message: 'The reader left before the answer was finished.' }));
      this.#end('cancelled');
    }
    return leaveQuietly(this.#source);
  }

  #begin(): Pulled<Part> {
    const { recipe } = this.#prepared;
    const { journey, span, deadlines } = this.#around;
    const { answers } = this.#veiled.request;
    if (journey.signal.aborted) throw reasonOf(journey.signal);
    this.#span = span.child(recipe.id, 'recipe');
    onAbort(journey.signal, this.#onAbort);
    this.#unwatch = watchTime(this.#veiled.request.policy.limits, journey, deadlines, this.#stop);
    if (answers === 1) return pulled(this.#run(this.#prepared, 0, this.#span, this.#budget(1)));
    const runs = Array.from({ length: answers }, (_, answer) => {
      const own = this.#spanOf(answer);
      return closing(this.#run(this.#prepared, answer, own, this.#budget(answers)), own);
    });
    return pulled(merge(runs));
  }

  #budget(answers: number): Budget {
    const { policy, keyPurse } = this.#veiled.request;
    const { costUsdMax } = policy.limits;
    return new Budget(costUsdMax === undefined ? undefined : costUsdMax / answers, this.#around.purse, keyPurse);
  }

  #spanOf(answer: number): Span {
    const span = (this.#span ?? this.#around.span).child(this.#prepared.recipe.id, 'recipe');
    span.set({ answer });
    return span;
  }

  #run(prepared: Prepared, answer: number, span: Span, budget: Budget): AsyncIterable<Part> {
    const { journey, clock, meter, breakers, live } = this.#around;
    const { policy, sampling, whole } = this.#veiled.request;
    const own = samplingOf(sampling, answer);
    const context: RecipeContext<unknown> = {
      team: prepared.team,
      knobs: prepared.knobs,
      policy,
      sampling: own,
      veil: this.#veiled.veil,
      whole: whole === true,
      answer,
      trace: journey.trace,
      span,
      signal: this.#stop.signal,
      clock,
      random: own.seed === undefined ? this.#around.random : seededRandom(own.seed),
      meter,
      budget,
      breakers,
      live,
      tally: this.#tally,
      delegate: (id, team, own) => this.#delegate(prepared, answer, span, budget, { id, team: within(prepared.team, team), knobs: own ?? {} }),
      unfit: (id, team, own) => this.#unfit(id, within(prepared.team, team), own ?? {}),
    };
    return prepared.recipe.run(this.#veiled, context);
  }

  #unfit(id: string, team: Team, knobs: Readonly<Record<string, unknown>>): TandemError | undefined {
    try {
      this.#prepareOther(id, team, knobs);
      return undefined;
    } catch (error) {
      return TandemError.from(error);
    }
  }

  #delegate(from: Prepared, answer: number, parent: Span, budget: Budget, { id, team, knobs }: Delegated): AsyncIterable<Part> {
    const prepared = this.#prepareOther(id, team, knobs);
    this.#around.journey.trace.runs(`${from.recipe.id}:${id}`);
    const span = parent.child(id, 'recipe');
    return closing(this.#run(prepared, answer, span, budget), span);
  }

  /** Takes a part into the books. Whether it belongs to an answer whose finish has not come. @throws {TandemError} when the recipe ends too early */
  #counts(next: IteratorResult<Part, undefined>): boolean {
    if (next.done === true) throw this.#failure(new TandemError('internal', { message: `The recipe "${this.#prepared.recipe.id}" ended without a finish part.` }));
    const part = next.value;
    const bit = 1 << part.answer;
    if ((this.#unfinished & bit) === 0) {
      this.#span?.event('part.afterFinish', { answer: part.answer, type: part.type });
      return false;
    }
    if (part.type === 'finish') {
      this.#unfinished &= ~bit;
      // Everything is said: what the run used, and who wrote what, is known before the last finish is read.
      if (this.#unfinished === 0) this.#end(undefined);
    } else if (part.type === 'text') this.#written.set(part.member, (this.#written.get(part.member) ?? 0) + part.delta.length);
    else if (part.type === 'tool-call') this.#written.set(part.member, (this.#written.get(part.member) ?? 0) + part.argumentsDelta.length);
    return true;
  }

  #failure(error: unknown): TandemError {
    const failure = this.#stop.signal.aborted ? reasonOf(this.#stop.signal) : TandemError.from(error);
    if (!this.#over) this.#end(failure.code);
    return failure;
  }

  #end(error: string | undefined): void {
    const { journey } = this.#around;
    this.#over = true;
    offAbort(journey.signal, this.#onAbort);
    for (const [member, characters] of this.#written) journey.trace.share(member, this.#tally.tokensOf(member, characters));
    this.#span?.end(error);
    this.#unwatch?.();
    if ((this.#tally.open > 0 || error !== undefined) && !this.#stop.signal.aborted) this.#stop.abort(noLongerNeeded);
  }
}

interface Delegated {
  readonly id: string;
  readonly team: Team;
  readonly knobs: Readonly<Record<string, unknown>>;
}

/** Those of a team that belong to another; all where none is given. */
function within(own: Team, wanted: Team | undefined): Team {
  return wanted === undefined ? own : own.restrictedTo((member) => wanted.get(member.id) === member);
}

/** Ends a span with the stream under it. */
async function* closing(parts: AsyncIterable<Part>, span: Span): AsyncGenerator<Part> {
  try {
    yield* parts;
  } catch (error) {
    span.end(TandemError.from(error).code);
    throw error;
  } finally {
    span.end();
  }
}

/** Settings of the `answer`-th answer: its own seed, where the request has one. */
function samplingOf(sampling: Sampling, answer: number): Sampling {
  return sampling.seed === undefined || answer === 0 ? sampling : { ...sampling, seed: (sampling.seed + Math.imul(answer, 0x9e3779b9)) | 0 };
}
