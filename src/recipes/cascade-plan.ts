/**
 * Runs a trained cascade (`assign/cascade/plan.ts`): at every step it stops with an answer it has, asks the next arm, or jumps to
 * any other, by the difficulty of the request, the scores of the answers, and whether they agree.
 *
 * Faults. An arm that fails, or that the policy took out of the team, counts as unsure, so the plan goes on as it would after a
 * low score. An answer without the form that the request asks for is never given.
 */
import { resultOf } from '../assign/answers/numbers.ts';
import type { CascadePlan } from '../assign/cascade/plan.ts';
import { binOf, type Step } from '../assign/cascade/policy.ts';
import { difficultyOf } from '../assign/difficulty.ts';
import { featuresOf } from '../assign/features.ts';
import { fail, TandemError } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import type { AnyMember, Team } from '../models/team.ts';
import { attempt, type AcceptanceKnobs, type AcceptanceTest, type TrainedTests, type Verdict } from './acceptance.ts';
import { ask, replay } from './ask.ts';
import { standIn } from './cascade-stand-in.ts';
import { mayMoveOn } from './member-order.ts';
import type { RecipeContext } from './recipe.ts';

type Context = RecipeContext<AcceptanceKnobs>;

/** The member behind an arm: the first in that role, else the one with that id; undefined when the policy allows neither. */
export function memberOf(team: Team, name: string): AnyMember | undefined {
  return team.inRole(name)[0] ?? team.get(name);
}

/** Runs a plan. @param test acceptance test of single answers @throws {TandemError} as `ask`, when no arm answers */
export async function* runPlan(prompt: Veiled, context: Context, plan: CascadePlan, test: AcceptanceTest, trained: TrainedTests): AsyncGenerator<Part> {
  const { span, sampling } = context;
  const verdicts = new Map<number, Verdict>();
  const { promise } = plan.card;
  if (promise !== undefined && context.clock.wallMs() >= Date.parse(promise.expiresAt)) {
    const last = plan.arms.length - 1;
    span.decide('cascade.promise', plan.arms[last]?.member ?? '', 'The promise of the trained cascade has expired; the last member answers.', promiseOf(plan));
    return yield* answered(prompt, context, plan, { do: 'answer', arm: last }, verdicts);
  }
  const difficulty = plan.policy.edges.length === 0 ? 0 : difficultyOf(featuresOf(prompt.raw, sampling));
  let step = plan.policy.first[binOf(difficulty, plan.policy.edges)] as Step;
  while (step.do === 'ask') {
    const verdict = await judged(prompt, context, plan, step.arm, test, trained);
    const [bin, agreement] = verdict?.accepted === true ? [binOf(verdict.score, step.edges), agrees(verdict, verdicts)] : [0, false];
    if (verdict !== undefined) verdicts.set(step.arm, verdict);
    const split = step.next.length > step.edges.length + 1;
    const next = step.next[(split && agreement ? step.edges.length + 1 : 0) + bin] as Step;
    span.decide('cascade.step', nameOf(plan, next), `${next.do === 'stop' ? 'The plan stops here' : 'The plan goes on'} at this score.`, { arm: plan.arms[step.arm]?.member ?? '', test, score: verdict?.score ?? 0, bin, ...(split ? { agreement } : {}), difficulty, ...cardOf(plan), ...promiseOf(plan) });
    step = next;
  }
  const held = step.do === 'stop' ? verdicts.get(step.arm) : undefined;
  if (held?.accepted === true && held.chosen !== undefined) return yield* replay(held.chosen, sampling.topLogprobs);
  yield* answered(prompt, context, plan, step, verdicts);
}

function nameOf({ arms }: CascadePlan, { arm }: Step): string {
  const { member = '', samples = 1 } = arms[arm] ?? {};
  return samples > 1 ? `${member} x ${samples}` : member;
}

function cardOf({ card }: CascadePlan): Record<string, string | number> {
  return { trained: card.date, method: card.method, rows: card.data.rows };
}

function promiseOf({ card: { promise, data } }: CascadePlan): Record<string, string | number> {
  return promise === undefined ? {} : { lossMax: promise.lossMax, confidence: promise.confidence, promiseSet: data.name, promiseRows: promise.rows, promiseMade: promise.madeAt, promiseExpires: promise.expiresAt };
}

function agrees(verdict: Verdict, earlier: ReadonlyMap<number, Verdict>): boolean {
  const own = resultOf(verdict.chosen?.text ?? '');
  return own !== '' && [...earlier.values()].some(({ chosen }) => resultOf(chosen?.text ?? '') === own);
}

/** One arm's answer with its score; undefined when it cannot be had. Accepted: it has the form that is asked for. */
async function judged(prompt: Veiled, context: Context, { arms }: CascadePlan, arm: number, test: AcceptanceTest, trained: TrainedTests): Promise<Verdict | undefined> {
  const { member: name = '', samples = 1 } = arms[arm] ?? {};
  const member = memberOf(context.team, name);
  if (member === undefined) {
    context.span.event('cascade.absent', { arm: name });
    return undefined;
  }
  try {
    const knobs: AcceptanceKnobs = { ...context.knobs, test: samples > 1 ? 'self-consistency' : test, samples, threshold: 0, priorWeight: 0 };
    return await attempt({ ...context, knobs, replaceable: true }, [member], prompt, 0, trained);
  } catch (thrown) {
    const failure = TandemError.from(thrown);
    if (!mayMoveOn(failure) || failure.code === 'ability_missing' || failure.code === 'knob_invalid') throw failure;
    context.span.event('cascade.failed', { arm: name, failure: failure.code });
    return undefined;
  }
}

/** Gives the answer of an arm, or of the next best when it fails before it has begun. */
async function* answered(prompt: Veiled, context: Context, plan: CascadePlan, step: Step, verdicts: ReadonlyMap<number, Verdict>): AsyncGenerator<Part> {
  // Arms stand cheapest first: when the planned one is not to be had, the dearest that was not asked yet takes its place.
  const order = [...(step.do === 'answer' ? [step.arm] : []), ...[...plan.arms.keys()].reverse().filter((arm) => arm !== step.arm && !verdicts.has(arm))];
  let last: TandemError | undefined;
  for (const [i, arm] of order.entries()) {
    const { member: name = '', samples = 1 } = plan.arms[arm] ?? {};
    const member = memberOf(context.team, name);
    if (member === undefined) continue;
    if (i > 0) context.span.decide('cascade.fallback', name, 'The planned arm could not answer.', { failure: last?.code ?? 'absent' });
    let begun = false;
    try {
      const parts = samples > 1 ? settled(prompt, context, plan, arm) : ask(context, member, prompt, { replaceable: i < order.length - 1 });
      for await (const part of parts) {
        begun = true;
        yield part;
      }
      return;
    } catch (thrown) {
      last = TandemError.from(thrown);
      if (begun || !mayMoveOn(last)) throw last;
    }
  }
  yield* standIn(prompt, context, [...verdicts.values()], last ?? new TandemError('recipe_unavailable', { message: 'None of the members that the trained cascade names is in the team.' }));
}

async function* settled(prompt: Veiled, context: Context, plan: CascadePlan, arm: number): AsyncGenerator<Part> {
  const verdict = await judged(prompt, context, plan, arm, 'self-consistency', {});
  if (verdict?.chosen === undefined) fail('answer_unusable', 'No sample of the arm came to an end.');
  else yield* replay(verdict.chosen, context.sampling.topLogprobs);
}
