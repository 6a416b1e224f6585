/**
 * The way of a request: the stages in order, and nothing else.
 *
 * Each stage takes the value in the state before its own and returns it in its own (`exchange.ts`), so a stage cannot be
 * left out or moved without a type error. `docs/request-lifecycle.md` draws the same order with each stage's error exits;
 * a test compares the two. Only this file knows two stages at once.
 */
import type { Admitted, Answered, Audited, Guarded, Received, Restored, Veiled } from './exchange.ts';
import { TandemError } from './errors.ts';
import type { Span, Trace } from './trace/trace.ts';

/** What surrounds a request on its way. */
export interface Journey {
  readonly trace: Trace;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
  /** Called when the time of the request is up, for those who wait for something else than its next part, which would tell them. */
  onTimeUp?: (() => void) | undefined;
}

/** The stages, each a function from one state to the next. */
export interface Stages {
  /** Who is asking, may they, and under which policy? */
  readonly admit: (received: Received, journey: Journey, span: Span) => Admitted | Promise<Admitted>;
  /** Is the input fit to be answered? */
  readonly guardInput: (admitted: Admitted, span: Span) => Guarded | Promise<Guarded>;
  /** Hides private values from cloud members, and knows how to put them back. */
  readonly mask: (guarded: Guarded, span: Span) => Masking | Promise<Masking>;
  /** Lets the team answer. */
  readonly cook: (veiled: Veiled, journey: Journey, span: Span) => Answered;
  /** Is the answer fit to be sent? `answers`: how many were asked for. */
  readonly guardOutput: (restored: Restored, span: Span, answers: number) => Audited;
}

/** What masking gives: the two views, and the only function that can undo the mask. */
export interface Masking {
  readonly veiled: Veiled;
  readonly restore: (answered: Answered) => Restored;
}

/** The stages in the order in which a request passes them. */
export const order = ['admit', 'guard-input', 'privacy-mask', 'recipe', 'privacy-restore', 'guard-output'] as const;

/**
 * Takes a request through the stages before the recipe, to the views that members may read.
 * @throws {TandemError} any code that these stages document
 */
export function veil(stages: Stages, received: Received, journey: Journey): Masking | Promise<Masking> {
  const { root } = journey.trace;
  const admitted = within(root, order[0], (span) => stages.admit(received, journey, span));
  const guarded = after(admitted, (request) => within(root, order[1], (span) => stages.guardInput(request, span)));
  return after(guarded, (request) => within(root, order[2], (span) => stages.mask(request, span)));
}

/**
 * Takes a request through all stages. Gives the answer once it may begin, at once where no stage has to wait; its parts
 * come as they are made.
 * @throws {TandemError} any code that a stage documents; also while the stream is read
 */
export function pipeline(stages: Stages, received: Received, journey: Journey): Audited | Promise<Audited> {
  const { root } = journey.trace;
  return after(veil(stages, received, journey), ({ veiled, restore }) => {
    journey.trace.hides(veiled.hidden);
    const answered = stages.cook(veiled, journey, root);
    const restored = restore(answered);
    return stages.guardOutput(restored, root, received.answers);
  });
}

/** The next step, at once where the value is here. */
function after<A, B>(value: A | Promise<A>, step: (value: A) => B | Promise<B>): B | Promise<B> {
  return value instanceof Promise ? value.then(step) : step(value);
}

/** A stage in a span of its own. Stays synchronous as long as the stage does. */
function within<T>(root: Span, name: string, work: (span: Span) => T | Promise<T>): T | Promise<T> {
  const span = root.child(name, 'stage');
  try {
    const result = work(span);
    if (result instanceof Promise) return settled(span, result);
    span.end();
    return result;
  } catch (error) {
    return failed(span, error);
  }
}

async function settled<T>(span: Span, result: Promise<T>): Promise<T> {
  try {
    const value = await result;
    span.end();
    return value;
  } catch (error) {
    return failed(span, error);
  }
}

function failed(span: Span, error: unknown): never {
  span.end(TandemError.from(error).code);
  throw error;
}
