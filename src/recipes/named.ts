/** Whether the recipes that a configuration names can run on its team, told when it starts and not by every request. */
import type { Config, ConfigMistake } from '../config.ts';
import type { Team } from '../models/team.ts';
import { unmetNeeds, type Recipe } from './recipe.ts';

/** Recipes by id. */
type Recipes = ReadonlyMap<string, Recipe>;

/**
 * Why a team cannot run a recipe with the knobs that the configuration gives it, one sentence part that begins with a verb;
 * undefined when it can, and when the knobs are wrong, which is told elsewhere (`defaultKnobs`).
 */
export function cannotRun(recipe: Recipe, team: Team, configured: Config['recipes']): string | undefined {
  const knobs = recipe.knobs.safeParse(configured[recipe.id] ?? {});
  if (!knobs.success) return undefined;
  const unmet = unmetNeeds({ needs: recipe.needsWith?.(knobs.data) ?? recipe.needs }, team);
  return unmet.length === 0 ? undefined : unmet.map(({ reason }) => reason).join('; and ');
}

/** Which model ids lead to recipes that the team cannot run. @param leads where the configuration names a model, and the id that it leads to */
export function cannotRunNamed(leads: readonly { readonly path: string; readonly model: string }[], recipes: Recipes, team: Team, configured: Config['recipes']): ConfigMistake[] {
  return leads.flatMap(({ path, model }) => {
    const recipe = model.startsWith('tandem/') ? recipes.get(model.slice('tandem/'.length)) : undefined;
    const why = recipe === undefined ? undefined : cannotRun(recipe, team, configured);
    if (why === undefined) return [];
    const able = [...recipes.values()].filter((other) => cannotRun(other, team, configured) === undefined).map(({ id }) => id);
    return [{ path, expected: `a member, or a recipe that this team can run (${able.join(', ') || 'none'})`, got: `"${model}", which ${why}` }];
  });
}
