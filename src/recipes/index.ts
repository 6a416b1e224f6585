/** The recipes that ship with Tandem, and the kitchen that runs them. A new recipe is one file and one line here. */
import type { Team } from '../models/team.ts';
import { auto } from './auto.ts';
import { blend } from './blend.ts';
import { cascade } from './cascade.ts';
import { failover } from './failover.ts';
import { large } from './large.ts';
import { race } from './race.ts';
import { unmetNeeds, type Recipe, type Unmet } from './recipe.ts';
import { route } from './route.ts';
import { small } from './small.ts';
import { speculate } from './speculate.ts';

export { ask, askMany, askWhole, collect, replay, stoppable, type AskOptions, type View, type Whole } from './ask.ts';
export { createKitchen, type KitchenParts } from './kitchen.ts';
export { rewardOfEdit, rewardOfVerdicts, type VerifierErrors } from './pilot/rewards.ts';
export { paired, unmetNeeds, type Carries, type Need, type Recipe, type RecipeContext, type Source, type Unmet } from './recipe.ts';

/** Every recipe, by id, in the order in which they are shown. */
export const registry: ReadonlyMap<string, Recipe> = new Map(
  ([auto, small, large, failover, cascade, route, speculate, race, blend] as readonly Recipe[]).map((recipe) => [recipe.id, recipe]),
);

/** Every recipe with the needs that a team does not meet; none unmet means that it runs. */
export function available(team: Team, recipes: ReadonlyMap<string, Recipe> = registry): { readonly recipe: Recipe; readonly unmet: readonly Unmet[] }[] {
  return [...recipes.values()].map((recipe) => ({ recipe, unmet: unmetNeeds(recipe, team) }));
}
