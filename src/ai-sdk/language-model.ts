/**
 * Tandem as a language model of the AI SDK (specification v4): a request goes through the runtime's whole pipeline, its
 * parts come back as the AI SDK's. The trace id, the recipe, the dollars and who wrote what stand in
 * `providerMetadata.tandem` of the finish.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions, LanguageModelV4Content, LanguageModelV4FinishReason, LanguageModelV4GenerateResult, LanguageModelV4StreamPart, LanguageModelV4StreamResult, LanguageModelV4Usage, SharedV4ProviderMetadata } from '@ai-sdk/provider';
import { TandemError } from '../errors.ts';
import type { FinishReason, Part, Received } from '../exchange.ts';
import { receivedOf } from './received.ts';

/** What the provider needs of a trace. */
export interface TraceView {
  readonly id: string;
  readonly recipe: string;
  readonly shares: Readonly<Record<string, number>>;
  usage(): { readonly promptTokens: number; readonly cachedPromptTokens: number; readonly completionTokens: number; readonly reasoningTokens?: number; readonly costUsd: number };
}

/** What the provider needs of a runtime. `Runtime` of `tandem.ts` has it. */
export interface RuntimeView {
  /** Every model id that can be asked for. */
  models?(): readonly { readonly id: string }[];
  handle(received: Received, signal: AbortSignal): Promise<{ readonly trace: TraceView; readonly parts: AsyncIterable<Part> }>;
  embed?(request: { readonly model: string; readonly texts: readonly string[]; readonly dimensions?: number; readonly key: string | undefined }, signal: AbortSignal): Promise<{ readonly vectors: readonly Float32Array[]; readonly usage: { readonly promptTokens: number } }>;
  close?(): Promise<void>;
}

/** Pictures are handed on by their address; everything else is fetched by the AI SDK. */
const supportedUrls = { 'image/*': [/^https?:\/\/.+$/] };

/** A model of the runtime as an AI SDK language model. @param runtime resolves to the runtime; asked at each call */
export class TandemLanguageModel implements LanguageModelV4 {
  readonly specificationVersion = 'v4';
  readonly provider = 'tandem';
  readonly modelId: string;
  readonly supportedUrls = supportedUrls;
  readonly #runtime: () => Promise<RuntimeView>;

  constructor(modelId: string, runtime: () => Promise<RuntimeView>) {
    this.modelId = modelId;
    this.#runtime = runtime;
  }

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const stream = await this.#run(options, true);
    const content: LanguageModelV4Content[] = [];
    const gathered: { -readonly [K in keyof LanguageModelV4GenerateResult]?: LanguageModelV4GenerateResult[K] } = {};
    for await (const part of stream) {
      if (part.type === 'text-delta') append(content, 'text', part.delta);
      else if (part.type === 'reasoning-delta') append(content, 'reasoning', part.delta);
      else if (part.type === 'tool-call') content.push(part);
      else if (part.type === 'stream-start') gathered.warnings = part.warnings;
      else if (part.type === 'response-metadata') gathered.response = { id: part.id ?? '', modelId: part.modelId ?? this.modelId };
      else if (part.type === 'error') throw part.error;
      else if (part.type === 'finish') Object.assign(gathered, { finishReason: part.finishReason, usage: part.usage, providerMetadata: part.providerMetadata });
    }
    const { warnings = [], finishReason = { unified: 'other', raw: undefined }, usage = noUsage, ...rest } = gathered;
    return { content, warnings, finishReason, usage, ...rest };
  }

  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    return { stream: await this.#run(options, false) };
  }

  async #run(options: LanguageModelV4CallOptions, whole: boolean): Promise<ReadableStream<LanguageModelV4StreamPart>> {
    const stop = new AbortController();
    const signal = options.abortSignal === undefined ? stop.signal : AbortSignal.any([options.abortSignal, stop.signal]);
    try {
      const runtime = await this.#runtime();
      const { received, warnings } = receivedOf(resolveModel(this.modelId, runtime), options);
      const { trace, parts } = await runtime.handle({ ...received, whole }, signal);
      const out = written(parts, trace, this.modelId, warnings, options.abortSignal);
      const over = new AbortController();
      const leave = (): Promise<unknown> => {
        over.abort();
        return out.return(undefined).catch(() => {});
      };
      return new ReadableStream<LanguageModelV4StreamPart>(
        {
          start(controller) {
            options.abortSignal?.addEventListener('abort', () => {
              void leave();
              controller.error(options.abortSignal?.reason);
            }, { once: true, signal: over.signal });
          },
          async pull(controller) {
            try {
              const { done, value } = await out.next();
              if (done !== true) return controller.enqueue(value);
              over.abort();
              controller.close();
            } catch (error) {
              controller.error(error);
            }
          },
          async cancel() {
            stop.abort();
            await leave();
          },
        },
        { highWaterMark: 0 },
      );
    } catch (error) {
      throw await forCaller(error, this.modelId, options.abortSignal);
    }
  }
}

/** `auto` and other recipe names without their prefix are found too, unless a member has that name. */
export function resolveModel(id: string, runtime: RuntimeView): string {
  const ids = runtime.models?.().map((card) => card.id);
  if (ids === undefined) return id === 'auto' ? 'tandem/auto' : id;
  return !ids.includes(id) && (id === 'auto' || ids.includes(`tandem/${id}`)) ? `tandem/${id}` : id;
}

/** A Tandem error as the AI SDK's own, so that its retries and error handling work; an abort as the caller's reason. */
export async function forCaller(error: unknown, modelId: string, signal: AbortSignal | undefined): Promise<unknown> {
  if (signal?.aborted === true) return signal.reason;
  const known = TandemError.from(error);
  const { APICallError } = await import('@ai-sdk/provider').catch(() => ({ APICallError: undefined }));
  if (APICallError === undefined) return known;
  const retryAfter = known.retryAfterMs === undefined ? {} : { responseHeaders: { 'retry-after-ms': String(known.retryAfterMs) } };
  return new APICallError({ message: known.message, url: `tandem:${modelId}`, requestBodyValues: {}, statusCode: known.status, isRetryable: known.retryable, cause: known, data: known.toOpenAi(), ...retryAfter });
}

/** The AI SDK's parts for ours: blocks are opened and closed around deltas, tool calls are repeated whole at the end. */
async function* written(parts: AsyncIterable<Part>, trace: TraceView, modelId: string, warnings: Extract<LanguageModelV4StreamPart, { type: 'stream-start' }>['warnings'], signal: AbortSignal | undefined): AsyncGenerator<LanguageModelV4StreamPart, void, undefined> {
  yield { type: 'stream-start', warnings };
  yield { type: 'response-metadata', id: trace.id, modelId };
  let block: { readonly type: 'text' | 'reasoning'; readonly id: string } | undefined;
  let blocks = 0;
  const calls: { id: string; name: string; input: string }[] = [];
  let reason: FinishReason | undefined;
  try {
    for await (const part of parts) {
      if (block !== undefined && part.type !== block.type) {
        yield { type: `${block.type}-end`, id: block.id };
        block = undefined;
      }
      if (part.type === 'text' || part.type === 'reasoning') {
        if (block === undefined) {
          block = { type: part.type, id: String(blocks++) };
          yield { type: `${part.type}-start`, id: block.id };
        }
        yield { type: `${part.type}-delta`, id: block.id, delta: part.delta };
      } else if (part.type === 'tool-call') {
        let call = calls[part.call];
        if (call === undefined) {
          call = calls[part.call] = { id: part.id ?? `call_${part.call}`, name: part.name ?? '', input: '' };
          yield { type: 'tool-input-start', id: call.id, toolName: call.name };
        }
        call.input += part.argumentsDelta;
        if (part.argumentsDelta !== '') yield { type: 'tool-input-delta', id: call.id, delta: part.argumentsDelta };
      } else {
        reason = part.reason;
      }
    }
  } catch (error) {
    if (block !== undefined) yield { type: `${block.type}-end`, id: block.id };
    const shown = await forCaller(error, modelId, signal);
    if (signal?.aborted === true) throw shown;
    yield { type: 'error', error: shown };
    yield { type: 'finish', finishReason: { unified: 'error', raw: TandemError.from(error).code }, usage: usageOf(trace), providerMetadata: metadataOf(trace) };
    return;
  }
  if (block !== undefined) yield { type: `${block.type}-end`, id: block.id };
  for (const call of calls) {
    yield { type: 'tool-input-end', id: call.id };
    yield { type: 'tool-call', toolCallId: call.id, toolName: call.name, input: call.input };
  }
  yield { type: 'finish', finishReason: reasonOf(reason), usage: usageOf(trace), providerMetadata: metadataOf(trace) };
}

const reasons = { stop: 'stop', length: 'length', tool_calls: 'tool-calls', content_filter: 'content-filter' } as const satisfies Record<FinishReason, LanguageModelV4FinishReason['unified']>;

function reasonOf(reason: FinishReason | undefined): LanguageModelV4FinishReason {
  return reason === undefined ? { unified: 'other', raw: undefined } : { unified: reasons[reason], raw: reason };
}

const noUsage: LanguageModelV4Usage = { inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined }, outputTokens: { total: undefined, text: undefined, reasoning: undefined } };

function usageOf(trace: TraceView): LanguageModelV4Usage {
  const { promptTokens, cachedPromptTokens, completionTokens, reasoningTokens } = trace.usage();
  return {
    inputTokens: { total: promptTokens, noCache: promptTokens - cachedPromptTokens, cacheRead: cachedPromptTokens, cacheWrite: undefined },
    outputTokens: { total: completionTokens, text: reasoningTokens === undefined ? undefined : completionTokens - reasoningTokens, reasoning: reasoningTokens },
  };
}

function metadataOf(trace: TraceView): SharedV4ProviderMetadata {
  return { tandem: { trace: trace.id, recipe: trace.recipe, shares: { ...trace.shares }, costUsd: trace.usage().costUsd } };
}

function append(content: LanguageModelV4Content[], type: 'text' | 'reasoning', delta: string): void {
  const last = content.at(-1);
  if (last?.type === type) last.text += delta;
  else content.push({ type, text: delta });
}
