/**
 * One HTTP request and its reply: reading the body, the signal that says that the client is gone, and the ways to reply.
 * Every reply is JSON, an event stream, or plain text of our own; every failure is an OpenAI-shaped error.
 */
import type { ServerResponse } from 'node:http';
import type { Config } from '../../config.ts';
import { TandemError } from '../../errors.ts';
import type { Surface } from '../../exchange.ts';
import { Aborter } from '../../system/abort.ts';
import type { JsonObject } from '../parameters/reading.ts';
import { checkMediaType, parseJson, readBody } from './body.ts';
import { EventStream } from './event-stream.ts';
import type { Incoming } from './incoming.ts';
import type { Untaken } from './untaken.ts';

/** Longest time that is spent reading the rest of a body that was refused, so that the client can see the reply. */
const lingerMs = 1_000;

/** One HTTP request and its reply. */
export class HttpCall {
  readonly request: Incoming;
  readonly response: ServerResponse;
  /** Path without the query, as it came. */
  readonly path: string;
  /** What follows the fixed part of the path, decoded; empty for fixed paths. */
  tail = '';
  readonly #query: string;
  readonly #settings: Pick<Config['gateway'], 'bodyBytesMax'>;
  readonly #untaken: Untaken;
  #abort: Aborter | undefined;
  /** Id of the trace, once there is one; also sent with errors. */
  traceId: string | undefined;
  /** The interface that a known caller asks, as long as nobody else sees to a trace: if the call is refused, it leaves one by this name. */
  untraced: Surface | undefined;

  /** @param settings largest body @param untaken disconnects a client that does not read */
  constructor(request: Incoming, response: ServerResponse, settings: Pick<Config['gateway'], 'bodyBytesMax'>, untaken: Untaken) {
    this.request = request;
    this.response = response;
    this.#settings = settings;
    this.#untaken = untaken;
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.#query = mark < 0 ? '' : url.slice(mark + 1);
  }

  /** The query's fields. */
  get query(): URLSearchParams {
    return new URLSearchParams(this.#query);
  }

  /** The key that the caller shows: `authorization: Bearer …`, `x-api-key` or `api-key`. */
  get key(): string | undefined {
    const { authorization, 'x-api-key': xApiKey, 'api-key': apiKey } = this.request.headers;
    if (authorization !== undefined) {
      if (authorization.length > 7 && authorization.slice(0, 7).toLowerCase() === 'bearer ') return authorization.slice(7).trim();
      return authorization;
    }
    const other = xApiKey ?? apiKey;
    return Array.isArray(other) ? other[0] : other;
  }

  /** Aborted when the client goes away, or by `abort`. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new Aborter();
      this.#abort = abort;
      if (this.response.destroyed) abort.abort(gone());
      else
        this.response.once('close', () => {
          if (!this.response.writableFinished) abort.abort(gone());
        });
    }
    return this.#abort.signal;
  }

  /** Stops the work on this call; used when the gateway stops. */
  abort(reason: TandemError): void {
    this.#abort?.abort(reason);
  }

  /** The body. @throws {TandemError} media_type_unsupported, body_too_large, body_malformed, cancelled */
  readJson(): Promise<JsonObject> {
    return this.withJson((body) => body);
  }

  /** Does something with the body as soon as it is here. @throws {TandemError} as `readJson`, and what `use` throws */
  withJson<T>(use: (body: JsonObject) => T | Promise<T>): Promise<T> {
    checkMediaType(this.request);
    return readBody(this.request, this.#settings.bodyBytesMax, parseJson, use);
  }

  /** An event stream as the reply. @param headers more headers, name after name and value, asked for when the stream begins */
  events(headers: () => readonly string[]): EventStream {
    return new EventStream(this.response, headers, this.#untaken);
  }

  /** Replies with JSON. @param headers more headers, name after name and value */
  json(status: number, body: object | string, headers: readonly string[] = []): void {
    this.text(status, 'application/json', typeof body === 'string' ? body : JSON.stringify(body), headers);
  }

  /** Replies with a text. */
  text(status: number, type: string, body: string, headers: readonly string[] = []): void {
    const { response, request } = this;
    if (response.headersSent || response.destroyed) return;
    const length = Buffer.byteLength(body);
    const all = ['content-type', type, 'content-length', String(length), ...headers];
    const readAll = request.complete || request.method === 'GET' || request.method === 'HEAD' || request.method === 'OPTIONS';
    if (readAll) {
      response.writeHead(status, all);
      // Text that is all ASCII is the same in both encodings, and Latin-1 is written faster.
      response.end(body, length === body.length ? 'latin1' : 'utf8');
      this.#untaken.watch(response);
      return;
    }
    // The body was refused before it was read: the reply goes out at once, the connection closes once the client has
    // stopped sending. Closing right away would reset the connection and the client would never see the reply.
    response.writeHead(status, [...all, 'connection', 'close']);
    response.write(body);
    request.resume();
    const close = (): void => {
      clearTimeout(timer);
      response.end();
    };
    const timer = setTimeout(close, lingerMs);
    request.once('end', close);
    request.once('close', close);
  }

  /** Replies with an error, if nothing was sent yet. */
  error(thrown: unknown): void {
    const error = TandemError.from(thrown);
    this.json(error.status, error.toOpenAi(), errorHeaders(error, this.traceId));
  }
}

function gone(): TandemError {
  return new TandemError('cancelled', { message: 'The client went away before the answer was finished.' });
}

/** Headers of an error reply. `x-should-retry` is what OpenAI's clients obey. */
function errorHeaders(error: TandemError, traceId: string | undefined): string[] {
  const headers: string[] = [];
  if (traceId !== undefined) headers.push('x-tandem-trace', traceId);
  if (error.retryAfterMs !== undefined) headers.push('retry-after', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))), 'retry-after-ms', String(Math.ceil(error.retryAfterMs)));
  if (error.status === 408 || error.status === 429 || error.status >= 500) headers.push('x-should-retry', String(error.retryable));
  if (error.status === 401) headers.push('www-authenticate', 'Bearer');
  return headers;
}
