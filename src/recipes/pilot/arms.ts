/**
 * What the pilot chooses between: a recipe, its knobs, and the members that it may use. Arms are made of the team that the
 * policy has left, so none of them can reach a member that was cut away.
 */
import type { Prompt, Sampling } from '../../exchange.ts';
import { Team, type AnyMember } from '../../models/team.ts';
import { promptUsdMax } from '../prompt-size.ts';

/** One way to answer. */
export interface Arm {
  /** Name in traces and in what was learned: `cascade`, `cascade:jump`, `large:gpt-x`. */
  readonly id: string;
  readonly recipe: string;
  readonly knobs: Readonly<Record<string, unknown>>;
  readonly team: Team;
}

/** Other knobs that are worth trying, by recipe. */
const variants: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>> = {
  cascade: { jump: { jumpFrom: 0.6 } },
};

/** Arms at most: more would each be tried too seldom. */
const armsMax = 12;

/** The arms of a rule: every recipe of its list in order, with variants of knobs and, where a role has several members, each of them. */
export function armsOf(recipes: readonly string[], team: Team): Arm[] {
  const arms: Arm[] = [];
  for (const recipe of recipes) {
    arms.push({ id: recipe, recipe, knobs: {}, team });
    for (const [name, knobs] of Object.entries(variants[recipe] ?? {})) arms.push({ id: `${recipe}:${name}`, recipe, knobs, team });
    if (recipe !== 'small' && recipe !== 'large') continue;
    for (const member of team.inRole(recipe).slice(1)) arms.push({ id: `${recipe}:${member.id}`, recipe, knobs: {}, team: team.restrictedTo((other) => other === member || !other.roles.includes(recipe)) });
  }
  return arms.slice(0, armsMax);
}

/** Members that an arm may ask. */
export function membersOf({ recipe, team }: Arm): readonly AnyMember[] {
  if (recipe === 'small' || recipe === 'large') return team.inRole(recipe).slice(0, 1);
  return team.members.filter(({ roles }) => roles.includes('small') || roles.includes('large') || roles.includes('draft') || recipe === 'failover');
}

/** Calls of one member that an arm may make, about: samples and verdicts of a cascade. */
const callsMax: Readonly<Record<string, number>> = { cascade: 5 };

/**
 * Dollars that an arm can cost at most; Infinity where a member in the cloud has no price, or an attachment no bound.
 * @param promptTokens an upper bound without attachments
 */
export function worstCostUsd(arm: Arm, prompt: Prompt<string>, promptTokens: number, { tokensMax = 4_096 }: Sampling): number {
  return membersOf(arm).reduce((sum, member) => {
    const { price, model } = member;
    if (price === undefined) return sum + (model.place === 'cloud' ? Infinity : 0);
    const calls = model.place === 'cloud' ? 1 : (callsMax[arm.recipe] ?? 1);
    return sum + calls * (promptUsdMax(member, price, prompt, promptTokens) + (tokensMax * price.outputUsdPerMillionTokens) / 1e6);
  }, 0);
}

/** Dollars that an arm is expected to cost before it was ever tried: half of the members' calls, with answers of 200 tokens. */
export function usualCostUsd(arm: Arm, promptTokens: number): number | undefined {
  const members = membersOf(arm);
  if (members.some(({ price, model }) => price === undefined && model.place === 'cloud')) return undefined;
  const sum = members.reduce((total, { price }) => total + (price === undefined ? 0 : (promptTokens * price.inputUsdPerMillionTokens + 200 * price.outputUsdPerMillionTokens) / 1e6), 0);
  return members.length > 1 && arm.recipe !== 'race' ? sum / 2 : sum;
}
