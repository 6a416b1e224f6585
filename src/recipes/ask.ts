/**
 * The only way in which a recipe calls a member. `ask` chooses the view that the member may read (raw text for `device`
 * and `edge`, masked text for `cloud`; the types of the port enforce it), keeps the call within the budget, and records
 * it (`call.ts`). A recipe cannot reach a member that the policy forbids: the kitchen took it out of the team.
 */
import { fail } from '../errors.ts';
import { veilSampling, type EmittedToken, type FinishReason, type Part, type Sampling, type ToolCall, type Veiled } from '../exchange.ts';
import type { Call, ModelPart } from '../models/port.ts';
import type { AnyMember } from '../models/team.ts';
import { Aborter, offAbort, onAbort } from '../system/abort.ts';
import { CallStream, noLongerNeeded, type CallContext } from './call.ts';

/** Both views of a prompt. A recipe makes new ones with `view.ts`. */
export type View = Pick<Veiled, 'raw' | 'masked'>;

/** How a call differs from the run around it. */
export interface AskOptions {
  /** Settings that replace those of the answer. */
  readonly sampling?: Sampling;
  /** Stops this call alone; make it with `stoppable`. Default: the run's signal. */
  readonly signal?: AbortSignal;
  /** What the call is for, when its text is not the answer: `draft`, `verify`. Goes into the trace. */
  readonly purpose?: string;
  /** The recipe acts on the parts as they come, so the member must send them one by one. Default false. */
  readonly inPieces?: boolean;
  /** Another member takes over if this one fails, so it is not waited for when its server asks for patience. Default: as the context says. */
  readonly replaceable?: boolean;
}

/**
 * Asks a member. Nothing happens before the first part is read; leaving the loop stops the call.
 * @throws {TandemError} while read: what the model throws, with the member's id; budget_exhausted; deadline_exceeded; cancelled
 */
export function ask(context: CallContext, member: AnyMember, view: View, options: AskOptions = {}): CallStream {
  const { model } = member;
  if (context.team.get(member.id) !== member) fail('policy_violated', { message: `The policy does not allow "${member.id}".`, member: member.id });
  const sampling = options.sampling ?? context.sampling;
  return new CallStream(context, {
    member,
    sampling,
    signal: options.signal ?? context.signal,
    purpose: options.purpose,
    inPieces: options.inPieces === true,
    replaceable: options.replaceable ?? context.replaceable ?? false,
    promptTokens: () => context.budget.promptTokens(member, model.place === 'cloud' ? view.masked : view.raw, sampling),
    reserve: () => context.budget.reserve(member, model.place === 'cloud' ? view.masked : view.raw, sampling),
    start: (capped, call) => generate(context, member, view, capped, call),
  });
}

function generate({ veil }: CallContext, { model }: AnyMember, view: View, sampling: Sampling, call: Call): AsyncIterable<ModelPart> {
  return model.place === 'cloud' ? model.generate({ prompt: view.masked, sampling: veilSampling(sampling, veil) }, call) : model.generate({ prompt: view.raw, sampling }, call);
}

/** A whole answer. */
export interface Whole {
  readonly member: AnyMember;
  readonly text: string;
  /** Empty when the engine reports none. */
  readonly tokens: readonly EmittedToken[];
  readonly toolCalls: readonly ToolCall[];
  readonly reason: FinishReason;
  /** Whether its finish came; false when the reading was ended early. */
  readonly complete: boolean;
  /** As they came, so that the answer can be streamed after all. */
  readonly parts: readonly Part[];
}

/** Collects a stream of one answer. `watch` sees every part and ends the reading early by returning false. @throws {TandemError} as `ask` */
export async function collect(member: AnyMember, stream: AsyncIterable<Part>, watch?: (part: Part) => boolean): Promise<Whole> {
  const parts: Part[] = [];
  let text = '';
  const tokens: EmittedToken[] = [];
  const toolCalls: { id: string; name: string; arguments: string }[] = [];
  let reason: FinishReason | undefined;
  for await (const part of stream) {
    parts.push(part);
    if (part.type === 'text') {
      text += part.delta;
      if (part.tokens !== undefined) tokens.push(...part.tokens);
    } else if (part.type === 'tool-call') {
      const call = (toolCalls[part.call] ??= { id: '', name: '', arguments: '' });
      call.id ||= part.id ?? '';
      call.name ||= part.name ?? '';
      call.arguments += part.argumentsDelta;
    } else if (part.type === 'finish') reason = part.reason;
    if (watch?.(part) === false) break;
  }
  return { member, text, tokens, toolCalls, reason: reason ?? 'stop', complete: reason !== undefined, parts };
}

/** Asks a member and waits for the whole answer. @throws {TandemError} as `ask` */
export function askWhole(context: CallContext, member: AnyMember, view: View, options?: AskOptions): Promise<Whole> {
  return collect(member, ask(context, member, view, options));
}

/**
 * Asks a member several times at once, with a different seed each.
 * @param seeds one 32-bit integer a sample
 * @throws {TandemError} as `ask`; the other calls are stopped then
 */
export async function askMany(context: CallContext, member: AnyMember, view: View, seeds: readonly number[], options: AskOptions = {}): Promise<Whole[]> {
  const together = stoppable(options.signal ?? context.signal);
  try {
    const sampling = options.sampling ?? context.sampling;
    const seeded = member.model.abilities.sampling.includes('seed');
    return await Promise.all(
      seeds.map((seed) => askWhole(context, member, view, { ...options, signal: together.signal, sampling: seeded ? { ...sampling, seed } : sampling })),
    );
  } finally {
    together.stop();
  }
}

/** A signal that aborts with another one, or when `stop` is called; `stop` must be called in the end. */
export function stoppable(parent: AbortSignal): { readonly signal: AbortSignal; readonly stop: () => void } {
  const controller = new Aborter();
  const forward = (): void => controller.abort(parent.reason);
  if (parent.aborted) forward();
  else onAbort(parent, forward);
  return {
    signal: controller.signal,
    stop: () => {
      offAbort(parent, forward);
      if (!controller.signal.aborted) controller.abort(noLongerNeeded);
    },
  };
}

/** Streams an answer that was collected. `topLogprobs`: alternatives that the caller asked for; more are cut off. */
export function* replay(whole: Whole, topLogprobs: number | undefined): Generator<Part> {
  for (const part of whole.parts) {
    if (part.type !== 'text' || part.tokens === undefined) yield part;
    else yield { ...part, tokens: part.tokens.map((token) => trimmed(token, topLogprobs ?? 0)) };
  }
}

function trimmed(token: EmittedToken, alternatives: number): EmittedToken {
  if (token.top === undefined || token.top.length <= alternatives) return token;
  const { top, ...rest } = token;
  return alternatives === 0 ? rest : { ...rest, top: top.slice(0, alternatives) };
}
