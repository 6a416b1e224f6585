/**
 * One call of a member, as a stream of tagged parts that keeps the books: span, time to the first part, price, share,
 * health of the member. Written as a stream that can be pulled, not a generator, since every part of every answer passes here.
 *
 * It relies on nobody: when the signal aborts, the reader is told at once, also if the model does not react.
 */
import { TandemError } from '../errors.ts';
import type { Part, Sampling } from '../exchange.ts';
import type { Call, ModelPart, TokenUsage, Traffic } from '../models/port.ts';
import type { AnyMember } from '../models/team.ts';
import { offAbort, onAbort } from '../system/abort.ts';
import { ended, leaveQuietly, pulled, Pulled, type Pull } from '../system/pull.ts';
import { reasonOf } from '../system/waits.ts';
import type { EnergyReading } from '../trace/meter.ts';
import type { Span } from '../trace/trace.ts';
import { saysUnhealthy } from './breakers.ts';
import { answerTokensWithoutLimit, type Reservation } from './budget.ts';
import type { CallEnd } from './live.ts';
import type { RecipeContext } from './recipe.ts';

/** What a call needs of the run around it. */
export type CallContext = Pick<RecipeContext<unknown>, 'team' | 'veil' | 'sampling' | 'whole' | 'answer' | 'span' | 'signal' | 'clock' | 'meter' | 'budget' | 'breakers' | 'live' | 'tally' | 'replaceable'>;

/** What is to be called, and how to start it. */
export interface CallPlan {
  readonly member: AnyMember;
  readonly sampling: Sampling;
  readonly signal: AbortSignal;
  /** What the call is for, such as `verify`; goes into the trace. */
  readonly purpose: string | undefined;
  /** The parts are needed as they come, whatever the caller of the request wants. */
  readonly inPieces: boolean;
  /** Another member takes over if this one fails. */
  readonly replaceable: boolean;
  /** Prompt tokens, estimated high, for calls that are broken off. */
  readonly promptTokens: () => number;
  readonly reserve: () => Reservation;
  readonly start: (sampling: Sampling, call: Call) => AsyncIterable<ModelPart>;
}

/** The reason for stopping a call whose answer is not wanted any more; such a call did not fail. */
export const noLongerNeeded = new DOMException('The call is no longer needed.', 'AbortError');

/** A call that is under way or over. One reader, who asks for one part at a time; the engine writes its traffic. */
export class CallStream extends Pulled<Part> implements Traffic {
  bytesUp = 0;
  bytesDown = 0;
  work: Traffic['work'] = 'none';
  readonly #context: CallContext;
  readonly #plan: CallPlan;
  #source: Pulled<ModelPart> | undefined;
  #span: Span | undefined;
  #reservation: Reservation = { costUsd: 0 };
  #reading: EnergyReading = { joules: undefined };
  #startedMs = 0;
  /** Calls that the member had when this one began, this one included. */
  #sharing = 1;
  #characters = 0;
  #tokens = 0;
  #parts = 0;
  #counted = false;
  #over = false;
  /** What the reader waits for, and how it is told. */
  #waiting: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  /** What the reader who waited is told. */
  #failure: TandemError | undefined;
  readonly #onAbort = (): void => {
    if (this.#over) return;
    const failure = this.#broken(reasonOf(this.#plan.signal));
    if (this.#waiting !== undefined) this.#failure = failure;
    this.#tell();
  };
  readonly #tell = (): void => {
    const wake = this.#wake;
    this.#waiting = this.#wake = undefined;
    wake?.();
  };

  constructor(context: CallContext, plan: CallPlan) {
    super();
    this.#context = context;
    this.#plan = plan;
  }

  pull(): Pull<Part> {
    if (this.#waiting !== undefined) return this.#waiting;
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      this.#failure = undefined;
      throw failure;
    }
    if (this.#over) return ended;
    let next: Pull<ModelPart>;
    try {
      next = (this.#source ??= this.#open()).pull();
    } catch (error) {
      throw this.#broken(error);
    }
    return next instanceof Promise ? this.#wait(next) : this.#receive(next);
  }

  /** The reader leaves: the model is told, and what it did so far is accounted for. */
  leave(): undefined {
    if (!this.#over) this.#abandon();
    this.#tell();
  }

  /** Until the model has something, or the signal aborts: the model may not react to that. */
  #wait(model: Promise<void>): Promise<void> {
    this.#waiting = new Promise((resolve) => (this.#wake = resolve));
    void model.then(this.#tell);
    return this.#waiting;
  }

  #abandon(): void {
    this.#over = true;
    if (!this.#counted) return;
    this.#settleUnfinished('left');
    this.#span?.set({ left: true });
    this.#close();
    // The model may be in the middle of a part and not hear of it before the signal: the run's end aborts for us.
    this.#context.tally.open++;
  }

  #open(): Pulled<ModelPart> {
    const { member, signal, purpose, sampling } = this.#plan;
    const { model } = member;
    if (signal.aborted) throw reasonOf(signal);
    const span = this.#context.span.child(`call ${member.id}`, 'call', { member: member.id, place: model.place, model: member.modelName });
    this.#span = span;
    span.set(purpose === undefined ? { engine: model.engine } : { engine: model.engine, purpose });
    this.#reservation = this.#plan.reserve();
    const { tokensMax } = this.#reservation;
    if (tokensMax !== undefined) span.event('budget.cap', { tokensMax });
    this.#startedMs = this.#context.clock.monotonicMs();
    this.#reading = this.#context.meter.start(member);
    this.#counted = true;
    this.#sharing = this.#context.live.began(member.id);
    this.#context.tally.open++;
    onAbort(signal, this.#onAbort);
    const call: Call = { signal, note: (event, fields) => span.event(event, fields), whole: this.#context.whole && !this.#plan.inPieces, replaceable: this.#plan.replaceable, traffic: this };
    return pulled(this.#plan.start(tokensMax === undefined ? sampling : { ...sampling, tokensMax }, call));
  }

  #receive(result: IteratorResult<ModelPart>): IteratorYieldResult<Part> {
    if (result.done === true) throw this.#broken(this.#truncated());
    const part = result.value;
    if (this.#parts++ === 0) this.#span?.firstPart();
    return part.type === 'finish' ? this.#finish(part) : this.#tagged(part);
  }

  #tagged(part: Exclude<ModelPart, { type: 'finish' }>): IteratorYieldResult<Part> {
    const { answer } = this.#context;
    const member = this.#plan.member.id;
    switch (part.type) {
      case 'text': {
        const { delta, tokens } = part;
        this.#characters += delta.length;
        this.#tokens += tokens === undefined ? delta.length / 4 : tokens.length;
        if (part.refusal === true) return { done: false, value: { ...part, answer, member } };
        return { done: false, value: tokens === undefined ? { type: 'text', answer, member, delta } : { type: 'text', answer, member, delta, tokens } };
      }
      case 'reasoning':
        this.#tokens += part.delta.length / 4;
        return { done: false, value: { type: 'reasoning', answer, member, delta: part.delta } };
      case 'tool-call':
        this.#characters += part.argumentsDelta.length;
        this.#tokens += part.argumentsDelta.length / 4;
        return { done: false, value: { ...part, answer, member } };
    }
  }

  #finish(part: Extract<ModelPart, { type: 'finish' }>): IteratorYieldResult<Part> {
    const { answer } = this.#context;
    const member = this.#plan.member.id;
    this.#span?.set(part.correct === undefined ? { finishReason: part.reason } : { finishReason: part.reason, correct: part.correct });
    this.#settle(part.usage, part.bytesUp, part.bytesDown, part.usage.completionTokens, 'ok');
    this.#context.breakers.succeeded(member);
    this.#close();
    return { done: false, value: { type: 'finish', answer, member, reason: part.reason } };
  }

  /** Ends the call because of a failure; gives what the reader is told. */
  #broken(cause: unknown): TandemError {
    const { member, signal } = this.#plan;
    const error = signal.aborted ? reasonOf(signal) : blaming(member.id, cause);
    if (signal.reason === noLongerNeeded) this.#abandon();
    else {
      const end = signal.aborted || !saysUnhealthy(error.code) ? 'left' : 'failed';
      if (this.#counted) this.#settleUnfinished(end);
      if (!signal.aborted) this.#context.breakers.failed(member.id, error.code);
      this.#close(error.code);
    }
    return error;
  }

  /** Takes a call into the books whose usage never came: as nothing where the model did nothing for it, else by an estimate, marked as one. */
  #settleUnfinished(end: CallEnd): void {
    const nothing = this.#parts === 0 && this.work === 'none';
    this.#settle(nothing ? noUsage : this.#estimatedUsage(), this.bytesUp, this.bytesDown, Math.ceil(this.#tokens), end);
    if (!nothing) this.#span?.set({ usageEstimated: true });
  }

  /** @param seenTokens tokens that came */
  #settle(usage: TokenUsage, bytesUp: number, bytesDown: number, seenTokens: number, end: CallEnd): void {
    const { clock, meter, budget, live, tally } = this.#context;
    const { member } = this.#plan;
    const elapsedMs = clock.monotonicMs() - this.#startedMs;
    const used = meter.measure({ member, usage, bytesUp, bytesDown, elapsedMs }, this.#reading);
    live.ended(member.id, end, elapsedMs, member.model.place === 'device' ? this.#sharing : 1);
    this.#span?.use(used);
    budget.settle(this.#reservation, used.costUsd);
    tally.add(member.id, this.#characters, seenTokens);
    tally.open--;
  }

  #close(error?: string): void {
    this.#over = true;
    offAbort(this.#plan.signal, this.#onAbort);
    this.#span?.end(error);
    // Lets the model run its clean-up; whatever it still says concerns nobody.
    void leaveQuietly(this.#source);
  }

  /** The prompt, estimated high, and what was written: what has come of it, or, where that comes in one piece, as much as was allowed. */
  #estimatedUsage(): TokenUsage {
    const allowed = this.#reservation.tokensMax ?? this.#plan.sampling.tokensMax ?? answerTokensWithoutLimit;
    return { promptTokens: this.#plan.promptTokens(), completionTokens: this.#parts === 0 && this.work === 'unseen' ? allowed : Math.ceil(this.#tokens) };
  }

  #truncated(): TandemError {
    const { id } = this.#plan.member;
    return new TandemError('upstream_truncated', { message: `The answer of "${id}" ended without its final part.`, member: id });
  }
}

const noUsage: TokenUsage = { promptTokens: 0, completionTokens: 0 };

function blaming(member: string, cause: unknown): TandemError {
  const error = TandemError.from(cause);
  if (error.member !== undefined) return error;
  return new TandemError(error.code, {
    message: error.message,
    member,
    cause,
    ...(error.param === undefined ? {} : { param: error.param }),
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
