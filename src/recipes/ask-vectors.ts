/** The way in which a member is asked for vectors: the view that it may read, within the budget, in the books, as `ask` does for text. */
import { fail } from '../errors.ts';
import type { Call, Embedded, ModelPart } from '../models/port.ts';
import type { AnyMember } from '../models/team.ts';
import type { View } from './ask.ts';
import { CallStream, type CallContext } from './call.ts';

/**
 * Asks a member for the vectors of a view's messages, one each.
 * @param dimensions how many to keep; default all
 * @throws {TandemError} what the model throws, with the member's id; ability_missing; budget_exhausted; cost_unknown; deadline_exceeded; cancelled
 */
export async function askVectors(context: CallContext, member: AnyMember, view: View, dimensions: number | undefined): Promise<Embedded> {
  const { model } = member;
  const readable = model.place === 'cloud' ? view.masked : view.raw;
  let embedded: Embedded | undefined;
  const stream = new CallStream(context, {
    member,
    sampling: context.sampling,
    signal: context.signal,
    purpose: undefined,
    inPieces: false,
    replaceable: false,
    promptTokens: () => context.budget.promptTokens(member, readable, {}),
    reserve: () => context.budget.reserve(member, readable, context.sampling),
    async *start(_, call): AsyncGenerator<ModelPart> {
      embedded = await embed(member, view, dimensions, call);
      const { bytesUp = 0, bytesDown = 0 } = call.traffic ?? {};
      yield { type: 'finish', reason: 'stop', usage: embedded.usage, bytesUp, bytesDown };
    },
  });
  await stream.next();
  return embedded ?? fail('internal', 'A call for vectors ended without any.');
}

async function embed({ id, model }: AnyMember, { raw, masked }: View, dimensions: number | undefined, call: Call): Promise<Embedded> {
  const size = dimensions === undefined ? {} : { dimensions };
  if (model.embed === undefined) fail('ability_missing', { message: `Member ${id} does not offer vectors (level Emb).`, member: id });
  return model.place === 'cloud' ? model.embed({ texts: masked.messages.map(({ content }) => content), ...size }, call) : model.embed({ texts: raw.messages.map(({ content }) => content), ...size }, call);
}
