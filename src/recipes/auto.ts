/**
 * Auto: the pilot. It chooses recipe, knobs and members for a request under the policy, and always says why.
 *
 * It starts from fixed rules: the first recipe of the objective's list that this team can run, and that can carry what the
 * request asks for, is run. The decision names those that were passed over and why.
 *
 *   private (or privacy class confidential)  own members only: speculate, cascade, large, small, any
 *   latency                                   speculate on one host; race when the sides are in different places; small, large, any
 *   cost                                      cascade, route, small, large, any
 *   quality                                   speculate (the large model's law, sooner), large, any
 *   balanced                                  cascade, route, speculate, large, small, any
 *
 * `any` is failover over whatever members are left.
 *
 * Where rewards come in (feedback, judges, verifiers), it learns which of those recipes, with which knobs and members, earns most
 * under the objective, and takes over from the rules only after logged decisions have shown that it is not worse
 * (`docs/pilot.md`). Without rewards, and where `pilot.learn` is false, the rules decide alone and nothing is drawn at random.
 *
 * A protection is not a preference: what the policy forbids was taken out of the team before this recipe runs; the objective
 * `private` takes cloud members out as well. Nothing that is learned can bring them back.
 */
import { fail, TandemError, type ErrorCode } from '../errors.ts';
import { preferences as weights } from '../assign/online/preference.ts';
import type { Router } from '../assign/router.ts';
import type { Part, Policy, Veiled } from '../exchange.ts';
import type { Team } from '../models/team.ts';
import { noKnobs } from './knobs.ts';
import { armsOf, membersOf, usualCostUsd, worstCostUsd, type Arm } from './pilot/arms.ts';
import { pilotFeatures } from './pilot/features.ts';
import { whenAdmitted, type PaidQueue } from './pilot/paid.ts';
import type { About, ArmOffer, Pilot, PilotAnswer } from './pilot/pilot.ts';
import { promptTokensMax, promptTokensOf } from './prompt-size.ts';
import type { Recipe, RecipeContext } from './recipe.ts';

type Rule = 'private' | Policy['objective'];

/** The recipes that each objective tries, in order. */
export const preferences: Readonly<Record<Rule, readonly string[]>> = {
  private: ['speculate', 'cascade', 'large', 'small', 'failover'],
  latency: ['speculate', 'race', 'small', 'large', 'failover'],
  cost: ['cascade', 'route', 'small', 'large', 'failover'],
  quality: ['speculate', 'large', 'failover'],
  balanced: ['cascade', 'route', 'speculate', 'large', 'small', 'failover'],
};

const passedOver: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['recipe_unavailable', 'policy_violated', 'parameter_unsupported']);

/** A deadline beyond this does not keep an arm out: nothing is known to take so long, and the deadline itself holds. Milliseconds. */
const roomyMs = 60_000;

/**
 * `tandem/auto` with a pilot that learns; without one, by the rules alone.
 * @param router a trained router whose estimate the pilot may use
 * @param paid who gets the dollars of a capped budget while they are short; undefined: whoever comes first
 */
export function autoWith(pilot?: Pilot, router?: Router, paid?: PaidQueue): Recipe {
  return {
    id: 'auto',
    summary: 'Picks recipe, knobs and members by the policy: by documented rules, and by what rewards have taught, once that has proved itself.',
    sources: [
      { title: 'PerLLM: Personalized Inference Scheduling with Edge-Cloud Collaboration for Diverse LLM Services', ref: 'arXiv:2405.14636' },
      { title: 'LLM Bandit: Cost-Efficient LLM Generation via Preference-Conditioned Dynamic Routing', ref: 'arXiv:2502.02743' },
      { title: 'MixLLM: Dynamic Routing in Mixed Large Language Models', ref: 'arXiv:2502.18482' },
      { title: 'Life-Cycle Routing Vulnerabilities of LLM Router', ref: 'arXiv:2503.08704' },
    ],
    rows: [2, 3, 9, 36, 37, 244],
    primitives: ['P01', 'P03', 'P15'],
    needs: [],
    knobs: noKnobs,
    carries: { tools: true, formats: true, logprobs: true, attachments: true },
    run: (prompt, context) => run(prompt, context, pilot, router, paid),
  };
}

/** `tandem/auto` by the rules alone. */
export const auto: Recipe = autoWith();

function run(prompt: Veiled, context: RecipeContext<unknown>, pilot: Pilot | undefined, router: Router | undefined, paid: PaidQueue | undefined): AsyncIterable<Part> {
  const { policy } = context;
  const rule: Rule = policy.privacyClass === 'confidential' ? 'private' : policy.objective;
  const team = rule === 'private' ? context.team.restrictedTo(({ model }) => model.place !== 'cloud') : context.team;
  if (team.members.length === 0) fail('policy_violated', 'The objective private leaves no member: all of them are in the cloud.');
  if (pilot === undefined) return byRules(rule, team, context);
  if (pilot.phase(rule).phase !== 'rules' || paid !== undefined) return byPilot({ rule, team, prompt, pilot, router, paid }, context);
  return byRules(rule, team, context, (arm) => pilot.follow({ ...aboutOf(prompt, context, router), rule, arm }));
}

function byRules(rule: Rule, team: Team, context: RecipeContext<unknown>, follow: (arm: string) => PilotAnswer['inputs'] = () => ({})): AsyncIterable<Part> {
  const { policy, span } = context;
  const skipped: string[] = [];
  let last: TandemError | undefined;
  for (const recipe of preferences[rule]) {
    const unsuited = unsuitedTo(recipe, team);
    if (unsuited !== undefined) {
      skipped.push(`${recipe} (${unsuited})`);
      continue;
    }
    try {
      const parts = context.delegate(recipe, team);
      span.decide('auto', recipe, firstThatFits(rule, skipped), { rule, objective: policy.objective, privacyClass: policy.privacyClass, passedOver: skipped.join(', '), ...follow(recipe) });
      return parts;
    } catch (thrown) {
      last = TandemError.from(thrown);
      if (!passedOver.has(last.code)) throw last;
      skipped.push(`${recipe} (${last.param ?? last.code})`);
    }
  }
  throw last ?? fail('recipe_unavailable', 'No recipe runs on this team.');
}

interface Flight {
  readonly rule: Rule;
  readonly team: Team;
  readonly prompt: Veiled;
  readonly pilot: Pilot;
  readonly router: Router | undefined;
  readonly paid: PaidQueue | undefined;
}

/** An arm, and what is known of it before it is tried. */
type Offered = Arm & ArmOffer;

function byPilot(flight: Flight, context: RecipeContext<unknown>): AsyncIterable<Part> {
  const { rule, team, prompt, pilot, router } = flight;
  const { policy, span, random } = context;
  const passed: string[] = [];
  const fitting = offersOf(flight, context, passed);
  if (fitting.length === 0) return byRules(rule, team, context);
  const about = aboutOf(prompt, context, router);
  const { costUsdMax, totalMs } = policy.limits;
  const arms = worthwhileFirst(fitting, flight, about, passed);
  const answer = pilot.decide({
    ...about,
    rule,
    arms,
    limits: { ...(costUsdMax === undefined ? {} : { costUsdMax }), ...(totalMs === undefined || totalMs >= roomyMs ? {} : { latencyMsMax: totalMs }), places: team.members.map(({ model }) => model.place) },
    uniform: random.next,
  });
  const arm = arms.find(({ id }) => id === answer.arm) ?? (arms[0] as Offered);
  const parts = answered(arm, freeOf(arms), flight, about, context);
  span.decide('auto', arm.id, answer.because, { rule, objective: policy.objective, privacyClass: policy.privacyClass, passedOver: passed.join(', '), ...answer.inputs });
  return parts;
}

/** The arms that can run, in the order of the rules. @param passed gets those that cannot */
function offersOf({ rule, team, prompt }: Flight, context: RecipeContext<unknown>, passed: string[]): Offered[] {
  const [tokensMax, tokens] = [promptTokensMax(prompt.raw, context.sampling), promptTokensOf(prompt.raw, context.sampling)];
  return armsOf(preferences[rule], team).flatMap((arm): Offered[] => {
    const why = unsuitedTo(arm.recipe, team) ?? notFit(arm, context);
    if (why !== undefined) passed.push(`${arm.id} (${why})`);
    return why === undefined ? [{ ...arm, costUsdMax: worstCostUsd(arm, prompt.raw, tokensMax, context.sampling), usualCostUsd: usualCostUsd(arm, tokens), places: membersOf(arm).map(({ model }) => model.place) }] : [];
  });
}

/** The first arm that costs nothing. */
function freeOf(arms: readonly Offered[]): Offered | undefined {
  return arms.find(({ id, recipe, costUsdMax }) => id === recipe && costUsdMax === 0);
}

/** The arms with that in front which the rules choose: the first one, or, while dollars are short and there is a free one, the first that gains enough for a dollar. */
function worthwhileFirst(arms: readonly Offered[], { pilot, paid }: Flight, about: About, passed: string[]): readonly Offered[] {
  const free = freeOf(arms);
  const floor = paid?.floor ?? 0;
  if (floor === 0 || free === undefined) return arms;
  const first = arms.find((arm) => {
    if (arm.id !== arm.recipe) return false;
    if (arm.costUsdMax === 0) return true;
    const { gainUsd, costUsd } = pilot.gain(arm, free, about);
    if (gainUsd >= floor * costUsd) return true;
    passed.push(`${arm.id} (gains ${(gainUsd / costUsd).toFixed(2)} a dollar, ${floor.toFixed(2)} is asked)`);
    return false;
  });
  return first === undefined ? arms : [first, ...arms.filter((arm) => arm !== first)];
}

/** Runs an arm; one that costs money waits for its turn where dollars are capped. */
function answered(arm: Offered, free: Offered | undefined, { pilot, paid }: Flight, about: About, context: RecipeContext<unknown>): AsyncIterable<Part> {
  const run = ({ recipe, team, knobs }: Arm): AsyncIterable<Part> => context.delegate(recipe, team, knobs);
  if (paid === undefined || arm.costUsdMax === 0 || arm.costUsdMax === Infinity) return run(arm);
  const instead = (): AsyncIterable<Part> => {
    if (free === undefined) return fail('overloaded', { message: 'More requests want to be paid for than the budget has dollars for, and this one gains least for a dollar.', retryAfterMs: 1_000 });
    pilot.overruled(about.traceId);
    context.span.decide('auto.paid', free.id, 'Others that wait for dollars gain more for them.', { insteadOf: arm.id });
    return run(free);
  };
  return whenAdmitted(paid, { ...pilot.gain(arm, free, about), costUsdMax: arm.costUsdMax }, { paid: () => run(arm), free: instead }, context);
}

/** What the pilot needs to know of a request, whatever it decides. */
function aboutOf(prompt: Veiled, { policy, sampling, trace, clock }: RecipeContext<unknown>, router: Router | undefined): About {
  const preference = weights[policy.privacyClass === 'confidential' ? 'private' : policy.objective];
  const estimate = router?.estimate({ prompt: prompt.raw, sampling });
  const features = pilotFeatures(prompt.raw, sampling, estimate === undefined || estimate instanceof Promise ? undefined : estimate.score);
  return { traceId: trace.id, caller: prompt.request.caller.name, nowMs: clock.wallMs(), features, preference };
}

function firstThatFits(rule: Rule, skipped: readonly string[]): string {
  return skipped.length === 0 ? `It is the first choice for ${rule}.` : `It is the first for ${rule} that fits.`;
}

function notFit({ recipe, team, knobs }: Arm, context: RecipeContext<unknown>): string | undefined {
  const error = context.unfit(recipe, team, knobs);
  if (error === undefined) return undefined;
  if (!passedOver.has(error.code) && error.code !== 'knob_invalid') throw error;
  return error.param ?? error.code;
}

/** A race between members of one place makes both slower. */
function unsuitedTo(recipe: string, team: Team): string | undefined {
  if (recipe !== 'race') return undefined;
  const [small, large] = [team.inRole('small')[0], team.inRole('large')[0]];
  return small !== undefined && large !== undefined && small.model.place === large.model.place && small.model.place === 'device' ? 'both sides share this device' : undefined;
}
