/**
 * Race: the small and the large model start together (or one a little later), and whoever gives the first part is
 * streamed; the other is stopped. A side that fails or whose answer is empty leaves the race to the other, which then starts at once. With `handover` the winner's beginning is given to the other side, which continues it:
 * the time to the first token is the faster side's, the rest is written by the side that one wants (DiSCo's migration).
 * Until the continuing side has given its first part the winner stays ready, and goes on if the other fails.
 *
 * Text of an own member reaches a cloud member only masked, and only cut where no private value can be half written.
 */
import { z } from 'zod';
import { TandemError } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import { ask, stoppable } from './ask.ts';
import type { CallStream } from './call.ts';
import { cutAfter, tokensOf } from './handover-cut.ts';
import { mayMoveOn } from './member-order.ts';
import type { Recipe, RecipeContext } from './recipe.ts';
import { continuing, endsPlainly } from './view.ts';

const delay = (who: string): z.ZodDefault<z.ZodNumber> => z.number().int().min(0).max(60_000).default(0).describe(`Head start of the other side: the ${who} member starts this much later (at once when the other fails), and not at all when the other has begun by then. Milliseconds, 0 to 60000.`);

const knobs = z.strictObject({
  handover: z.enum(['none', 'to-large', 'to-small']).default('none').describe('Who continues the answer when the other side won the first token; none lets the winner finish.'),
  handoverTokens: z.number().int().min(1).max(4096).default(8).describe('Tokens that the winner writes before the other side continues, 1 to 4096.'),
  smallDelayMs: delay('small'),
  largeDelayMs: delay('large'),
});

type Knobs = z.infer<typeof knobs>;
type Context = RecipeContext<Knobs>;

/** `tandem/race`. */
export const race: Recipe<Knobs> = {
  id: 'race',
  summary: 'The small and the large model start at once; the first to speak is streamed, and the other is stopped or continues the text.',
  sources: [{ title: 'DiSCo: Device-Server Collaborative LLM-Based Text Streaming Services', ref: 'arXiv:2502.11417' }],
  rows: [107],
  primitives: ['P14'],
  needs: [
    { role: 'small', levels: ['L0'] },
    { role: 'large', levels: ['L0'] },
  ],
  knobs,
  carries: { tools: true, formats: true, logprobs: true, attachments: true },
  run,
};

/** One side of the race. */
interface Runner {
  readonly member: AnyMember;
  readonly stream: CallStream;
  readonly stop: () => void;
  /** Ends its waiting for the other side's head start. */
  readonly begin: () => void;
  readonly opening: Promise<Opening>;
}

/** How a side began: what came up to the first part that says something, or up to the end of an answer that says nothing, or why nothing came. */
interface Opening {
  readonly runner: Runner;
  readonly parts: readonly Part[];
  readonly speaks: boolean;
  readonly failure?: TandemError;
}

async function* run(prompt: Veiled, context: Context): AsyncGenerator<Part> {
  const { team, knobs: { smallDelayMs, largeDelayMs, handover } } = context;
  const runners = [started(team.first('small'), smallDelayMs, prompt, context), started(team.first('large'), largeDelayMs, prompt, context)];
  try {
    const { runner: winner, parts: first, speaks } = await firstToSpeak(runners, context);
    for (const runner of runners) if (runner !== winner) runner.stop();
    const target = handover === 'none' ? winner.member : team.first(handover === 'to-large' ? 'large' : 'small');
    yield* target === winner.member || !speaks || !canContinue(target, context) ? rest(winner, first) : handedOver(winner, first, target, prompt, context);
  } finally {
    for (const runner of runners) runner.stop();
  }
}

function started(member: AnyMember, delayMs: number, prompt: Veiled, context: Context): Runner {
  const { signal, stop } = stoppable(context.signal);
  const stream = ask(context, member, prompt, { signal, inPieces: true });
  let begin = (): void => undefined;
  const due = delayMs === 0 ? undefined : Promise.race([context.clock.sleep(delayMs, signal), new Promise<void>((resolve) => (begin = resolve))]);
  const runner: Runner = {
    member,
    stream,
    stop,
    begin: () => begin(),
    opening: (due === undefined ? opened(stream) : due.then(() => opened(stream))).then(
      (opening) => ({ ...opening, runner }),
      (thrown: unknown) => ({ runner, parts: [], speaks: false, failure: TandemError.from(thrown) }),
    ),
  };
  return runner;
}

async function opened(stream: CallStream): Promise<Omit<Opening, 'runner'>> {
  const parts: Part[] = [];
  for (;;) {
    const { done, value } = await stream.next();
    if (done === true) throw new TandemError('answer_unusable', { message: 'An answer without parts.' });
    parts.push(value);
    if (value.type === 'finish') return { parts, speaks: false };
    if (value.type === 'tool-call' || value.delta !== '') return { parts, speaks: true };
  }
}

/** The first side that says something; where none does, one whose answer is empty. A side that fails or says nothing leaves the race to the other, which need not wait any more. */
async function firstToSpeak(runners: readonly Runner[], context: Context): Promise<Opening> {
  let waiting = [...runners];
  let empty: Opening | undefined;
  let last: TandemError | undefined;
  while (waiting.length > 0) {
    const opening = await Promise.race(waiting.map((each) => each.opening));
    const { runner, speaks, failure } = opening;
    if (speaks) {
      context.span.decide('race.first', runner.member.id, waiting.length < runners.length ? 'The other side failed or said nothing.' : 'It gave its first part before the other side.', { elapsedMs: context.trace.elapsedMs() });
      return opening;
    }
    if (failure === undefined) empty ??= opening;
    else if (!mayMoveOn(failure)) throw failure;
    last = failure;
    waiting = waiting.filter((each) => each !== runner);
    for (const each of waiting) each.begin();
  }
  if (empty === undefined) throw last ?? new TandemError('answer_unusable', { message: 'Neither side of the race answered.' });
  context.span.decide('race.first', empty.runner.member.id, 'Its answer is empty, and the other side gave none.', { elapsedMs: context.trace.elapsedMs() });
  return empty;
}

function canContinue(target: AnyMember, { sampling, span }: Context): boolean {
  const plain = (sampling.format?.type ?? 'text') === 'text';
  if (plain && target.model.abilities.continuesPrefix) return true;
  span.decide('race.handover', 'none', plain ? 'The other side cannot continue a prefix.' : 'A structured answer is not handed over.', { target: target.id });
  return false;
}

async function* rest(winner: Runner, first: readonly Part[]): AsyncGenerator<Part> {
  yield* first;
  yield* winner.stream;
}

async function* handedOver(winner: Runner, first: readonly Part[], target: AnyMember, prompt: Veiled, context: Context): AsyncGenerator<Part> {
  const careful = target.model.place === 'cloud' && winner.member.model.place !== 'cloud';
  let written = '';
  let tokens = 0;
  for await (const part of cutAfter(rest(winner, first), context.knobs.handoverTokens)) {
    const due = tokens >= context.knobs.handoverTokens;
    // with the next part at hand it is known whether the word before it was finished
    if (due && part.type === 'text' && (!careful || endsPlainly(written + (/^\s/.exec(part.delta)?.[0] ?? '')))) {
      return yield* continued(winner, part, written, tokens, target, prompt, context);
    }
    yield part;
    if (part.type !== 'text') return yield* winner.stream;
    written += part.delta;
    tokens += tokensOf(part);
  }
}

async function* continued(winner: Runner, held: Part, written: string, tokens: number, target: AnyMember, prompt: Veiled, context: Context): AsyncGenerator<Part> {
  const { sampling, span } = context;
  const left = sampling.tokensMax === undefined ? sampling : { ...sampling, tokensMax: Math.max(1, sampling.tokensMax - Math.round(tokens)) };
  const stream = ask(context, target, continuing(prompt, written, prompt.veil), { sampling: left, purpose: 'continue', replaceable: true });
  let first: IteratorResult<Part, undefined>;
  try {
    first = await stream.next();
  } catch (thrown) {
    const failure = TandemError.from(thrown);
    if (!mayMoveOn(failure)) throw failure;
    span.decide('race.handover', winner.member.id, 'The other side failed to continue; the winner goes on.', { failure: failure.code });
    yield held;
    return yield* winner.stream;
  }
  winner.stop();
  span.decide('race.handover', target.id, 'The other side continues the text.', { tokens: Math.round(tokens) });
  if (first.done !== true) yield first.value;
  yield* stream;
}
