/**
 * The checks of `tandem doctor` on what the configuration says about recipes, models, files and threads: what `tandem serve`
 * would refuse, each on its own, so that all of it is named at once.
 */
import { availableParallelism } from 'node:os';
import type { Config, ConfigInput } from '../config.ts';
import { TandemError } from '../errors.ts';
import type { Team } from '../models/team.ts';
import { KeyRing } from '../policy/keys.ts';
import { ModelNames } from '../policy/resolve-model.ts';
import { cascadeWith } from '../recipes/cascade.ts';
import { registry } from '../recipes/index.ts';
import { defaultKnobs } from '../recipes/kitchen.ts';
import { cannotRun, cannotRunNamed } from '../recipes/named.ts';
import { unmetNeeds, type Recipe } from '../recipes/recipe.ts';
import { routeWith } from '../recipes/route.ts';
import { openCascades } from '../recipes/trained-cascades.ts';
import { openRouters } from '../recipes/trained-routers.ts';
import { createTandem } from '../tandem.ts';
import type { Finding } from './checks.ts';
import { memoryStore } from './open-runtime.ts';
import { servingThreads } from './serve/serving.ts';

/** A configuration, where it stands, and the members that could be opened. */
export interface Setup {
  readonly input: ConfigInput;
  readonly config: Config;
  readonly baseDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly team: Team;
}

/** Everything but `togetherCheck`. */
export async function setupChecks({ config, baseDir, env, team }: Setup): Promise<readonly Finding[]> {
  const routers = await opened('routers', config.routers, (one) => openRouters(one, baseDir));
  const cascades = await opened('cascades', config.cascades, (one) => openCascades(one, baseDir));
  const recipes = new Map<string, Recipe>([...registry, ['route', routeWith(routers.files) as Recipe], ['cascade', cascadeWith(cascades.files) as Recipe]]);
  return [runnable(recipes, team), ...routers.findings, ...cascades.findings, ...knobFindings(config, recipes), ...nameFindings(config, recipes), ...teamFindings(config, recipes, team), ...keyFindings(config, env), ...threadFindings(config, env)];
}

/**
 * Whether all of it works together: built as `tandem serve` builds it, on the members that are open. It closes them.
 * What it finds is what no other check found, so it is asked when these found nothing.
 */
export async function togetherCheck({ input, baseDir, env, team }: Setup): Promise<readonly Finding[]> {
  const store = await memoryStore();
  try {
    const runtime = await createTandem(input, { baseDir, env, team, store });
    await runtime.close();
    return [];
  } catch (thrown) {
    await Promise.allSettled([team.close(), store.close()]);
    return [wrong('set-up', thrown)];
  }
}

function wrong(check: string, thrown: unknown): Finding {
  const { message, code, remedy } = TandemError.from(thrown);
  return { check, state: 'wrong', message, code, remedy };
}

/** The files that open, and what is wrong with the others. */
async function opened<T>(path: string, files: Readonly<Record<string, string>>, open: (one: Readonly<Record<string, string>>) => Promise<ReadonlyMap<string, T>>): Promise<{ readonly files: ReadonlyMap<string, T>; readonly findings: readonly Finding[] }> {
  const all = new Map<string, T>();
  const findings: Finding[] = [];
  for (const [name, file] of Object.entries(files)) {
    try {
      for (const [, one] of await open({ [name]: file })) all.set(name, one);
    } catch (thrown) {
      findings.push(wrong(`${path}.${name}`, thrown));
    }
  }
  return { files: all, findings };
}

function runnable(recipes: ReadonlyMap<string, Recipe>, team: Team): Finding {
  const able = [...recipes.values()].filter((recipe) => unmetNeeds(recipe, team).length === 0).map(({ id }) => id);
  return able.length === 0
    ? { check: 'recipes', state: 'wrong', message: 'The team can run none of the recipes.', code: 'recipe_unavailable', remedy: 'See `tandem recipes` for what each needs.' }
    : { check: 'recipes', state: 'ok', message: able.join(', ') };
}

function knobFindings(config: Config, recipes: ReadonlyMap<string, Recipe>): Finding[] {
  return Object.entries(config.recipes).flatMap(([id, knobs]): Finding[] => {
    const recipe = recipes.get(id);
    const remedy = recipe === undefined ? '`tandem recipes` lists the recipes.' : `\`tandem recipes ${id}\` lists its knobs.`;
    if (recipe === undefined) return [{ check: 'recipes', state: 'wrong', message: `recipes.${id}: there is no such recipe.`, code: 'config_invalid', remedy }];
    try {
      defaultKnobs(recipe, knobs);
      return [];
    } catch (thrown) {
      return [{ ...wrong('recipes', thrown), remedy }];
    }
  });
}

function nameFindings(config: Config, recipes: ReadonlyMap<string, Recipe>): Finding[] {
  const mistakes = new ModelNames(config, Object.keys(config.members), recipes.keys()).mistakes(config.gateway.keys);
  const remedy = '`tandem recipes` lists the recipes, `tandem models` the members.';
  return mistakes.map((mistake) => ({ check: 'recipes', state: 'wrong', message: `${mistake.path}: expected ${mistake.expected}, got ${mistake.got}.`, code: 'config_invalid', remedy, mistake }));
}

/** Recipes that are named and that the team cannot run. A member that could not be opened is at fault itself, so nothing is said then. */
function teamFindings(config: Config, recipes: ReadonlyMap<string, Recipe>, team: Team): Finding[] {
  const members = Object.keys(config.members);
  if (members.some((id) => team.get(id) === undefined)) return [];
  const refused = cannotRunNamed(new ModelNames(config, members, recipes.keys()).leads(), recipes, team, config.recipes);
  // Knobs may be shared between teams, so those of a recipe that this one cannot run are no mistake.
  const idle = Object.keys(config.recipes).flatMap((id) => {
    const recipe = recipes.get(id);
    const why = recipe === undefined ? undefined : cannotRun(recipe, team, config.recipes);
    return why === undefined ? [] : [`recipes.${id}: "${id}" ${why}.`];
  });
  const remedy = '`tandem recipes` says what each recipe needs and which of them this team can run.';
  return [
    ...refused.map((mistake): Finding => ({ check: 'recipes', state: 'wrong', message: `${mistake.path}: expected ${mistake.expected}, got ${mistake.got}.`, code: 'config_invalid', remedy, mistake })),
    ...idle.map((message): Finding => ({ check: 'recipes', state: 'note', message, remedy })),
  ];
}

/** Keys that are equal; `environmentCheck` names those that are not there. */
function keyFindings({ gateway: { keys } }: Config, env: Setup['env']): Finding[] {
  if (keys.some(({ keyEnv }) => keyEnv !== undefined && (env[keyEnv] ?? '') === '')) return [];
  try {
    new KeyRing(keys, env);
    return [];
  } catch (thrown) {
    return [wrong('keys', thrown)];
  }
}

function threadFindings(config: Config, env: Setup['env']): Finding[] {
  const threads = servingThreads(config, availableParallelism(), env);
  return typeof threads === 'number' ? [] : [{ check: 'threads', state: 'wrong', message: `gateway.threads: ${threads.refused}.`, code: 'config_invalid', remedy: 'Set gateway.threads to 1 or "auto".' }];
}
