/** From the model id that was asked for to the one that answers: aliases, the default, and whether it exists at all. */
import type { Config, ConfigMistake } from '../config.ts';
import { fail } from '../errors.ts';
import { embedModelId } from '../models/team.ts';

export { embedModelId } from '../models/team.ts';

/** Aliases may lead to aliases, this often. */
const stepsMax = 8;

/** Resolves model ids. */
export class ModelNames {
  readonly #known: ReadonlySet<string>;
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #defaultModel: string;

  /** @param members ids of the members @param recipes ids of the recipes */
  constructor(config: Pick<Config, 'aliases' | 'defaultModel'>, members: Iterable<string>, recipes: Iterable<string>) {
    this.#known = new Set([...Array.from(recipes, (id) => `tandem/${id}`), embedModelId, ...members]);
    this.#aliases = new Map(Object.entries(config.aliases));
    this.#defaultModel = config.defaultModel;
  }

  /** Where the configuration names a model that does not exist: an alias, the default, the models of a key. */
  mistakes(keys: readonly { readonly models?: readonly string[] | undefined }[]): ConfigMistake[] {
    const named = [
      ...Array.from(this.#aliases, ([asked, named]) => ({ path: `aliases.${asked}`, asked, named })),
      { path: 'defaultModel', asked: this.#defaultModel, named: this.#defaultModel },
      ...keys.flatMap(({ models = [] }, key) => models.map((asked, index) => ({ path: `gateway.keys[${key}].models[${index}]`, asked, named: asked }))),
    ];
    const taken = Array.from(this.#aliases.keys()).filter((alias) => this.#known.has(alias));
    return [
      ...taken.map((alias) => ({ path: `aliases.${alias}`, expected: 'an id of its own', got: 'that of a recipe or member' })),
      ...named
        .filter(({ asked }) => this.#find(asked) === undefined)
        .map(({ path, named }) => ({ path, expected: 'the id of a recipe or member', got: this.#aliases.has(named) ? 'an alias that leads to none' : 'one that does not exist' })),
    ];
  }

  /** Where the configuration names a model, the default and the aliases, and the id that answers there; those that lead to none are left out. */
  leads(): { readonly path: string; readonly model: string }[] {
    const named = [{ path: 'defaultModel', asked: this.#defaultModel }, ...Array.from(this.#aliases.keys(), (asked) => ({ path: `aliases.${asked}`, asked }))];
    return named.flatMap(({ path, asked }) => {
      const model = this.#find(asked);
      return model === undefined ? [] : [{ path, model }];
    });
  }

  /** The id that answers. @param asked empty for the default @throws {TandemError} model_not_found */
  resolve(asked: string): string {
    const found = this.#find(asked === '' ? this.#defaultModel : asked);
    return found ?? fail('model_not_found', { message: 'No recipe or member of this gateway has the model id that was asked for.', param: 'model' });
  }

  /** Whether an id is that of a recipe, a member or an alias, or empty. */
  knows(id: string): boolean {
    return this.#known.has(id) || this.#aliases.has(id) || id === '';
  }

  #find(asked: string): string | undefined {
    if (this.#known.has(asked)) return asked;
    let id = asked;
    for (let step = 0; step < stepsMax; step++) {
      const next = this.#aliases.get(id);
      if (next === undefined) return undefined;
      if (this.#known.has(next)) return next;
      id = next;
    }
    return undefined;
  }
}
