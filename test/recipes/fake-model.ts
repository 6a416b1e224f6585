/**
 * A model that answers from a script: words as tokens with chosen probabilities, delays on a virtual clock, failures,
 * tool calls, hanging. It honours the port's contract (abort, one finish) and remembers what it was asked.
 */
import { TandemError, type ErrorCode } from '../../src/errors.ts';
import type { EmittedToken, FinishReason, Place, Prompt, Sampling } from '../../src/exchange.ts';
import type { Abilities, Call, GenerateRequest, Model, ModelPart } from '../../src/models/port.ts';
import type { AnyMember, Member, Price } from '../../src/models/team.ts';
import type { Clock } from '../../src/system/clock.ts';

/** What the model does when it is asked. */
export interface Script {
  /** Cut into words, one part and one token each. */
  readonly text?: string;
  /** Probability of each token, or one for all. Default 0.9. */
  readonly probability?: number | readonly number[];
  /** Alternatives of every token beside itself, as probabilities. Default: one with what is left. */
  readonly others?: readonly number[];
  readonly toolCalls?: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  /** Before the first part, and between parts, in virtual milliseconds. */
  readonly firstMs?: number;
  readonly betweenMs?: number;
  /** Fail with this code after so many parts. */
  readonly fail?: { readonly code: ErrorCode; readonly after?: number };
  /** Stop dead after so many parts, until aborted. */
  readonly hangAfter?: number;
  /** Does not even react to the abort. */
  readonly deaf?: boolean;
  /** End without a finish part. */
  readonly truncated?: boolean;
  readonly reason?: FinishReason;
  /** What the server counts. Default: the words of the prompt. */
  readonly promptTokens?: number;
}

/** What the model was asked. */
export interface Asked {
  readonly prompt: Prompt<string>;
  readonly sampling: Sampling;
  readonly signal: AbortSignal;
  /** Whether the model's work on it is over. */
  over: boolean;
}

/** Settings of a fake member. */
export interface FakeSettings {
  readonly id: string;
  readonly roles?: readonly string[];
  readonly place?: Place;
  readonly price?: Price;
  readonly abilities?: Partial<Abilities>;
  /** The script for the n-th call, from 0. */
  readonly answer: Script | ((asked: Asked, n: number) => Script);
  readonly host?: Model['host'];
}

/** A member with its model's memory. */
export type FakeMember = AnyMember & { readonly asked: Asked[]; readonly stopped: () => number };

/** A price with these dollars a million tokens. */
export const priced = (inputUsdPerMillionTokens: number, outputUsdPerMillionTokens: number): Price => ({ inputUsdPerMillionTokens, outputUsdPerMillionTokens, asOf: '2026-01-01' });

/** Makes a member. */
export function fake(settings: FakeSettings, clock: Clock): FakeMember {
  const { id, roles = [id], place = 'device', price, answer } = settings;
  const asked: Asked[] = [];
  let stopped = 0;
  const model: Model = {
    id,
    engine: 'fake',
    place,
    abilities: {
      levels: ['L0', 'L1'],
      tools: true,
      formats: ['text', 'json', 'json-schema'],
      topLogprobsMax: 20,
      sampling: ['tokensMax', 'temperature', 'topP', 'seed', 'stop', 'format', 'topLogprobs'],
      continuesPrefix: true,
      attachments: true,
      ...settings.abilities,
    },
    ...(settings.host === undefined ? {} : { host: settings.host }),
    async *generate(request: GenerateRequest<Place>, call: Call): AsyncGenerator<ModelPart> {
      const about: Asked = { prompt: request.prompt, sampling: request.sampling, signal: call.signal, over: false };
      asked.push(about);
      if (call.traffic !== undefined) Object.assign(call.traffic, { bytesUp: 10, work: call.whole === true ? 'unseen' : 'seen' });
      const script = typeof answer === 'function' ? answer(about, asked.length - 1) : answer;
      call.signal.addEventListener('abort', () => void stopped++);
      try {
        yield* play(script, about, clock);
      } finally {
        about.over = true;
      }
    },
    async tokenize(text) {
      return [...text].map((character) => character.codePointAt(0) ?? 0);
    },
    async detokenize(tokens) {
      return String.fromCodePoint(...tokens);
    },
    async render(prompt) {
      return prompt.text ?? prompt.messages.map((message) => `<${message.role}>${message.content}`).join('') + (prompt.prefix ?? '');
    },
    check: async () => ({ latencyMs: 0 }),
    close: async () => undefined,
  };
  const member = { id, roles, model, ...(price === undefined ? {} : { price }) } as Member;
  return Object.assign(member as AnyMember, { asked, stopped: () => stopped });
}

async function* play(script: Script, { sampling, prompt, signal }: Asked, clock: Clock): AsyncGenerator<ModelPart> {
  const parts = partsOf(script, sampling);
  let sent = 0;
  let tokens = 0;
  for (const part of parts) {
    await pause(sent === 0 ? script.firstMs : script.betweenMs, script, clock, signal);
    if (script.fail !== undefined && sent >= (script.fail.after ?? 0)) throw new TandemError(script.fail.code, { message: 'scripted failure' });
    if (script.hangAfter === sent) await forever(script, signal);
    if (signal.aborted && script.deaf !== true) throw signal.reason;
    yield part;
    sent++;
    tokens += part.type === 'text' ? (part.tokens?.length ?? 1) : 4;
  }
  if (script.fail !== undefined) throw new TandemError(script.fail.code, { message: 'scripted failure' });
  if (script.hangAfter !== undefined) await forever(script, signal);
  if (script.truncated === true) return;
  const reason = script.reason ?? (script.toolCalls === undefined ? 'stop' : 'tool_calls');
  const promptTokens = script.promptTokens ?? prompt.messages.reduce((sum, message) => sum + message.content.split(/\s+/).length, 0) + (prompt.text ?? '').split(/\s+/).filter(Boolean).length;
  yield { type: 'finish', reason, usage: { promptTokens, completionTokens: tokens }, bytesUp: 10, bytesDown: 20 };
}

function partsOf(script: Script, sampling: Sampling): ModelPart[] {
  const words = (script.text ?? '').match(/\s*\S+\s*$|\s*\S+/g) ?? [];
  const calls = (script.toolCalls ?? []).flatMap((each, call): ModelPart[] => [
    { type: 'tool-call', call, id: each.id, name: each.name, argumentsDelta: each.arguments.slice(0, 3) },
    { type: 'tool-call', call, argumentsDelta: each.arguments.slice(3) },
  ]);
  return [...words.map((word, index): ModelPart => ({ type: 'text', delta: word, tokens: [tokenOf(word, index, script, sampling)] })), ...calls];
}

function tokenOf(text: string, index: number, { probability = 0.9, others }: Script, { topLogprobs }: Sampling): EmittedToken {
  if (topLogprobs === undefined) return { text };
  const p = typeof probability === 'number' ? probability : (probability[index] ?? probability.at(-1) ?? 0.9);
  const alternatives = [{ text, logprob: Math.log(p) }, ...(others ?? [1 - p]).filter((each) => each > 0).map((each, n) => ({ text: `other${n}`, logprob: Math.log(each) }))];
  return { text, logprob: Math.log(p), top: alternatives.sort((a, b) => b.logprob - a.logprob).slice(0, topLogprobs) };
}

function pause(ms: number | undefined, script: Script, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms === undefined || ms === 0) return Promise.resolve();
  return clock.sleep(ms, script.deaf === true ? undefined : signal);
}

function forever(script: Script, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (script.deaf === true) return;
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
