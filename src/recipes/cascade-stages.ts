/**
 * A task in stages under one budget (row 153; `assign/cascade/stages.ts`): each stage is told its instruction and what earlier ones
 * found, and is done by the member and the number of samples that make the stages still to come most likely to succeed together
 * within what is left. What a stage really cost is known before the next one is planned, so that what one saves the others may spend.
 *
 * The budget is one of expected cost: a stage may cost more than its mean. The hard limit of a request (`limits.costUsdMax`) holds
 * for every call besides. When what is left pays for no way, the cheapest ways stand in.
 *
 * Faults. A way that fails is left out and the rest is planned anew; members that the policy forbids are not in the team.
 */
import { allocate, type Stage, type StagesFile } from '../assign/cascade/stages.ts';
import { fail, TandemError } from '../errors.ts';
import type { Part, Prompt, Veiled } from '../exchange.ts';
import type { AnyMember, Team } from '../models/team.ts';
import { attempt, type AcceptanceKnobs } from './acceptance.ts';
import { ask, askWhole, replay, type View, type Whole } from './ask.ts';
import { memberOf } from './cascade-plan.ts';
import { mayMoveOn } from './member-order.ts';
import type { RecipeContext } from './recipe.ts';
import { adding, takesAddition } from './view.ts';

/** Knobs of this part. */
export interface StagesKnobs extends AcceptanceKnobs {
  /** What all stages together may cost, in the unit of the file; undefined: no limit. */
  readonly budget?: number | undefined;
}

type Context = RecipeContext<StagesKnobs>;
type StageWay = Stage['ways'][number];

interface Assigned {
  readonly way: StageWay;
  readonly member: AnyMember;
}

interface Planned extends Assigned {
  /** Whether another member can do the stage, so that this one is not waited for when its server asks for patience. */
  readonly replaceable: boolean;
}

/** Runs the stages; the answer is that of the last one. @throws {TandemError} recipe_unavailable: the team has no member for some stage; parameter_unsupported; as `ask` */
export async function* runStages(prompt: Veiled, context: Context, file: StagesFile): AsyncGenerator<Part> {
  if (!takesAddition(prompt)) fail('parameter_unsupported', { message: 'A task in stages needs messages that end with one of the user.', param: 'messages' });
  const left = leftOf(context, file);
  const found: string[] = [];
  for (const [index, stage] of file.stages.entries()) {
    const told = [...found.map((each, i) => `${file.stages[i]?.name}:\n${each}`), stage.instruction].join('\n\n');
    const view = adding(prompt, told, context.veil);
    const failed = new Set<StageWay>();
    let failure: TandemError | undefined;
    for (let done = false; !done; ) {
      const { way, member, replaceable } = planned(context, file, index, left(), failed, failure);
      const asking = { ...context, replaceable };
      let begun = false;
      try {
        if (index < file.stages.length - 1) found.push((await result({ ...prompt, ...plain(view) }, withoutForm(asking), way, member, stage.name)).text.trim());
        else {
          for await (const part of way.samples === 1 ? ask(asking, member, view) : agreed({ ...prompt, ...view }, asking, way, member)) {
            begun = true;
            yield part;
          }
        }
        done = true;
      } catch (thrown) {
        failure = TandemError.from(thrown);
        if (begun || !mayMoveOn(failure)) throw failure;
        failed.add(way);
      }
    }
  }
}

/** What is left of the budget, in the unit of the file. */
function leftOf({ knobs: { budget: total = Infinity }, budget, clock }: Context, { unit }: StagesFile): () => number {
  const [startUsd, startMs] = [budget.spentUsd, clock.monotonicMs()];
  return () => (unit === 'usd' ? Math.min(total - (budget.spentUsd - startUsd), budget.leftUsd) : total - (clock.monotonicMs() - startMs));
}

/** The way of the next stage in the best plan for all that are left. */
function planned({ team, span }: Context, { stages, unit, date }: StagesFile, index: number, left: number, failed: ReadonlySet<StageWay>, failure: TandemError | undefined): Planned {
  const ahead = stages.slice(index).map(({ ways }) => usable(ways, team, failed));
  const without = ahead.findIndex((ways) => ways.length === 0);
  if (without >= 0) throw failure ?? new TandemError('recipe_unavailable', { message: `The team has none of the members that do the stage "${stages[index + without]?.name}".` });
  const best = allocate(ahead, left);
  const { way, member } = (best === undefined ? cheapest(ahead[0] ?? []) : ahead[0]?.[best.ways[0] ?? 0]) as Assigned;
  const because = best === undefined ? 'What is left of the budget pays for no way; the cheapest stands in.' : 'With it, what is left of the task is most likely to succeed within what is left of the budget.';
  span.decide('cascade.stage', way.samples > 1 ? `${member.id} x ${way.samples}` : member.id, because, {
    stage: stages[index]?.name ?? '', stages: stages.length, unit, left, measured: date, rows: stages[index]?.rows ?? 0,
    ...(best === undefined ? {} : { expectedQuality: best.quality, expectedCost: best.cost }),
    ...(failure === undefined ? {} : { failure: failure.code }),
  });
  return { way, member, replaceable: ahead[0]?.some((other) => other.member !== member) ?? false };
}

type UsableWay = Assigned & { readonly quality: number; readonly cost: number };

function usable(ways: readonly StageWay[], team: Team, failed: ReadonlySet<StageWay>): UsableWay[] {
  return ways.flatMap((way) => {
    const member = memberOf(team, way.member);
    return member === undefined || failed.has(way) ? [] : [{ way, member, quality: way.quality, cost: way.cost }];
  });
}

function cheapest(ways: readonly UsableWay[]): UsableWay | undefined {
  return [...ways].sort((a, b) => a.cost - b.cost || b.quality - a.quality)[0];
}

/** The result of a stage: the only answer, or the one that most samples agree with. */
async function result(prompt: Veiled, context: Context, { samples }: StageWay, member: AnyMember, stage: string): Promise<Whole> {
  if (samples === 1) return askWhole(context, member, prompt, { purpose: `stage ${stage}` });
  const { chosen } = await attempt({ ...context, knobs: { ...context.knobs, test: 'self-consistency', samples, threshold: 0, priorWeight: 0 } }, [member], prompt, 0);
  return chosen?.complete === true ? chosen : fail('answer_unusable', 'No sample of the stage came to an end.');
}

async function* agreed(prompt: Veiled, context: Context, way: StageWay, member: AnyMember): AsyncGenerator<Part> {
  yield* replay(await result(prompt, context, way, member, ''), context.sampling.topLogprobs);
}

/** Stages before the last write text: what the answer must look like, and its tools, are the last one's. */
function withoutForm(context: Context): Context {
  const { format: _, stop: __, topLogprobs: ___, ...sampling } = context.sampling;
  return { ...context, sampling };
}

function plain({ raw, masked }: View): View {
  return { raw: untooled(raw), masked: untooled(masked) };
}

function untooled<T extends string>({ tools: _, toolChoice: __, parallelToolCalls: ___, ...prompt }: Prompt<T>): Prompt<T> {
  return prompt;
}
