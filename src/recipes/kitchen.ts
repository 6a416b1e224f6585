/**
 * The kitchen: turns a request into a running recipe. It finds what stands behind the model id (aliases and the default were
 * resolved by admission), checks everything that can be checked before a model is asked (needs, knobs, features, policy), cuts
 * the team down to the members that may and can answer, and serves the run (`serving.ts`). It knows no particular recipe.
 */
import type { Config } from '../config.ts';
import { pathText } from '../config.ts';
import { fail, TandemError } from '../errors.ts';
import type { Answered, Policy, Received, Veiled } from '../exchange.ts';
import { embedModelId, offers, Team, type AnyMember } from '../models/team.ts';
import type { Journey, Stages } from '../pipeline.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { Meter } from '../trace/meter.ts';
import type { Span } from '../trace/trace.ts';
import { ask } from './ask.ts';
import type { BatteryReader } from '../system/battery.ts';
import { Breakers } from './breakers.ts';
import { Live } from './live.ts';
import type { SharedPurse } from './budget.ts';
import { Deadlines } from '../system/deadlines.ts';
import { askedOf, notCarried, notCarriedBy, type Asked } from './carrying.ts';
import { noKnobs } from './knobs.ts';
import { unmetNeeds, type Recipe, type Unmet } from './recipe.ts';
import { serve, type PrepareOther } from './serving.ts';

/** What a kitchen is made of. */
export interface KitchenParts {
  readonly team: Team;
  readonly registry: ReadonlyMap<string, Recipe>;
  readonly config: Pick<Config, 'recipes'>;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly random: Random;
  /** What all requests together may still spend, where that is capped. */
  readonly purse?: SharedPurse;
  /** Charge of this device's battery. Default: unknown. */
  readonly battery?: BatteryReader | undefined;
}

/** A recipe that can run, with checked knobs and the members that it may use. */
export interface Prepared {
  readonly recipe: Recipe;
  readonly knobs: unknown;
  readonly team: Team;
}

/**
 * The recipe stage.
 *
 * The stage fails at once with model_not_found, recipe_unavailable, knob_invalid, parameter_unsupported, policy_violated
 * or ability_missing; the stream it gives can fail with whatever the members fail with, and with budget_exhausted,
 * deadline_exceeded and cancelled.
 * @throws {TandemError} config_invalid when the configuration holds unknown recipes or wrong knobs
 */
export function createKitchen(parts: KitchenParts): Stages['cook'] {
  const kitchen = new Kitchen(parts);
  return (veiled, journey, span) => kitchen.cook(veiled, journey, span);
}

class Kitchen {
  readonly #parts: KitchenParts;
  readonly #breakers: Breakers;
  readonly #live: Live;
  readonly #deadlines: Deadlines;
  readonly #defaults = new Map<Recipe, unknown>();
  readonly #plain = new Map<string, { readonly recipe: Recipe; readonly team: Team }>();
  /** What stands behind the model ids that were asked for: as many as there are recipes and members. */
  readonly #resolved = new Map<string, { readonly recipe: Recipe; readonly team: Team }>();
  readonly #unmet = new WeakMap<Team, Map<Recipe, readonly Unmet[]>>();

  constructor(parts: KitchenParts) {
    this.#parts = parts;
    this.#breakers = new Breakers(parts.clock);
    this.#live = new Live(parts.clock, parts.battery);
    this.#deadlines = new Deadlines(parts.clock);
    for (const id of Object.keys(parts.config.recipes)) {
      if (!parts.registry.has(id)) fail('config_invalid', { message: `recipes.${id}: there is no such recipe.`, param: `recipes.${id}` });
    }
    for (const recipe of parts.registry.values()) this.#defaults.set(recipe, defaultKnobs(recipe, parts.config.recipes[recipe.id] ?? {}));
    for (const member of parts.team.members) this.#plain.set(member.id, { recipe: plainOn(member), team: new Team([member]) });
  }

  cook(veiled: Veiled, journey: Journey, span: Span): Answered {
    const { request } = veiled;
    const { recipe, team } = this.#resolve(request.model);
    const asked = askedOf(veiled);
    const prepared = this.#prepare(recipe, request.knobs, team, request.policy, asked);
    journey.trace.runs(recipe.id);
    const delegate: PrepareOther = (id, within, knobs) => {
      const other = this.#parts.registry.get(id) ?? fail('recipe_unavailable', `There is no recipe "${id}".`);
      return this.#prepare(other, knobs, within, request.policy, asked);
    };
    return serve(prepared, delegate, veiled, { ...this.#parts, breakers: this.#breakers, live: this.#live, deadlines: this.#deadlines, journey, span });
  }

  #resolve(model: string): { readonly recipe: Recipe; readonly team: Team } {
    let resolved = this.#resolved.get(model);
    if (resolved === undefined) this.#resolved.set(model, (resolved = this.#find(model)));
    return resolved;
  }

  /** @throws {TandemError} model_not_found, ability_missing */
  #find(model: string): { readonly recipe: Recipe; readonly team: Team } {
    const { registry, team } = this.#parts;
    if (model.startsWith('tandem/')) {
      const recipe = registry.get(model.slice('tandem/'.length));
      if (recipe !== undefined) return { recipe, team };
    }
    const plain = this.#plain.get(model);
    const member = plain?.team.members[0];
    if (model === embedModelId || (member !== undefined && !offers(member, 'L0'))) fail('ability_missing', { message: `The model "${model}" gives vectors (POST /v1/embeddings) and writes no text.`, param: 'model' });
    if (plain === undefined) return fail('model_not_found', { message: 'No recipe or member has the model id that was asked for.', param: 'model' });
    return plain;
  }

  #prepare(recipe: Recipe, given: Received['knobs'], team: Team, policy: Policy, asked: Asked): Prepared {
    const knobs = this.#knobs(recipe, given);
    const refused = notCarried(recipe, asked);
    if (refused !== undefined) fail('parameter_unsupported', { message: `The recipe "${recipe.id}" cannot carry ${refused}.`, param: refused });
    const unmet = this.#unmetOf(recipe, knobs, team);
    if (unmet.length > 0) this.#unavailable(recipe, unmet, team);
    const allowed = team.restrictedTo((member) => mayAnswer(member, policy));
    if (allowed !== team) this.#requireAllowed(recipe, knobs, allowed, policy);
    const capable = allowed.restrictedTo((member) => notCarriedBy(member, asked) === undefined);
    if (capable !== allowed) this.#requireCapable(recipe, knobs, capable, allowed, asked);
    return { recipe, knobs, team: capable };
  }

  #knobs(recipe: Recipe, given: Received['knobs']): unknown {
    const defaults = this.#defaults.get(recipe);
    for (const _ in given) return checkedKnobs(recipe, { ...this.#parts.config.recipes[recipe.id], ...given });
    return defaults ?? recipe.knobs.parse({});
  }

  #unmetOf(recipe: Recipe, knobs: unknown, team: Team): readonly Unmet[] {
    if (recipe.needsWith !== undefined) return unmetNeeds({ needs: recipe.needsWith(knobs) }, team);
    let known = this.#unmet.get(team);
    if (known === undefined) this.#unmet.set(team, (known = new Map()));
    let unmet = known.get(recipe);
    if (unmet === undefined) known.set(recipe, (unmet = unmetNeeds(recipe, team)));
    return unmet;
  }

  #unavailable(recipe: Recipe, unmet: readonly Unmet[], team: Team): never {
    const able = [...this.#parts.registry.values()].filter((other) => unmetNeeds(other, team).length === 0).map(({ id }) => id);
    fail('recipe_unavailable', {
      message: `The recipe "${recipe.id}" ${unmet.map(({ reason }) => reason).join('; and ')}. Recipes that this team can run: ${able.join(', ') || 'none'}.`,
      param: 'model',
    });
  }

  #requireAllowed(recipe: Recipe, knobs: unknown, allowed: Team, policy: Policy): void {
    const unmet = this.#unmetOf(recipe, knobs, allowed);
    if (unmet.length === 0 && (allowed.members.length > 0 || this.#parts.team.members.length === 0)) return;
    const because = unmet[0] === undefined ? 'no member is left' : `it ${unmet[0].reason}`;
    fail('policy_violated', { message: `Under ${limitsInForce(policy).join(', ')} the recipe "${recipe.id}" cannot run: ${because}.` });
  }

  #requireCapable(recipe: Recipe, knobs: unknown, capable: Team, allowed: Team, asked: Asked): void {
    if (capable.members.length > 0 && this.#unmetOf(recipe, knobs, capable).length === 0) return;
    const lacking = allowed.members.find((member) => notCarriedBy(member, asked) !== undefined && matters(recipe, knobs, member)) ?? allowed.members.find((member) => notCarriedBy(member, asked) !== undefined);
    const what = lacking === undefined ? undefined : notCarriedBy(lacking, asked);
    fail('parameter_unsupported', {
      message: `The member "${lacking?.id}" cannot honour ${what}, and the recipe "${recipe.id}" needs it.`,
      ...(what === undefined ? {} : { param: what }),
      ...(lacking === undefined ? {} : { member: lacking.id }),
    });
  }
}

/** Whether the policy allows a member to be asked at all. */
export function mayAnswer({ id, model: { place } }: AnyMember, { limits, privacyClass }: Policy): boolean {
  if (privacyClass === 'confidential' && place === 'cloud') return false;
  if (limits.places !== undefined && !limits.places.includes(place)) return false;
  return limits.members === undefined || limits.members.includes(id);
}

function limitsInForce({ limits, privacyClass }: Policy): string[] {
  return [
    ...(privacyClass === 'confidential' ? ['privacy class confidential'] : []),
    ...(limits.places === undefined ? [] : [`limits.places ${limits.places.join(', ')}`]),
    ...(limits.members === undefined ? [] : [`limits.members ${limits.members.join(', ')}`]),
  ];
}

function matters(recipe: Recipe, knobs: unknown, member: AnyMember): boolean {
  const needs = recipe.needsWith?.(knobs) ?? recipe.needs;
  return needs.length === 0 || needs.some((need) => member.roles.includes(need.role));
}

/** Knobs of a recipe with the values that the configuration gives. @throws {TandemError} config_invalid */
export function defaultKnobs(recipe: Recipe, given: Readonly<Record<string, unknown>>): unknown {
  try {
    return checkedKnobs(recipe, given);
  } catch (error) {
    const { message, param } = TandemError.from(error);
    const path = (param ?? '').replace(/^tandem\.knobs/, `recipes.${recipe.id}`);
    return fail('config_invalid', { message: `${path}: ${message}`, param: path });
  }
}

function checkedKnobs(recipe: Recipe, given: Readonly<Record<string, unknown>>): unknown {
  const result = recipe.knobs.safeParse(given);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = [...(issue?.path ?? []), ...(issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])].map((step) => (typeof step === 'string' ? step.slice(0, 64) : step));
  const what = issue?.code === 'unrecognized_keys' ? `there is no such knob; "${recipe.id}" has ${knobNames(recipe).join(', ') || 'none'}` : (issue?.message ?? 'wrong value');
  return fail('knob_invalid', { message: `Knob ${pathText(path)} of "${recipe.id}": ${what}.`, param: pathText(['tandem', 'knobs', ...path]) });
}

function knobNames({ knobs }: Recipe): string[] {
  return 'shape' in knobs && typeof knobs.shape === 'object' && knobs.shape !== null ? Object.keys(knobs.shape) : [];
}

/** The recipe behind a member's own id: that member answers. */
function plainOn(member: AnyMember): Recipe {
  return {
    id: 'plain',
    summary: `The member ${member.id} answers.`,
    sources: [],
    rows: [],
    primitives: [],
    needs: [],
    knobs: noKnobs,
    carries: { tools: true, formats: true, logprobs: true, attachments: true },
    run: (prompt, context) => ask(context, member, prompt),
  };
}
