/**
 * The `recorded` engine: answers that real models gave, replayed, for evaluation without keys (docs/levels.md).
 *
 * The recording is asked for the messages, or for the plain text of a completion. `temperature` and `seed`
 * choose among several recorded answers to a prompt: temperature 0 takes the first one, else the seed picks.
 */
import { resolve } from 'node:path';
import { TandemError, fail } from '../../errors.ts';
import type { MemberConfig } from '../../config.ts';
import { StopFinder } from '../../decoding/stops.ts';
import { publicNames, type EmittedToken, type FinishReason, type Place, type Prompt, type Sampling } from '../../exchange.ts';
import type { EngineContext } from '../context.ts';
import type { Abilities, Call, GenerateRequest, Model, ModelPart } from '../port.ts';
import { openRecording } from './recording.ts';
import type { AskedMessage, RecordedAnswer, Recording } from './recording.ts';

/** Settings of a `recorded` member. */
export type RecordedSettings = Extract<MemberConfig, { engine: 'recorded' }>;

/** Characters a token, for rows that count none. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * Opens a recording as a model.
 * @throws {TandemError} model_file_missing, model_file_invalid, config_invalid
 */
export async function openRecordedModel(id: string, settings: RecordedSettings, ctx: EngineContext): Promise<Model> {
  const recording = await openRecording(resolve(ctx.baseDir, settings.file), settings.member);
  return new RecordedModel(id, settings.place, settings.tokensPerSecond, recording, ctx);
}

class RecordedModel<P extends Place> implements Model<P> {
  readonly id: string;
  readonly engine = 'recorded';
  readonly place: P;
  readonly abilities: Abilities;
  readonly #tokensPerSecond: number;
  readonly #recording: Recording;
  readonly #ctx: EngineContext;
  #closing: Promise<void> | undefined;

  constructor(id: string, place: P, tokensPerSecond: number, recording: Recording, ctx: EngineContext) {
    const { logprobs, topLogprobsMax } = recording.facts;
    this.id = id;
    this.place = place;
    this.#tokensPerSecond = tokensPerSecond;
    this.#recording = recording;
    this.#ctx = ctx;
    this.abilities = {
      levels: logprobs ? ['L0', 'L1'] : ['L0'],
      tools: false,
      formats: ['text'],
      topLogprobsMax: Math.min(20, topLogprobsMax),
      sampling: ['tokensMax', 'stop', 'temperature', 'seed', ...(logprobs ? (['topLogprobs'] as const) : [])],
      continuesPrefix: false,
      attachments: false,
    };
  }

  async *generate(request: GenerateRequest<P>, call: Call): AsyncGenerator<ModelPart, void, undefined> {
    const { prompt, sampling } = request;
    this.#check(request);
    throwIfCancelled(call.signal);
    const recorded = await this.#recording.find(askedOf(prompt), (sampling.temperature ?? 0) === 0 ? 0 : (sampling.seed ?? 0) >>> 0);
    throwIfCancelled(call.signal);
    if (recorded === undefined) fail('recording_missing', { message: `Member "${this.id}" has no recorded answer for this prompt.`, member: this.id });
    const replay = replayOf(recorded, sampling);
    if (call.traffic !== undefined) call.traffic.work = 'seen';
    yield* this.#paced(replay.pieces, sampling.topLogprobs, call);
    const estimated = recorded.promptTokens === undefined || (recorded.completionTokens === undefined && recorded.tokens === undefined);
    const usage = { promptTokens: recorded.promptTokens ?? Math.ceil(charactersOf(prompt) / CHARACTERS_PER_TOKEN), completionTokens: replay.completionTokens };
    if (estimated) call.note?.('usage-estimated', usage);
    yield { type: 'finish', reason: replay.reason, usage, bytesUp: 0, bytesDown: 0, ...(replay.complete && recorded.correct !== undefined ? { correct: recorded.correct } : {}) };
  }

  async check(): Promise<{ readonly latencyMs: number }> {
    this.#checkOpen();
    return { latencyMs: 0 };
  }

  close(): Promise<void> {
    this.#closing ??= this.#recording.close();
    return this.#closing;
  }

  /** The pieces at their pace; all in one when there is none. A late piece does not delay the next ones. */
  async *#paced(pieces: readonly EmittedToken[], topLogprobs: number | undefined, call: Call): AsyncGenerator<ModelPart, void, undefined> {
    const shown = (from: readonly EmittedToken[]): ModelPart => {
      const delta = from.map((piece) => piece.text).join('');
      return topLogprobs === undefined ? { type: 'text', delta } : { type: 'text', delta, tokens: from.map((token) => withTop(token, topLogprobs)) };
    };
    if (pieces.length === 0) return;
    if (this.#tokensPerSecond === 0) return yield shown(pieces);
    const { clock } = this.#ctx;
    const startMs = clock.monotonicMs();
    for (const [index, piece] of pieces.entries()) {
      const waitMs = startMs + ((index + 1) * 1_000) / this.#tokensPerSecond - clock.monotonicMs();
      if (waitMs > 0) await clock.sleep(waitMs, call.signal).catch(() => throwIfCancelled(call.signal));
      throwIfCancelled(call.signal);
      yield shown([piece]);
    }
  }

  #check({ prompt, sampling, adapter }: GenerateRequest<P>): void {
    const { id } = this;
    this.#checkOpen();
    if (adapter !== undefined) fail('ability_missing', { message: `Member "${id}" has no adapters.`, member: id });
    if (prompt.prefix !== undefined && prompt.prefix !== '') fail('ability_missing', { message: `Member "${id}" cannot continue a given prefix.`, member: id });
    if ((prompt.tools?.length ?? 0) > 0) fail('parameter_unsupported', { message: `Member "${id}" takes no tools.`, param: 'tools', member: id });
    for (const name of Object.keys(sampling) as (keyof Sampling)[]) {
      if (sampling[name] === undefined || this.abilities.sampling.includes(name) || (name === 'format' && sampling.format?.type === 'text')) continue;
      if (name === 'topLogprobs') fail('ability_missing', { message: `Member "${id}": the recording has no log-probabilities.`, param: 'logprobs', member: id });
      fail('parameter_unsupported', { message: `Member "${id}" replays a recording and cannot honour ${publicNames[name]}.`, param: publicNames[name], member: id });
    }
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) fail('engine_failed', { message: `Member "${this.id}" is closed.`, member: this.id });
  }
}

interface Replay {
  readonly pieces: readonly EmittedToken[];
  readonly completionTokens: number;
  readonly reason: FinishReason;
  /** Whether the whole recorded answer is replayed, so that its correctness holds. */
  readonly complete: boolean;
}

function replayOf(recorded: RecordedAnswer, { stop = [], tokensMax }: Sampling): Replay {
  const stops = new StopFinder(stop);
  const end = stops.seeks ? stops.push(recorded.answer).length + stops.end().length : recorded.answer.length;
  const all = recorded.tokens ?? [...recorded.answer.matchAll(/\s*\S+|\s+$/g)].map(([text]) => ({ text }));
  const whole = recorded.completionTokens ?? (recorded.tokens?.length ?? Math.max(1, Math.ceil(recorded.answer.length / CHARACTERS_PER_TOKEN)));
  const upTo = clipped(all, end);
  const tokens = upTo.length === all.length ? whole : Math.ceil((whole * upTo.length) / all.length);
  if (tokensMax === undefined || tokens <= tokensMax) return { pieces: upTo, completionTokens: tokens, reason: 'stop', complete: !stops.found };
  const kept = Math.max(1, Math.floor((upTo.length * tokensMax) / tokens));
  return { pieces: upTo.slice(0, kept), completionTokens: tokensMax, reason: 'length', complete: false };
}

/** The pieces up to a position in the text; the last one may be cut. */
function clipped(pieces: readonly EmittedToken[], end: number): readonly EmittedToken[] {
  const kept: EmittedToken[] = [];
  let at = 0;
  for (const piece of pieces) {
    if (at >= end) break;
    kept.push(at + piece.text.length <= end ? piece : { ...piece, text: piece.text.slice(0, end - at) });
    at += piece.text.length;
  }
  return kept;
}

function withTop(token: EmittedToken, count: number): EmittedToken {
  const { top, ...own } = token;
  return top === undefined || count === 0 ? own : { ...own, top: top.slice(0, count) };
}

function askedOf(prompt: Prompt<string>): readonly AskedMessage[] {
  if (prompt.text !== undefined) return [{ role: 'user', content: prompt.text }];
  return prompt.messages.some((message) => message.role === 'user') ? prompt.messages : fail('parameter_missing', { message: 'Expected a user message, got none.', param: 'messages' });
}

function charactersOf(prompt: Prompt<string>): number {
  return prompt.messages.reduce((sum, message) => sum + message.content.length, prompt.text?.length ?? 0);
}

function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new TandemError('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
}
