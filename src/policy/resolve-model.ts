/** From the model id that was asked for to the one that answers: aliases, the default, and whether it exists at all. */
import type { Config, ConfigMistake } from '../config.ts';
import { fail } from '../errors.ts';

/** The id under which every deployment gives vectors: the team's member for them, else the bundled table. */
export const embedModelId = 'tandem/embed';

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
    return named
      .filter(({ asked }) => this.#find(asked) === undefined)
      .map(({ path, named }) => ({ path, expected: 'the id of a recipe or member', got: this.#aliases.has(named) ? 'an alias that leads to none' : 'one that does not exist' }));
  }

  /** The id that answers. @param asked empty for the default @throws {TandemError} model_not_found */
  resolve(asked: string): string {
    const found = this.#find(asked === '' ? this.#defaultModel : asked);
    return found ?? fail('model_not_found', { message: 'No recipe or member of this gateway has the model id that was asked for.', param: 'model' });
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
