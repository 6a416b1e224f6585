/**
 * The recipe contract: one way in which members collaborate on one request.
 *
 * A recipe declares what it needs of each role; a team that cannot give it is refused when the configuration loads. It
 * is an async generator of answer parts. It sees both views of the prompt but no vault: it can never undo a mask, and the
 * types keep raw text from cloud members. Calls go through `ask` (`recipes/ask.ts`), which traces and prices them.
 */
import type { z } from 'zod';
import type { TandemError } from '../errors.ts';
import type { Part, Policy, Sampling, Veiled } from '../exchange.ts';
import type { Level } from '../models/port.ts';
import { offers, type AnyMember, type Team } from '../models/team.ts';
import type { Clock } from '../system/clock.ts';
import type { Random } from '../system/random.ts';
import type { Meter } from '../trace/meter.ts';
import type { Span, Trace } from '../trace/trace.ts';
import type { Breakers } from './breakers.ts';
import type { Budget } from './budget.ts';
import type { Live } from './live.ts';
import type { Tally } from './tally.ts';

/** What a recipe needs of the members in one role. */
export interface Need {
  /** The role, such as `small`. */
  readonly role: string;
  /** Levels that each of them must offer. */
  readonly levels: readonly Level[];
  /** How many members at least; default 1; 0 means optional. */
  readonly membersMin?: number;
  /** The member must share its vocabulary and its host with the member in this role. */
  readonly pairedWith?: string;
}

/** Where a recipe comes from. */
export interface Source {
  readonly title: string;
  /** arXiv id, DOI or URL. */
  readonly ref: string;
}

/**
 * What surrounds one run of a recipe. A run writes one answer; when the request asks for several, the kitchen runs the
 * recipe that many times at once, each with its own seed.
 */
export interface RecipeContext<K> {
  /** Only members that the policy allows and that can carry what the request asks for. */
  readonly team: Team;
  readonly knobs: K;
  readonly policy: Policy;
  /** Settings of this answer. */
  readonly sampling: Sampling;
  /** Used by `ask`: masks the texts of the settings before a cloud member gets them. */
  readonly veil: Veiled['veil'];
  /** Nobody reads the answer before it is finished. `ask` tells the member, unless a recipe acts on the parts as they come. */
  readonly whole: boolean;
  /** Index of the answer that this run writes. `ask` puts it into the parts. */
  readonly answer: number;
  readonly trace: Trace;
  /** The recipe's own span. */
  readonly span: Span;
  /** Aborted when the client goes away, the time is up, or the run has ended. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Seeded when the request has a seed. */
  readonly random: Random;
  /** Used by `ask`: dollars and joules of a call. */
  readonly meter: Meter;
  /** Used by `ask`: what this run may still spend. */
  readonly budget: Budget;
  /** Which members have failed lately, in this process. */
  readonly breakers: Breakers;
  /** What this process sees of its members at this moment: calls under way, recent times and failures, the battery. */
  readonly live: Live;
  /** Used by `ask`: what each member wrote in this run. */
  readonly tally: Tally;
  /** Used by `ask`: another member takes over from whoever fails, so nobody is waited for long. Default false. */
  readonly replaceable?: boolean;
  /**
   * Runs another recipe of the registry in this context (used by `auto`). Fails at once, before anything is asked, when
   * that recipe cannot run. `team`: use only these of the context's members. `knobs`: others than the configured ones.
   * @throws {TandemError} recipe_unavailable, policy_violated, parameter_unsupported, knob_invalid
   */
  readonly delegate: (recipe: string, team?: Team, knobs?: Readonly<Record<string, unknown>>) => AsyncIterable<Part>;
  /** Why `delegate` would fail; undefined when it would not. Starts nothing. */
  readonly unfit: (recipe: string, team?: Team, knobs?: Readonly<Record<string, unknown>>) => TandemError | undefined;
}

/** Request features that not every recipe can carry. */
export interface Carries {
  /** Tool calls. */
  readonly tools: boolean;
  /** JSON, JSON Schema and grammars. */
  readonly formats: boolean;
  /** Log-probabilities of the answer's tokens. */
  readonly logprobs: boolean;
  /** Pictures, sound and files. */
  readonly attachments: boolean;
  /** Sampling fields that it honours. Absent: whatever its members honour. */
  readonly sampling?: readonly (keyof Sampling)[];
}

/** One way of collaborating. */
export interface Recipe<K = unknown> {
  /** `tandem/<id>` is its model id. Kebab case. */
  readonly id: string;
  /** What it does, one sentence. */
  readonly summary: string;
  readonly sources: readonly Source[];
  /** Rows of systems.md that it covers, each by a test that names the row. */
  readonly rows: readonly number[];
  /** Primitives that it is made of, P01 to P21. */
  readonly primitives: readonly string[];
  /** What it needs with its default knobs. */
  readonly needs: readonly Need[];
  /** What it needs with other knobs, where that differs. */
  needsWith?(knobs: K): readonly Need[];
  /** Its knobs: every field has a default and a description with unit and range. */
  readonly knobs: z.ZodType<K>;
  /** Which request features it can carry; a request that uses another one is refused by name. */
  readonly carries: Carries;
  /** Writes one answer. Ends with exactly one `finish` part, or throws. Nothing is asked before the first part is. */
  run(prompt: Veiled, context: RecipeContext<K>): AsyncIterable<Part>;
}

/** A need that a team does not meet. */
export interface Unmet {
  readonly need: Need;
  /** One sentence: what was expected and what the team has. */
  readonly reason: string;
}

/** The needs of a recipe that a team does not meet; empty when it can run. */
export function unmetNeeds(recipe: Pick<Recipe, 'needs'>, team: Team): Unmet[] {
  return recipe.needs.flatMap((need) => {
    const wanted = need.membersMin ?? 1;
    const present = team.inRole(need.role);
    const able = present.filter((member) => need.levels.every((level) => offers(member, level)));
    if (able.length < wanted) {
      return [{ need, reason: `needs ${wanted} member(s) in the role "${need.role}" at ${need.levels.join('+') || 'any level'}; the team has ${able.length} such of ${present.length}` }];
    }
    if (need.pairedWith !== undefined && able[0] !== undefined) {
      const other = team.inRole(need.pairedWith)[0];
      if (other !== undefined && !paired(able[0], other)) {
        return [{ need, reason: `"${need.role}" (${able[0].id}) must share vocabulary and engine with "${need.pairedWith}" (${other.id})` }];
      }
    }
    return [];
  });
}

/** Whether two members share their vocabulary and can work in one token program. */
export function paired(a: AnyMember, b: AnyMember): boolean {
  return a.model.host !== undefined && a.model.host === b.model.host && a.model.abilities.vocabulary !== undefined && a.model.abilities.vocabulary === b.model.abilities.vocabulary;
}
