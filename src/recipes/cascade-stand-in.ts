/**
 * What a cascade gives when the last tier failed before it had begun: the best rejected answer that has the form which the request
 * asks for. Where no answer is whole, because reading ended at the first token that was too weak, the tier is asked once more.
 */
import { TandemError } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import { formFaultOf, type AcceptanceKnobs, type Verdict } from './acceptance.ts';
import { askWhole, replay, type Whole } from './ask.ts';
import type { RecipeContext } from './recipe.ts';

type Context = RecipeContext<AcceptanceKnobs>;

/**
 * Gives the answer that stands in.
 * @param rejected what the tiers before gave
 * @throws {TandemError} the failure, when the knob `onLastFailure` says so or no answer may stand in; cancelled, deadline_exceeded
 */
export async function* standIn(prompt: Veiled, context: Context, rejected: readonly Verdict[], failure: TandemError): AsyncGenerator<Part> {
  if (context.knobs.onLastFailure === 'error') throw failure;
  const best = rejected.filter(({ chosen, fault }) => chosen?.complete === true && fault === undefined).sort((a, b) => b.score - a.score)[0];
  const answer = best?.chosen ?? (await askedAgain(prompt, context, rejected));
  if (answer === undefined) throw failure;
  context.span.set({ degraded: true });
  const because = best === undefined ? 'The last tier failed; an answer that had not been read to its end was asked for again and stands in.' : 'The last tier failed; the best rejected answer stands in.';
  context.span.decide('cascade.fallback', answer.member.id, because, { failure: failure.code, ...(best === undefined ? {} : { score: best.score }) });
  yield* replay(answer, context.sampling.topLogprobs);
}

/** The whole answer of the best tier that was not read to its end; undefined when there is none, it fails, or it lacks the form. */
async function askedAgain(prompt: Veiled, context: Context, rejected: readonly Verdict[]): Promise<Whole | undefined> {
  const broken = rejected.filter(({ chosen }) => chosen?.complete === false).sort((a, b) => b.score - a.score)[0];
  if (broken?.chosen === undefined) return undefined;
  try {
    const answer = await askWhole(context, broken.chosen.member, prompt);
    return (await formFaultOf(answer, prompt, context)) === undefined ? answer : undefined;
  } catch (thrown) {
    if (context.signal.aborted) throw thrown;
    return undefined;
  }
}
