/** From the model id that was asked for to the one that answers: aliases, the default, and whether it exists at all. */
import type { Config } from '../config.ts';
import { fail } from '../errors.ts';
import { embedModelId, type Team } from '../models/team.ts';

export { embedModelId } from '../models/team.ts';

/** Aliases may lead to aliases, this often. */
const stepsMax = 8;

/** Resolves model ids. @throws {TandemError} while built: config_invalid for an alias or default that leads nowhere, and for an alias that is an id already */
export class ModelNames {
  readonly #known: ReadonlySet<string>;
  readonly #aliases: ReadonlyMap<string, string>;
  readonly #defaultModel: string;

  constructor(config: Pick<Config, 'aliases' | 'defaultModel'>, team: Team, recipes: ReadonlySet<string>) {
    this.#known = new Set([...[...recipes].map((id) => `tandem/${id}`), embedModelId, ...team.members.map(({ id }) => id)]);
    this.#aliases = new Map(Object.entries(config.aliases));
    this.#defaultModel = config.defaultModel;
    for (const alias of this.#aliases.keys()) {
      if (this.#known.has(alias)) fail('config_invalid', { message: `aliases.${alias}: expected an id of its own, got that of a recipe or member.`, param: `aliases.${alias}` });
      if (this.#find(alias) === undefined) fail('config_invalid', { message: `aliases.${alias}: expected the id of a recipe or member, got one that does not exist.`, param: `aliases.${alias}` });
    }
    if (this.#find(this.#defaultModel) === undefined) fail('config_invalid', { message: 'defaultModel: expected the id of a recipe or member, got one that does not exist.', param: 'defaultModel' });
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
