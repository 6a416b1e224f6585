/**
 * The library's shortest way to an answer: `ask(runtime, 'question')`.
 *
 * Gives a stream of parts and, once read, the whole answer. What the gateway does over HTTP, without HTTP.
 */
import { fail } from './errors.ts';
import type { FinishReason, Message, Part, Policy, Prompt, Received, Sampling, ToolCall } from './exchange.ts';
import type { Runtime } from './tandem.ts';
import type { CallUsage, Decision } from './trace/trace.ts';

/** How to ask. */
export interface AskOptions {
  /** `tandem/<recipe>`, a member id or an alias. Default: the configuration's `defaultModel`. */
  readonly model?: string;
  readonly sampling?: Sampling;
  readonly policy?: Partial<Policy>;
  /** Recipe knobs. */
  readonly knobs?: Readonly<Record<string, unknown>>;
  /** Tools and their choice. */
  readonly tools?: Pick<Prompt, 'tools' | 'toolChoice' | 'parallelToolCalls'>;
  readonly signal?: AbortSignal;
  /** Called with each part as it comes. */
  readonly onPart?: (part: Part) => void;
}

/** A finished answer and how it came about. */
export interface FullAnswer {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finish: FinishReason;
  readonly recipe: string;
  readonly traceId: string;
  readonly usage: CallUsage;
  /** Answer tokens written by each member. */
  readonly shares: Readonly<Record<string, number>>;
  readonly decisions: readonly Decision[];
}

const optionNames: { readonly [K in keyof AskOptions]-?: true } = { model: true, sampling: true, policy: true, knobs: true, tools: true, signal: true, onPart: true };

/**
 * Asks, and resolves with the whole answer.
 * @param runtime from `tandem()`
 * @param question a text, or the messages of a conversation
 * @throws {TandemError} any code of the catalogue
 */
export async function ask(runtime: Runtime, question: string | readonly Message[], options: AskOptions = {}): Promise<FullAnswer> {
  for (const name in options) {
    if (!Object.hasOwn(optionNames, name)) fail('parameter_unknown', { message: `ask takes no option "${name.slice(0, 64)}"; it takes ${Object.keys(optionNames).join(', ')}.`, param: name.slice(0, 64) });
  }
  const received: Received = {
    surface: 'library',
    model: options.model ?? runtime.config.defaultModel,
    prompt: { messages: typeof question === 'string' ? [{ role: 'user', content: question }] : question, ...options.tools },
    sampling: options.sampling ?? {},
    answers: 1,
    policy: options.policy ?? {},
    knobs: options.knobs ?? {},
    explain: true,
    key: undefined,
  };
  const { trace, parts } = await runtime.handle(received, options.signal ?? new AbortController().signal);
  let text = '';
  let finish: FinishReason = 'stop';
  const calls: { id: string; name: string; arguments: string }[] = [];
  for await (const part of parts) {
    options.onPart?.(part);
    if (part.type === 'text') text += part.delta;
    else if (part.type === 'finish') finish = part.reason;
    else if (part.type === 'tool-call') {
      const call = (calls[part.call] ??= { id: part.id ?? '', name: part.name ?? '', arguments: '' });
      call.arguments += part.argumentsDelta;
    }
  }
  return { text, toolCalls: calls, finish, recipe: trace.recipe, traceId: trace.id, usage: trace.usage(), shares: trace.shares, decisions: trace.decisions() };
}
