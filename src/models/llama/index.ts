/**
 * The `llama` engine: a GGUF file in this process. Joins the engine thread, the chat template, tools and grammars into a
 * model of levels L0 to L3, and Emb on request. The event loop never computes; it only writes prompts and reads events.
 */
import type { MemberConfig } from '../../config.ts';
import type { AnswerArgs, AnswerEvent } from '../../decoding/answer.ts';
import { jsonGrammar, schemaGrammar } from '../../decoding/json-schema.ts';
import type { ScoreArgs, ScoreEvent } from '../../decoding/score.ts';
import { plainSettings, shapeSettings, type ShapeSettings } from '../../decoding/settings.ts';
import { fail } from '../../errors.ts';
import type { AnswerFormat, EmittedToken, Prompt, Sampling } from '../../exchange.ts';
import type { EngineContext } from '../context.ts';
import type { Abilities, Call, Embedded, EmbedRequest, GenerateRequest, Level, Model, ModelPart, Scored, ScoreRequest, Session } from '../port.ts';
import { shortened } from '../shortened.ts';
import { AnswerParts } from './answer-parts.ts';
import { Chat } from './chat.ts';
import { engineThread } from './engine-thread.ts';
import { adapterKey, hostOf, type LlamaHost } from './host.ts';
import { LiveAdapters } from './live-adapters.ts';
import { defaultThreads, findModelFile } from './model-file.ts';
import type { OpenedModel } from './protocol.ts';
import { LlamaSession } from './session.ts';
import { callGrammar } from './tool-calls.ts';

/** Settings of a member with the engine `llama`. */
export type LlamaSettings = Extract<MemberConfig, { engine: 'llama' }>;

/** What models are sampled with when neither the request nor their file says anything. */
const usual: ShapeSettings = { ...plainSettings, temperature: 0.8, topP: 0.95, minP: 0.05 };

/**
 * Opens a GGUF file as a model.
 * @throws {TandemError} model_file_missing, model_file_invalid, model_unsupported, engine_unavailable, engine_out_of_memory, config_invalid
 */
export async function openLlamaModel(id: string, settings: LlamaSettings, context: EngineContext): Promise<Model<'device'>> {
  const file = findModelFile(settings.file, context);
  const live = new LiveAdapters(settings, context);
  const { adapters } = live;
  const thread = await engineThread(settings.gpuLayers > 0);
  const { sequencesMax, gpuLayers, embeddings, contextTokensMax } = settings;
  const opened = await thread.ask('open', { file, sequencesMax, gpuLayers, embeddings, adapters, threads: settings.threads ?? defaultThreads(file), ...(contextTokensMax === undefined ? {} : { contextTokensMax }) });
  try {
    const host = hostOf(context, thread);
    const model = new LlamaModel(id, opened, live, host, context);
    live.watch((changed) => thread.ask('adapters', { handle: opened.handle, adapters: changed }), id);
    return model;
  } catch (error) {
    await thread.ask('close', { handle: opened.handle });
    throw error;
  }
}

class LlamaModel implements Model<'device'> {
  readonly id: string;
  readonly engine = 'llama';
  readonly place = 'device';
  readonly abilities: Abilities;
  readonly parameters: number;
  readonly host: LlamaHost;
  readonly open?: (call: Call) => Promise<Session>;
  readonly embed?: (request: EmbedRequest<'device'>, call: Call) => Promise<Embedded>;
  readonly #opened: OpenedModel;
  readonly #chat: Chat;
  readonly #adapters: LiveAdapters;
  readonly #clock: EngineContext['clock'];
  readonly #random: EngineContext['random'];
  #closed = false;

  constructor(id: string, opened: OpenedModel, adapters: LiveAdapters, host: LlamaHost, context: EngineContext) {
    this.id = id;
    this.host = host;
    this.parameters = opened.parameters;
    this.abilities = abilitiesOf(opened);
    this.#opened = opened;
    this.#chat = new Chat(opened);
    this.#adapters = adapters;
    this.#clock = context.clock;
    this.#random = context.random;
    host.add(id, { handle: opened.handle, adapters });
    if (opened.rollsBack && opened.writes) this.open = (call) => this.#session(call);
    if (opened.embeddingDimensions !== undefined) this.embed = (request, call) => this.#embed(request, call);
  }

  async *generate(request: GenerateRequest<'device'>, call: Call): AsyncGenerator<ModelPart> {
    const args = await this.answerArgs(request, call.signal);
    const parts = new AnswerParts(request.prompt, () => `call_${this.#random.hex(12)}`);
    const cells = { model: args.prompt.length + args.tokensMax };
    const adapters: Record<string, string> = request.adapter === undefined ? {} : { model: request.adapter };
    const { seed } = request.sampling;
    if (call.traffic !== undefined) call.traffic.work = 'seen';
    const run = { program: 'generate', roles: { model: this.id }, args, cells, adapters, signal: call.signal, ...(seed === undefined ? {} : { seed }) };
    for await (const events of this.host.runInBatches<AnswerArgs, AnswerEvent>(run)) {
      for (const part of parts.take(events)) {
        if (part.type === 'finish' && (part.usage.cachedPromptTokens ?? 0) > 0) call.note?.('prefix_reused', { tokens: part.usage.cachedPromptTokens ?? 0 });
        yield part;
      }
    }
  }

  async answerArgs(request: GenerateRequest<'device'>, signal: AbortSignal): Promise<AnswerArgs> {
    const { prompt: asked, sampling } = request;
    this.#check(asked, sampling, request.adapter);
    const grammar = grammarOf(asked, sampling.format);
    const room = this.#opened.contextTokensMax;
    const prompt = await this.#tokens(asked, signal, room - 1);
    if (prompt.length >= room) fail('context_too_long', { message: `The prompt has ${prompt.length} tokens; the context of ${room} leaves no room for an answer.`, param: 'messages', member: this.id });
    const { stop, topLogprobs } = sampling;
    return {
      prompt,
      settings: shapeSettings(sampling, { ...usual, ...this.#opened.defaults }),
      tokensMax: Math.min(sampling.tokensMax ?? Infinity, room - prompt.length),
      ...(stop === undefined ? {} : { stop }),
      ...(topLogprobs === undefined ? {} : { topLogprobs }),
      ...(grammar === undefined ? {} : { grammar }),
    };
  }

  async score(request: ScoreRequest<'device'>, call: Call): Promise<Scored> {
    const { topLogprobs = 0 } = request;
    this.#check(request.prompt, { topLogprobs }, undefined);
    const room = this.#opened.contextTokensMax;
    this.#checkLength(request.continuation.length, room, 'continuation');
    const [prompt, continuation] = await Promise.all([this.#tokens(request.prompt, call.signal, room), this.tokenize(request.continuation)]);
    const cells = { model: prompt.length + continuation.length };
    if (cells.model > room) fail('context_too_long', { message: `Prompt and continuation have ${cells.model} tokens, the context ${room}.`, member: this.id });
    const tokens: EmittedToken[] = [];
    let cached = 0;
    for await (const event of this.host.run<ScoreArgs, ScoreEvent>({ program: 'score', roles: { model: this.id }, args: { prompt, continuation, topLogprobs }, cells, signal: call.signal })) {
      if (event.type === 'scored') tokens.push(...event.tokens);
      else cached = event.cachedPromptTokens;
    }
    const logprob = tokens.reduce((sum, token) => sum + (token.logprob ?? 0), 0);
    return { tokens, logprob, usage: { promptTokens: prompt.length, cachedPromptTokens: cached, completionTokens: continuation.length } };
  }

  async tokenize(text: string, options: { readonly special?: boolean } = {}): Promise<readonly number[]> {
    return this.host.thread.ask('tokenize', { handle: this.#opened.handle, pieces: [{ text, special: options.special ?? false }], begin: false });
  }

  async detokenize(tokens: readonly number[]): Promise<string> {
    return this.host.thread.ask('detokenize', { handle: this.#opened.handle, tokens });
  }

  async render(prompt: Prompt<string>): Promise<string> {
    return this.#chat.render(prompt);
  }

  async check(call: Call): Promise<{ readonly latencyMs: number }> {
    const began = this.#clock.monotonicMs();
    if (call.signal.aborted) fail('cancelled', 'The request was cancelled.');
    await this.tokenize('a');
    return { latencyMs: this.#clock.monotonicMs() - began };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#adapters.close();
    this.host.remove(this.id);
    await this.host.thread.ask('close', { handle: this.#opened.handle });
  }

  async #session(call: Call): Promise<Session> {
    return LlamaSession.open(this.host.thread, this.#opened.handle, this.#opened.vocabularySize, adapterKey(this.#adapters, this.id), call.signal);
  }

  async #embed(request: EmbedRequest<'device'>, { signal }: Call): Promise<Embedded> {
    if (signal.aborted) fail('cancelled', 'The request was cancelled.');
    const { thread } = this.host;
    const { handle, embeddingDimensions: size = 0 } = this.#opened;
    const { dimensions = size } = request;
    if (dimensions < 1 || dimensions > size) fail('parameter_invalid', { message: `Expected 1 to ${size} dimensions, got ${dimensions}.`, param: 'dimensions', member: this.id });
    for (const text of request.texts) this.#checkLength(text.length, this.#opened.contextTokensMax, 'input');
    const texts = await Promise.all(request.texts.map((text) => thread.ask('tokenize', { handle, pieces: [{ text, special: false }], begin: true })));
    const run = thread.nextRun();
    const onAbort = (): void => thread.cancel(run);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (signal.aborted) fail('cancelled', 'The request was cancelled.');
      const vectors = await thread.ask('embed', { handle, run, adapter: adapterKey(this.#adapters, this.id), texts });
      return { vectors: vectors.map((vector) => shortened(vector, dimensions)), usage: { promptTokens: texts.reduce((sum, text) => sum + text.length, 0), completionTokens: 0 } };
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #tokens(prompt: Prompt<string>, signal: AbortSignal, tokensMax: number): Promise<number[]> {
    if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
    const pieces = this.#chat.pieces(prompt);
    let length = 0;
    for (const { text } of pieces) length += text.length;
    this.#checkLength(length, tokensMax, 'messages');
    const tokens = await this.host.thread.ask('tokenize', { handle: this.#opened.handle, pieces, begin: true });
    if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
    return tokens;
  }

  /** Refuses texts that come to more tokens whatever their words, before the engine cuts them: it computes nothing meanwhile. */
  #checkLength(length: number, tokensMax: number, param: string): void {
    const least = length / this.#opened.bytesPerTokenMax; // a character of UTF-16 is at least one byte
    if (least > tokensMax) fail('context_too_long', { message: `The text has at least ${Math.ceil(least)} tokens, more than ${tokensMax}, which the context of ${this.#opened.contextTokensMax} has room for.`, param, member: this.id });
  }

  /** Refuses what this model cannot do, by name. */
  #check(prompt: Prompt<string>, sampling: Sampling, adapter: string | undefined): void {
    const member = this.id;
    if (this.#closed) fail('engine_failed', { message: `The model "${member}" is closed.`, member });
    if (!this.#opened.writes) fail('ability_missing', { message: `The model "${member}" gives vectors only.`, member });
    if (adapter !== undefined) adapterKey(this.#adapters, member, adapter);
    if (sampling.reasoningEffort !== undefined) fail('parameter_unsupported', { message: 'The engine has no reasoning effort.', param: 'reasoning_effort', member });
    const { topLogprobs = 0 } = sampling;
    if (topLogprobs > this.abilities.topLogprobsMax) fail('parameter_invalid', { message: `Expected at most ${this.abilities.topLogprobsMax} alternatives, got ${topLogprobs}.`, param: 'top_logprobs', member });
    for (const id in sampling.logitBias) {
      if (!/^\d{1,9}$/.test(id) || Number(id) >= this.#opened.vocabularySize) fail('parameter_invalid', { message: `Expected ids of tokens from 0 to ${this.#opened.vocabularySize - 1}, got another.`, param: 'logit_bias', member });
    }
    if (prompt.messages.some((message) => (message.attachments?.length ?? 0) > 0)) fail('ability_missing', { message: `The model "${member}" takes no attachments.`, member });
  }
}

function abilitiesOf(opened: OpenedModel): Abilities {
  const levels: Level[] = ['L0', ...(opened.writes ? (['L1', 'L2'] as const) : []), ...(opened.writes && opened.rollsBack ? (['L3'] as const) : []), ...(opened.embeddingDimensions === undefined ? [] : (['Emb'] as const))];
  return {
    levels,
    tools: true,
    formats: ['text', 'json', 'json-schema', 'grammar'],
    topLogprobsMax: 20,
    sampling: ['tokensMax', 'temperature', 'topP', 'topK', 'minP', 'presencePenalty', 'frequencyPenalty', 'repetitionPenalty', 'seed', 'logitBias', 'stop', 'topLogprobs', 'format'],
    continuesPrefix: true,
    attachments: false,
    contextTokensMax: opened.contextTokensMax,
    vocabulary: opened.vocabularyHash,
    ...(opened.embeddingDimensions === undefined ? {} : { embeddingDimensions: opened.embeddingDimensions }),
  };
}

/** What the answer must follow: the call that is asked for, else the format. */
function grammarOf(prompt: Prompt<string>, format: AnswerFormat | undefined): string | undefined {
  const call = (prompt.tools?.length ?? 0) > 0 ? callGrammar(prompt) : undefined;
  if (call !== undefined) return call;
  switch (format?.type) {
    case 'json': return jsonGrammar();
    case 'json-schema': return schemaGrammar(format.schema);
    case 'grammar': return format.gbnf;
    default: return undefined;
  }
}
