/**
 * The `openai` engine: any OpenAI-compatible server as a model (OpenAI, vLLM, SGLang, llama-server, Ollama, LM Studio).
 *
 * Joins the transport, the attempts, the request bodies and the readers. Offers L0 always; L1, L2 and Emb as the
 * settings say the server has them. Bytes count bodies, not headers.
 */
import { fail } from '../../errors.ts';
import type { Place, TextFor } from '../../exchange.ts';
import type { EngineContext } from '../context.ts';
import type { Abilities, Call, Embedded, EmbedRequest, GenerateRequest, Level, Model, ModelPart, ScoreRequest, Scored } from '../port.ts';
import { AnswerReader } from './answer.ts';
import { Attempts } from './attempts.ts';
import { answerRequest, formatsOf, honoured } from './body.ts';
import type { OpenAiSettings, WireRequest } from './body.ts';
import { embeddedVectors } from './embedding.ts';
import { UpstreamError, fromErrorObject, fromStatus, malformed } from './failure.ts';
import { scoredTokens, scoringRequest } from './scoring.ts';
import { SseParser } from './sse.ts';
import type { SseEvent } from './sse.ts';
import { Transport } from './transport.ts';
import type { Exchange } from './transport.ts';
import { Flattened } from '../../system/pull.ts';
import { WholeAnswer, type Answer } from './whole-answer.ts';
import { tokenCount } from '../token-count.ts';
import { parseReply } from './wire.ts';
import type { WireReply } from './wire.ts';

export type { OpenAiSettings } from './body.ts';

/** Size of a reply that is not streamed. Bytes. */
const REPLY_BYTES_MAX = 268_435_456;
/** How much of an error reply is read. Bytes. */
const ERROR_BYTES_MAX = 65_536;

/** What the model is asked, with what only some servers know. */
export interface OpenAiRequest<P extends Place> extends GenerateRequest<P> {
  /** More fields of the body. Default: none. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** A model behind an OpenAI-compatible server. */
export interface OpenAiCompatible<P extends Place = Place> extends Model<P> {
  generate(request: OpenAiRequest<P>, call: Call): AsyncIterable<ModelPart>;
}

/**
 * Opens a model behind an OpenAI-compatible server. Nothing is sent until the first call.
 * @throws {TandemError} config_invalid when the variable of the key is not set, or a header cannot be sent
 */
export async function openOpenAiModel(id: string, settings: OpenAiSettings, ctx: EngineContext): Promise<OpenAiCompatible> {
  const key = settings.apiKeyEnv === undefined ? undefined : ctx.env[settings.apiKeyEnv];
  if (settings.apiKeyEnv !== undefined && (key === undefined || key === '')) {
    fail('config_invalid', { message: `members.${id}.apiKeyEnv: expected the name of an environment variable that holds the key, got one that is not set.`, param: `members.${id}.apiKeyEnv`, member: id });
  }
  const headers = { ...settings.headers, ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) };
  const transport = new Transport({ ...settings, member: id, headers, wallMs: () => ctx.clock.wallMs() });
  return new OpenAiModel(id, settings.place, settings, transport, ctx);
}

class OpenAiModel<P extends Place> implements OpenAiCompatible<P> {
  readonly id: string;
  readonly engine = 'openai';
  readonly place: P;
  readonly abilities: Abilities;
  readonly score?: (request: ScoreRequest<P>, call: Call) => Promise<Scored>;
  readonly embed?: (request: EmbedRequest<P>, call: Call) => Promise<Embedded>;
  readonly #settings: OpenAiSettings;
  readonly #transport: Transport;
  readonly #ctx: EngineContext;

  constructor(id: string, place: P, settings: OpenAiSettings, transport: Transport, ctx: EngineContext) {
    this.id = id;
    this.place = place;
    this.#settings = settings;
    this.#transport = transport;
    this.#ctx = ctx;
    this.abilities = abilitiesOf(settings);
    if (settings.promptLogprobs !== 'none') this.score = (request, call) => this.#score(request, call);
    if (settings.embeddings) this.embed = (request, call) => this.#embed(request, call);
  }

  generate(request: OpenAiRequest<P>, call: Call): AsyncIterable<ModelPart> {
    return call.whole === true ? new WholeAnswer(() => this.#answer(request, call)) : new Flattened(this.#stream(request, call));
  }

  /** The whole answer, fetched in one piece. */
  async #answer(request: OpenAiRequest<P>, call: Call): Promise<Answer> {
    const wire = this.#answerRequest(request);
    const body = JSON.stringify(wire.fields);
    const attempts = this.#attempts(call);
    const { traffic } = attempts;
    for (;;) {
      const exchange = this.#transport.send('POST', wire.path, body, { signal: call.signal, leftMs: attempts.leftMs(), streamed: false, traffic });
      try {
        await exchange.begun();
        if (exchange.status < 200 || exchange.status >= 300) await this.#accepted(exchange);
        const reader = this.#reader(request);
        const parts: ModelPart[] = [];
        const text = exchange.text(REPLY_BYTES_MAX);
        reader.whole(typeof text === 'string' ? text : await text, parts);
        reader.settle(parts);
        try {
          parts.push(reader.finish(wire.promptCharacters, traffic, call));
        } catch (failure) {
          return { parts, failure };
        }
        return { parts };
      } catch (error) {
        exchange.cancel();
        await attempts.again(error);
      } finally {
        exchange.cancel();
      }
    }
  }

  #answerRequest({ adapter, prompt, sampling, more }: OpenAiRequest<P>): WireRequest {
    if (adapter !== undefined) fail('ability_missing', { message: `Member "${this.id}" has no adapters.`, member: this.id });
    const wire = answerRequest(this.id, this.#settings, prompt, sampling);
    if (more !== undefined) Object.assign(wire.fields, more);
    return wire;
  }

  #reader({ prompt }: GenerateRequest<P>): AnswerReader {
    return new AnswerReader(this.id, this.#settings.continuesPrefix === 'last-assistant' ? prompt.prefix : undefined);
  }

  /** The parts of an answer as they come, those together that came together. */
  async *#stream(request: OpenAiRequest<P>, call: Call): AsyncGenerator<readonly ModelPart[], void, undefined> {
    const wire = this.#answerRequest(request);
    Object.assign(wire.fields, { stream: true, stream_options: { include_usage: true } });
    const body = JSON.stringify(wire.fields);
    const attempts = this.#attempts(call);
    const { traffic } = attempts;
    for (;;) {
      let delivered = false;
      const exchange = this.#transport.send('POST', wire.path, body, { signal: call.signal, leftMs: attempts.leftMs(), streamed: true, traffic });
      try {
        await this.#accepted(exchange);
        const reader = this.#reader(request);
        for await (const parts of !exchange.isType('application/json') ? this.#streamed(exchange, reader) : this.#whole(exchange, reader)) {
          delivered = true;
          yield parts;
        }
        exchange.release();
        yield [reader.finish(wire.promptCharacters, traffic, call)];
        return;
      } catch (error) {
        if (delivered) throw error;
        exchange.cancel();
        await attempts.again(error);
      } finally {
        exchange.cancel();
      }
    }
  }

  async check(call: Call): Promise<{ readonly latencyMs: number }> {
    const startMs = this.#ctx.clock.monotonicMs();
    const exchange = this.#transport.send('GET', '/models', null, { signal: call.signal, leftMs: this.#settings.connectTimeoutMs + this.#settings.firstTokenTimeoutMs, streamed: true });
    try {
      await exchange.begun();
      const { status } = exchange;
      if (status === 401 || status === 403 || status >= 500) throw fromStatus(this.id, status, '', undefined);
      return { latencyMs: this.#ctx.clock.monotonicMs() - startMs };
    } finally {
      exchange.release();
    }
  }

  async close(): Promise<void> {
    this.#transport.close();
  }

  async #score(request: ScoreRequest<P>, call: Call): Promise<Scored> {
    const { id } = this;
    const top = request.topLogprobs ?? 0;
    if (top > this.#settings.topLogprobsMax) fail('parameter_unsupported', { message: `Member "${id}" reports at most ${this.#settings.topLogprobsMax} alternatives a token.`, param: 'top_logprobs', member: id });
    if (request.continuation === '') return { tokens: [], logprob: 0, usage: { promptTokens: 0, completionTokens: 0 } };
    const wire = scoringRequest(id, this.#settings, request.prompt, request.continuation, top);
    const reply = await this.#ask(wire.path, wire.fields, call);
    const usage = { promptTokens: tokenCount(reply.usage?.prompt_tokens) ?? 0, completionTokens: tokenCount(reply.usage?.completion_tokens) ?? 0 };
    const tokens = scoredTokens(id, this.#settings, reply, request.continuation, top, usage);
    return { tokens, logprob: tokens.reduce((sum, token) => sum + (token.logprob ?? 0), 0), usage };
  }

  async #embed(request: EmbedRequest<P>, call: Call): Promise<Embedded> {
    const texts: readonly TextFor<P>[] = request.texts;
    if (texts.length === 0) return { vectors: [], usage: { promptTokens: 0, completionTokens: 0 } };
    const reply = await this.#ask('/embeddings', { model: this.#settings.model, input: texts, encoding_format: 'float' }, call);
    return embeddedVectors(this.id, reply, texts, request.dimensions, call);
  }

  /** Sends, reads a whole JSON reply, and tries again where that is allowed. */
  async #ask(path: string, fields: Record<string, unknown>, call: Call): Promise<WireReply> {
    const body = JSON.stringify(fields);
    const attempts = this.#attempts(call);
    for (;;) {
      const exchange = this.#transport.send('POST', path, body, { signal: call.signal, leftMs: attempts.leftMs(), streamed: false, traffic: attempts.traffic });
      try {
        await this.#accepted(exchange);
        const reply = parseReply(await exchange.text(REPLY_BYTES_MAX));
        if (reply === undefined) throw malformed(this.id, 'a body that is not a JSON object');
        if (reply.error != null) throw fromErrorObject(this.id, typeof reply.error === 'object' ? reply.error : {});
        return reply;
      } catch (error) {
        await attempts.again(error);
      } finally {
        exchange.cancel();
      }
    }
  }

  #attempts(call: Call): Attempts {
    const { retriesMax, totalTimeoutMs, retryAfterMsMax } = this.#settings;
    return new Attempts({ member: this.id, retriesMax, totalTimeoutMs, retryAfterMsMax, clock: this.#ctx.clock, random: this.#ctx.random }, call);
  }

  /** Resolves when the server accepts the request. @throws {TandemError} upstream_* */
  async #accepted(exchange: Exchange): Promise<void> {
    await exchange.begun();
    if (exchange.status >= 200 && exchange.status < 300) return;
    const waitMs = exchange.retryAfterMs();
    const body = await Promise.resolve(exchange.text(ERROR_BYTES_MAX)).catch(() => '');
    throw fromStatus(this.id, exchange.status, body, waitMs);
  }

  async *#whole(exchange: Exchange, reader: AnswerReader): AsyncGenerator<ModelPart[], void, undefined> {
    const parts: ModelPart[] = [];
    reader.whole(await exchange.text(REPLY_BYTES_MAX), parts);
    reader.settle(parts);
    yield parts;
  }

  /** One list of parts for all that arrived together. What came before a failure is delivered before it is thrown. */
  async *#streamed(exchange: Exchange, reader: AnswerReader): AsyncGenerator<ModelPart[], void, undefined> {
    if (exchange.isType('text/html')) throw malformed(this.id, 'an HTML page');
    const parser = new SseParser();
    let ended = false;
    while (!reader.done && !ended) {
      const parts: ModelPart[] = [];
      const events: SseEvent[] = [];
      let failure: unknown;
      try {
        const chunks = await exchange.read();
        ended = chunks === undefined;
        for (const chunk of chunks ?? []) if (!parser.push(chunk, events)) throw malformed(this.id, 'an event of more than 16 MiB');
        if (ended) parser.end(events);
        for (const event of events) reader.event(event, parts);
        if (ended && !reader.begun && exchange.bytesDown > 0) throw malformed(this.id, 'a body that is not a stream of events');
      } catch (error) {
        failure = error;
      }
      if (failure !== undefined || ended || reader.done) reader.settle(parts);
      else reader.flush(parts);
      if (parts.length > 0) yield parts;
      if (failure !== undefined) {
        if (reader.complete && lineLost(failure)) return;
        throw failure;
      }
    }
  }
}

/** Whether the line broke or fell silent, which no longer matters once the finish reason has come. */
function lineLost(failure: unknown): boolean {
  return failure instanceof UpstreamError && (failure.code === 'upstream_truncated' || failure.code === 'upstream_timeout');
}

function abilitiesOf(settings: OpenAiSettings): Abilities {
  const levels: Level[] = ['L0'];
  if (settings.logprobs) levels.push('L1');
  if (settings.promptLogprobs !== 'none') levels.push('L2');
  if (settings.embeddings) levels.push('Emb');
  return {
    levels,
    tools: settings.tools,
    formats: formatsOf(settings),
    topLogprobsMax: settings.logprobs || settings.promptLogprobs !== 'none' ? settings.topLogprobsMax : 0,
    sampling: honoured(settings),
    continuesPrefix: settings.continuesPrefix !== 'none',
    attachments: settings.attachments,
    ...(settings.contextTokensMax === undefined ? {} : { contextTokensMax: settings.contextTokensMax }),
  };
}
