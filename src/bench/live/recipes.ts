/** The recipes of a run as the command line names them: `cascade`, a member's id, or with knobs `cascade:threshold=0.9;test=margin`. */
import { fail } from '../../errors.ts';
import type { Runtime } from '../../tandem.ts';

/** A recipe or member under measurement. */
export interface Contender {
  /** As it was named; unique in a run. */
  readonly name: string;
  /** Model id that is asked. */
  readonly model: string;
  readonly knobs: Readonly<Record<string, unknown>>;
}

/** What a run measures unless told otherwise: those of these that the team can run. */
export const usualRecipes = ['small', 'large', 'route', 'cascade', 'speculate', 'auto'] as const;

/**
 * The contenders of a run.
 * @param names by commas; undefined: the usual ones that this team can run
 * @throws {TandemError} usage, recipe_unavailable, model_not_found
 */
export function contendersOf(names: string | undefined, runtime: Runtime): Contender[] {
  const served = new Set(runtime.models().map(({ id }) => id));
  if (names === undefined) {
    const able = usualRecipes.filter((id) => served.has(`tandem/${id}`)).map((id) => ({ name: id, model: `tandem/${id}`, knobs: {} }));
    return able.length > 0 ? able : fail('recipe_unavailable', 'This team runs none of the usual recipes; name some with --recipes (`tandem recipes` lists them).');
  }
  const contenders = names.split(',').map((each) => each.trim()).filter((each) => each !== '').map((each) => contenderOf(each, served, runtime));
  if (contenders.length === 0) fail('usage', '--recipes names none.');
  if (new Set(contenders.map(({ name }) => name)).size < contenders.length) fail('usage', '--recipes names one twice.');
  return contenders;
}

function contenderOf(name: string, served: ReadonlySet<string>, runtime: Runtime): Contender {
  const [id = '', knobs = ''] = [name.split(':', 1)[0]?.replace(/^tandem\//, ''), name.includes(':') ? name.slice(name.indexOf(':') + 1) : ''];
  if (runtime.recipes.has(id) && !served.has(`tandem/${id}`) && knobs === '') fail('recipe_unavailable', `This team cannot run the recipe "${id}"; \`tandem recipes ${id}\` says why.`);
  const model = runtime.recipes.has(id) ? `tandem/${id}` : served.has(id) ? id : fail('model_not_found', `There is no recipe or member "${id}". There are: ${[...served].map((each) => each.replace(/^tandem\//, '')).join(', ')}.`);
  return { name, model, knobs: Object.fromEntries(knobs.split(';').filter((each) => each !== '').map(knobOf)) };
}

function knobOf(text: string): [string, unknown] {
  const at = text.indexOf('=');
  if (at < 1) return fail('usage', `In --recipes a knob is written name=value, several are parted by ";"; there is "${text.slice(0, 40)}".`);
  const value = text.slice(at + 1);
  try {
    return [text.slice(0, at), JSON.parse(value) as unknown];
  } catch {
    return [text.slice(0, at), value];
  }
}
