/**
 * Members and the team: a model in a role, with its price, energy profile and limits.
 *
 * Recipes ask for members by role. A role that several members fill (say, three `small` ones for a consensus) gives
 * them all, in the order of the configuration.
 */
import type { Place } from '../exchange.ts';
import { fail } from '../errors.ts';
import type { Level, Model } from './port.ts';

/** The id under which every deployment gives vectors: the team's member for them, else the bundled table. */
export const embedModelId = 'tandem/embed';

/** Dollars a million tokens, and since when the price holds. */
export interface Price {
  readonly inputUsdPerMillionTokens: number;
  readonly cachedInputUsdPerMillionTokens?: number;
  readonly outputUsdPerMillionTokens: number;
  /** Date on which the price was read, YYYY-MM-DD. */
  readonly asOf: string;
}

/** Energy that a member is taken to use where none can be measured. */
export interface EnergyProfile {
  readonly joulePerInputToken: number;
  readonly joulePerOutputToken: number;
  /** Where the figures come from, one sentence. */
  readonly source: string;
}

/** A model in a role. */
export interface Member<P extends Place = Place> {
  /** The same as `model.id`. */
  readonly id: string;
  /** Roles it fills: `small`, `large`, `draft`, `guard`, `embed`, `judge` or a name of your own. */
  readonly roles: readonly string[];
  readonly model: Model<P>;
  /** Name under which its maker lists it, such as `gpt-4.1-mini`, for traces and the built-in prices; the file's, where it has one. Default: the id. */
  readonly modelName?: string;
  /** Absent: not known in the cloud, free on own machines. Whoever builds a member in code finds list prices with `listPriceOf`. */
  readonly price?: Price;
  readonly energy?: EnergyProfile;
  /** Prompt tokens that one picture, sound or file comes to at most. Absent: a bound for pictures, none for others (`recipes/prompt-size.ts`). */
  readonly attachmentTokensMax?: number;
}

/** A member whose place is known only at run time. The union lets `member.model.place` narrow it. */
export type AnyMember = Member<'device'> | Member<'edge'> | Member<'cloud'>;

/** The members of a deployment. */
export class Team {
  readonly members: readonly AnyMember[];
  readonly #byId: ReadonlyMap<string, AnyMember>;

  /** @throws {TandemError} config_invalid when two members share an id */
  constructor(members: readonly AnyMember[]) {
    this.members = members;
    this.#byId = new Map(members.map((member) => [member.id, member]));
    if (this.#byId.size !== members.length) fail('config_invalid', 'Two members have the same id.');
  }

  /** The member with this id. */
  get(id: string): AnyMember | undefined {
    return this.#byId.get(id);
  }

  /** All members in a role, in the order of the configuration. */
  inRole(role: string): readonly AnyMember[] {
    return this.members.filter((member) => member.roles.includes(role));
  }

  /** The first member in a role. @throws {TandemError} recipe_unavailable */
  first(role: string): AnyMember {
    return this.inRole(role)[0] ?? fail('recipe_unavailable', `The team has no member in the role "${role}".`);
  }

  /** The team without the members that a policy forbids. */
  restrictedTo(allowed: (member: AnyMember) => boolean): Team {
    const kept = this.members.filter(allowed);
    return kept.length === this.members.length ? this : new Team(kept);
  }

  /** Closes every model; waits for all of them. */
  async close(): Promise<void> {
    await Promise.allSettled(this.members.map((member) => member.model.close()));
  }
}

/** Whether a member's model offers a level. */
export function offers(member: AnyMember, level: Level): boolean {
  return member.model.abilities.levels.includes(level);
}
