/**
 * The `ai-sdk` engine: any language model of the AI SDK as a member. Takes the specifications v2, v3 and v4, as `ai` does.
 *
 * L0 only: the AI SDK knows no log-probabilities, no scoring and no plain completion. Bytes are those of the prompt as
 * JSON and of the text that came: the provider's own framing is not seen from here. Nothing is probed by `check`,
 * since the only thing to ask such a model is a paid answer.
 */
import type { LanguageModelV4, LanguageModelV4StreamPart } from '@ai-sdk/provider';
import { TandemError, fail } from '../../errors.ts';
import type { MemberConfig } from '../../config.ts';
import type { Place } from '../../exchange.ts';
import type { EngineContext } from '../context.ts';
import type { Abilities, Call, GenerateRequest, Model, ModelPart } from '../port.ts';
import { SdkAnswer, refuseIgnored } from './answer.ts';
import { noteFate } from '../openai/failure.ts';
import { fromProvider } from './failure.ts';
import { callOptions, tellable } from './prompt.ts';
import type { SpecificationVersion } from './prompt.ts';

/** Settings of an `ai-sdk` member. */
export type AiSdkSettings = Extract<MemberConfig, { engine: 'ai-sdk' }>;

/**
 * Opens an AI SDK language model.
 * @throws {TandemError} config_invalid when the object is not a language model of a version that is known
 */
export async function openAiSdkModel(id: string, settings: AiSdkSettings, ctx: EngineContext): Promise<Model> {
  const version: unknown = 'specificationVersion' in settings.model ? settings.model.specificationVersion : undefined;
  if (version !== 'v2' && version !== 'v3' && version !== 'v4') {
    fail('config_invalid', { message: `members.${id}.model: expected an AI SDK language model of specification v2, v3 or v4.`, param: `members.${id}.model`, member: id });
  }
  return new AiSdkModel(id, settings.place, settings, version, ctx);
}

class AiSdkModel<P extends Place> implements Model<P> {
  readonly id: string;
  readonly engine = 'ai-sdk';
  readonly place: P;
  readonly abilities: Abilities;
  readonly #model: LanguageModelV4;
  readonly #version: SpecificationVersion;
  readonly #takesTools: boolean;
  readonly #ctx: EngineContext;
  readonly #closing = new AbortController();

  constructor(id: string, place: P, settings: AiSdkSettings, version: SpecificationVersion, ctx: EngineContext) {
    this.id = id;
    this.place = place;
    this.#model = settings.model as LanguageModelV4;
    this.#version = version;
    this.#takesTools = settings.tools;
    this.#ctx = ctx;
    this.abilities = {
      levels: ['L0'],
      tools: settings.tools,
      formats: ['text', 'json', 'json-schema'],
      topLogprobsMax: 0,
      sampling: tellable(version),
      continuesPrefix: false,
      attachments: true,
      ...(settings.contextTokensMax === undefined ? {} : { contextTokensMax: settings.contextTokensMax }),
    };
  }

  async *generate(request: GenerateRequest<P>, call: Call): AsyncGenerator<ModelPart, void, undefined> {
    if (request.adapter !== undefined) fail('ability_missing', { message: `Member "${this.id}" has no adapters.`, member: this.id });
    if (this.#closing.signal.aborted) fail('engine_failed', { message: `Member "${this.id}" is closed.`, member: this.id });
    const options = callOptions(this.id, this.#version, request.prompt, request.sampling, this.#takesTools);
    const promptText = JSON.stringify(options.prompt);
    const stop = new AbortController();
    const signal = AbortSignal.any([call.signal, stop.signal, this.#closing.signal]);
    const traffic = call.traffic ?? { bytesUp: 0, bytesDown: 0, work: 'none' };
    const answer = new SdkAnswer(this.id, traffic);
    try {
      signal.throwIfAborted();
      const asked = { ...options, abortSignal: signal };
      traffic.bytesUp += Buffer.byteLength(promptText);
      traffic.work = call.whole === true ? 'unseen' : 'seen';
      if (call.whole === true) {
        const result = await abortable(this.#model.doGenerate(asked), signal);
        traffic.work = 'seen';
        refuseIgnored(this.id, result.warnings ?? [], options);
        const parts: ModelPart[] = [];
        answer.whole(result.content, result.finishReason, result.usage, parts);
        yield* parts;
      } else {
        const { stream } = await abortable(this.#model.doStream(asked), signal);
        yield* this.#read(stream.getReader(), answer, options, signal);
      }
      yield answer.finish(promptText.length, call);
    } catch (error) {
      const failure = fromProvider(this.id, error, signal, this.#ctx.clock.wallMs());
      noteFate(traffic, failure);
      throw failure;
    } finally {
      stop.abort();
    }
  }

  async check(): Promise<{ readonly latencyMs: number }> {
    if (this.#closing.signal.aborted) fail('engine_failed', { message: `Member "${this.id}" is closed.`, member: this.id });
    return { latencyMs: 0 };
  }

  async close(): Promise<void> {
    this.#closing.abort(new TandemError('engine_failed', { message: `Member "${this.id}" was closed.`, member: this.id }));
  }

  async *#read(reader: ReadableStreamDefaultReader<LanguageModelV4StreamPart>, answer: SdkAnswer, asked: object, signal: AbortSignal): AsyncGenerator<ModelPart, void, undefined> {
    try {
      for (;;) {
        const { done, value } = await abortable(reader.read(), signal);
        if (done) return;
        if (value.type === 'stream-start') refuseIgnored(this.id, value.warnings, asked);
        const parts: ModelPart[] = [];
        answer.part(value, parts);
        yield* parts;
      }
    } finally {
      void reader.cancel().catch(() => {});
    }
  }
}

/** The same promise, rejected at once when the signal is aborted: a model may be slow to notice. */
function abortable<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(error);
      },
    );
  });
}
