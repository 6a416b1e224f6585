/**
 * The part of `route` that chooses among any number of members by a trained router: greatest utility, the cheapest that is good
 * enough, or a gate that asks the few best and weighs their answers. What the router knows of a member is matched by role or id;
 * members that the policy forbids are not in the team and cannot be chosen.
 */
import { groups } from '../assign/agreement.ts';
import type { Estimate } from '../assign/router.ts';
import { byUtility, cheapestAdequate, gated, type Candidate, type LiveState, type Weighed, type Worth } from '../assign/utility.ts';
import { fail, TandemError } from '../errors.ts';
import type { Part, Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import { profileOf } from '../trace/energy.ts';
import { ask, askWhole, replay, stoppable, type Whole } from './ask.ts';
import { mayMoveOn } from './member-order.ts';
import { promptTokensOf } from './prompt-size.ts';
import type { RecipeContext } from './recipe.ts';
import type { RouteRouter } from './route.ts';

/** Knobs of this part. */
export interface MembersKnobs {
  readonly choose: 'pair' | 'utility' | 'adequate' | 'gate';
  readonly worth: Worth;
  readonly gap: number;
  readonly kept: number;
  readonly state: LiveState;
  readonly live: boolean;
  readonly fallback: boolean;
  readonly router: string;
}

type Context = RecipeContext<MembersKnobs>;

/** Answer tokens that a call is taken to need, where nothing is known. */
const answerTokensUsual = 200;

/** Chooses and answers. @throws {TandemError} recipe_unavailable: the router knows no member of the team */
export async function* runMembers(prompt: Veiled, context: Context, router: RouteRouter): AsyncGenerator<Part> {
  const { knobs: { choose, gap, kept }, sampling, span } = context;
  const input = { prompt: prompt.raw, sampling };
  const known = router.members?.(input) ?? fail('recipe_unavailable', `The router "${context.knobs.router}" knows a pair only; choosing among members needs one trained with --members.`);
  const members = new Map<string, AnyMember>();
  const candidates = known.flatMap((each): Candidate[] => {
    const member = context.team.inRole(each.member)[0] ?? context.team.get(each.member);
    if (member === undefined) return [];
    members.set(each.member, member);
    return [candidateOf(each, member, prompt, context)];
  });
  if (candidates.length === 0) fail('recipe_unavailable', `None of the members that the router knows (${known.map(({ member }) => member).join(', ')}) is in the team.`);
  const state = momentOf(context, members);
  const weighed = byUtility(candidates, worthOf(context), state, 3 * promptTokensOf(prompt.raw));
  if (weighed.length === 0) fail('recipe_unavailable', 'There is no link to any of the members that the router knows.');
  const order = choose === 'adequate' ? cheapestAdequate(weighed, gap) : weighed;
  const { inputs } = await router.estimate(input);
  const figures = Object.fromEntries(order.flatMap(({ member, quality, utility }) => [[`quality.${member}`, quality], [`utility.${member}`, utility]]));
  if (choose === 'gate' && order.length > 1) return yield* fused(prompt, context, gated(order, kept), members, { ...inputs, ...figures, ...stateInputs(state), ...seenInputs(context, members) });
  const because = choose === 'adequate' ? 'It is the cheapest that is good enough.' : 'Its utility is the greatest.';
  span.decide('route', members.get(order[0]?.member ?? '')?.id ?? '', because, { router: context.knobs.router, choose, ...inputs, ...figures, ...stateInputs(state), ...seenInputs(context, members) });
  yield* inOrder(prompt, context, order, members);
}

function candidateOf(each: { readonly member: string; readonly quality: number; readonly costUsd?: number | undefined; readonly latencyMs?: number | undefined }, member: AnyMember, prompt: Veiled, { knobs: { live, state }, live: seen }: Context): Candidate {
  const { price, model: { place } } = member;
  const tokens = promptTokensOf(prompt.raw);
  const profile = profileOf(member);
  const now = live ? seen.of(member.id) : undefined;
  // What was measured holds the link as it is; a caller who says how the link is counts it himself.
  const linked = place !== 'device' && (state.linkMbps !== undefined || state.linkRttMs !== undefined);
  return {
    member: each.member,
    place,
    quality: each.quality * (1 - (now?.failureShare ?? 0)),
    // The price of today counts; what the rows say is used where the member has none.
    costUsd: price === undefined ? (each.costUsd ?? 0) : (tokens * price.inputUsdPerMillionTokens + answerTokensUsual * price.outputUsdPerMillionTokens) / 1e6,
    latencyMs: (linked ? undefined : now?.latencyMs) ?? each.latencyMs ?? 0,
    energyJ: tokens * profile.joulePerInputToken + answerTokensUsual * profile.joulePerOutputToken,
  };
}

/** The state of the moment: what the caller says, else what this process sees. Calls share this device; how busy others' machines are is in the times of their answers. */
function momentOf({ knobs: { live, state }, live: seen }: Context, members: ReadonlyMap<string, AnyMember>): LiveState {
  if (!live) return state;
  const running = [...members].filter(([, { model }]) => model.place === 'device').map(([name, { id }]) => [name, seen.of(id).running] as const).filter(([, n]) => n > 0);
  const { batteryShare = seen.batteryShare } = state;
  return { ...state, batteryShare, ...(running.length === 0 && state.queue === undefined ? {} : { queue: { ...Object.fromEntries(running), ...state.queue } }) };
}

/** While dollars are short, one is worth more than itself. */
function worthOf({ knobs: { live, worth }, budget }: Context): Worth {
  return live ? { ...worth, usd: worth.usd * (1 + budget.price) } : worth;
}

/** What this process saw of the members, for the trace. */
function seenInputs({ knobs: { live }, live: seen, budget }: Context, members: ReadonlyMap<string, AnyMember>): Estimate['inputs'] {
  if (!live) return {};
  const each = [...members].flatMap(([name, { id }]): [string, number][] => {
    const { latencyMs, failureShare } = seen.of(id);
    return [...(latencyMs === undefined ? [] : [[`latencyMs.${name}`, latencyMs] as [string, number]]), ...(failureShare === 0 ? [] : [[`failures.${name}`, failureShare] as [string, number]])];
  });
  return { ...Object.fromEntries(each), ...(budget.price === 0 ? {} : { price: budget.price }) };
}

function stateInputs({ linkMbps, linkRttMs, batteryShare, queue }: LiveState): Estimate['inputs'] {
  return {
    ...(linkMbps === undefined ? {} : { linkMbps }),
    ...(linkRttMs === undefined ? {} : { linkRttMs }),
    ...(batteryShare === undefined ? {} : { batteryShare }),
    ...Object.fromEntries(Object.entries(queue ?? {}).map(([member, n]) => [`queue.${member}`, n])),
  };
}

async function* inOrder(prompt: Veiled, context: Context, order: readonly Weighed[], members: ReadonlyMap<string, AnyMember>): AsyncGenerator<Part> {
  let last: TandemError | undefined;
  for (const [i, { member: name }] of order.entries()) {
    const member = members.get(name);
    if (member === undefined) continue;
    if (i > 0) context.span.decide('route.fallback', member.id, 'The member chosen before failed before it had begun.', { failure: last?.code ?? '' });
    let begun = false;
    try {
      for await (const part of ask(context, member, prompt, { replaceable: context.knobs.fallback && i < order.length - 1 })) {
        begun = true;
        yield part;
      }
      return;
    } catch (thrown) {
      last = TandemError.from(thrown);
      if (begun || !context.knobs.fallback || !mayMoveOn(last)) throw last;
    }
  }
  throw last ?? fail('internal', 'No member was asked.');
}

/** Asks the experts that the gate keeps; answers that say the same add up their weights, and the heaviest is given. */
async function* fused(prompt: Veiled, context: Context, kept: ReturnType<typeof gated>, members: ReadonlyMap<string, AnyMember>, inputs: Estimate['inputs']): AsyncGenerator<Part> {
  const own = stoppable(context.signal);
  try {
    const asked = kept.flatMap(({ candidate, weight }) => {
      const member = members.get(candidate.member);
      return member === undefined ? [] : [{ member, weight }];
    });
    const outcomes = await Promise.allSettled(asked.map(({ member }) => askWhole(context, member, prompt, { signal: own.signal })));
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [TandemError.from(outcome.reason)] : []));
    const stop = failures.find((failure) => !mayMoveOn(failure)) ?? (failures.length === asked.length ? failures[0] : undefined);
    if (stop !== undefined) throw stop;
    const answers = outcomes.flatMap((outcome, i): { whole: Whole; weight: number }[] => (outcome.status === 'fulfilled' ? [{ whole: outcome.value, weight: asked[i]?.weight ?? 0 }] : []));
    const [heaviest] = groups(answers.map(({ whole }) => whole.text), answers.map(({ weight }) => weight));
    // Of those that say the same, the one of the greatest weight speaks.
    const speaker = (heaviest?.members ?? [0]).map((i) => answers[i]).sort((a, b) => (b?.weight ?? 0) - (a?.weight ?? 0))[0] ?? fail('answer_unusable', 'No expert answered.');
    context.span.decide('route.gate', speaker.whole.member.id, 'The answers were weighed by the gate.', { experts: asked.length, weight: heaviest?.weight ?? 0, ...Object.fromEntries(asked.map(({ member, weight }) => [`gate.${member.id}`, weight])), ...inputs });
    yield* replay(speaker.whole, context.sampling.topLogprobs);
  } finally {
    own.stop();
  }
}
