/**
 * Failover: members in order; the next one answers when one fails. While nothing was streamed the next one starts over;
 * afterwards it continues the text that was already sent, if it can. Members that failed repeatedly are tried last until
 * they have cooled down.
 *
 * It never crosses a protection: every call is made by `ask` on the team that the policy left, a cloud member gets the
 * masked text, and half-written words of an own member are not handed to it.
 */
import { z } from 'zod';
import { fail, TandemError } from '../errors.ts';
import type { Part, Sampling, Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import { ask } from './ask.ts';
import { memberOrder } from './knobs.ts';
import { mayMoveOn, membersIn } from './member-order.ts';
import type { Recipe, RecipeContext } from './recipe.ts';
import { continuing, endsPlainly } from './view.ts';

const knobs = z.strictObject({
  order: memberOrder('large', 'small'),
  handover: z.boolean().default(true).describe('Let the next member continue a text that was partly sent when its writer failed.'),
  failuresMax: z.number().int().min(1).max(1000).default(3).describe('Failures in a row, 1 to 1000, after which a member is tried last.'),
  cooldownMs: z.number().int().min(0).max(86_400_000).default(30_000).describe('Time until such a member gets one trial call. Milliseconds, 0 to 86400000.'),
});

type Knobs = z.infer<typeof knobs>;

/** What was already sent to the reader. */
interface Sent {
  text: string;
  tokens: number;
  writer: AnyMember | undefined;
  /** Something was sent that no other member can continue: a tool call, reasoning. */
  sealed: boolean;
}

/** `tandem/failover`. */
export const failover: Recipe<Knobs> = {
  id: 'failover',
  summary: 'Members answer in order of preference; when one fails, the next takes over, also in the middle of an answer.',
  sources: [{ title: 'Release It! (circuit breakers)', ref: 'ISBN 978-0978739218' }],
  rows: [255],
  primitives: ['P14'],
  needs: [],
  knobs,
  carries: { tools: true, formats: true, logprobs: true, attachments: true },
  run,
};

async function* run(prompt: Veiled, context: RecipeContext<Knobs>): AsyncGenerator<Part> {
  const members = healthyFirst(membersIn(context.knobs.order, context.team), context);
  const sent: Sent = { text: '', tokens: 0, writer: undefined, sealed: false };
  let failure: TandemError | undefined;
  for (const [index, member] of members.entries()) {
    const refused = failure === undefined ? undefined : cannotTakeOver(member, sent, context);
    if (failure !== undefined) context.span.decide('failover.next', refused === undefined ? member.id : `not ${member.id}`, refused ?? 'The member before it failed.', { failure: failure.code, sentCharacters: sent.text.length });
    if (refused !== undefined) continue;
    try {
      const begun = sent.text !== '';
      const replaceable = index < members.length - 1;
      for await (const part of ask(context, member, begun ? continuing(prompt, sent.text, prompt.veil) : prompt, begun ? { replaceable, sampling: remaining(context.sampling, sent.tokens) } : { replaceable })) {
        note(sent, part, member);
        yield part;
      }
      return;
    } catch (error) {
      failure = TandemError.from(error);
      if (!mayMoveOn(failure)) throw failure;
    }
  }
  throw failure ?? fail('recipe_unavailable', 'No member of the team is in the knob `order`, or none of those that are may answer this request.');
}

function healthyFirst(members: readonly AnyMember[], { breakers, knobs: limits, span }: RecipeContext<Knobs>): AnyMember[] {
  const failed = members.filter((member) => breakers.failures(member.id) >= limits.failuresMax);
  if (failed.length === 0) return [...members];
  const last = new Set(failed.filter((member) => !breakers.admits(member.id, limits)));
  if (last.size > 0) span.decide('failover.order', 'put last', 'Their breakers are open.', { members: [...last].map(({ id }) => id).join(' ') });
  return [...members.filter((member) => !last.has(member)), ...last];
}

function cannotTakeOver(member: AnyMember, sent: Sent, { knobs: { handover }, sampling }: RecipeContext<Knobs>): string | undefined {
  if (sent.sealed) return 'What was sent cannot be continued by another member.';
  if (sent.text === '') return undefined;
  if (!handover) return 'Part of the answer was sent, and the knob handover is off.';
  if (!member.model.abilities.continuesPrefix) return 'Part of the answer was sent, and it cannot continue a prefix.';
  if ((sampling.format?.type ?? 'text') !== 'text') return 'Part of a structured answer was sent.';
  if (member.model.place === 'cloud' && sent.writer?.model.place !== 'cloud' && !endsPlainly(sent.text)) return 'The text ends inside a word, where a private value could not be recognised.';
  return undefined;
}

function note(sent: Sent, part: Part, member: AnyMember): void {
  if (part.type === 'text') {
    sent.text += part.delta;
    sent.tokens += part.tokens?.length ?? part.delta.length / 4;
    sent.writer = member;
  } else if (part.type !== 'finish') sent.sealed = true;
}

function remaining(sampling: Sampling, tokens: number): Sampling {
  return sampling.tokensMax === undefined ? sampling : { ...sampling, tokensMax: Math.max(1, sampling.tokensMax - Math.round(tokens)) };
}
