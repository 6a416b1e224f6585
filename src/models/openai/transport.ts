/**
 * One pool of connections to a server, and one exchange of a request and its reply over it.
 *
 * Built on undici's `dispatch`: no streams, no fetch, one object an exchange. Owns the time-outs, cancelling, byte
 * counts and back-pressure; turns lost connections into errors of the catalogue. Knows nothing of the protocol inside.
 */
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { TandemError } from '../../errors.ts';
import { atTurnEnd } from '../../system/turn.ts';
import { malformed, retryAfterMs, timedOut, truncated, unreachable } from './failure.ts';
import type { TimeoutName } from './failure.ts';

/** How to reach a server. */
export interface TransportSettings {
  /** Member id, for messages. */
  readonly member: string;
  readonly baseUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connectionsMax: number;
  readonly connectTimeoutMs: number;
  readonly firstTokenTimeoutMs: number;
  readonly betweenTokensTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** Milliseconds since 1970, for Retry-After dates. */
  readonly wallMs: () => number;
}

/** What one exchange needs beside its body. */
export interface ExchangeOptions {
  readonly signal: AbortSignal;
  /** Milliseconds until `totalTimeoutMs` is over. */
  readonly leftMs: number;
  /** Whether the reply comes in pieces, so that the first one and the pauses between them have their own time-outs. */
  readonly streamed: boolean;
}

type ReplyHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Bytes that wait unread before the connection is paused. */
const WAITING_BYTES_MAX = 262_144;
/** How long a reply that nobody reads any more may take to end before its connection is closed. Milliseconds. */
const DRAIN_MS = 1_000;

/** The connections to one server. */
export class Transport {
  readonly settings: TransportSettings;
  readonly #pool: Pool;
  readonly #basePath: string;
  readonly #headers: string[];
  #closed = false;

  constructor(settings: TransportSettings) {
    const url = new URL(settings.baseUrl);
    this.settings = settings;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#headers = ['content-type', 'application/json', ...Object.entries(settings.headers).flat()];
    this.#pool = new Pool(url.origin, {
      connections: settings.connectionsMax,
      pipelining: 1,
      connectTimeout: settings.connectTimeoutMs,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /** Begins an exchange. Await `begun` of the result before reading. @throws {TandemError} cancelled, engine_failed after `close` */
  send(method: 'POST' | 'GET', path: string, body: Buffer | null, options: ExchangeOptions): Exchange {
    if (this.#closed) throw new TandemError('engine_failed', { member: this.settings.member, message: `Member "${this.settings.member}" is closed.` });
    const exchange = new Exchange(this.settings, options);
    if (!options.signal.aborted) this.#pool.dispatch({ method, path: `${this.#basePath}${path}`, headers: this.#headers, body }, exchange);
    return exchange;
  }

  /** Closes every connection at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pool.destroy();
  }
}

/** One request and its reply. Always end it with `cancel`, after `release` when the reply was understood. */
export class Exchange implements Dispatcher.DispatchHandler {
  /** Status of the reply; 0 before it came. */
  status = 0;
  /** Headers of the reply, names in lower case. */
  headers: ReplyHeaders = {};
  /** Bytes of the reply's body so far. */
  bytesDown = 0;
  readonly #settings: TransportSettings;
  readonly #options: ExchangeOptions;
  #controller: Dispatcher.DispatchController | undefined;
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #paused = false;
  #over = false;
  #released = false;
  #failure: TandemError | undefined;
  #wake: (() => void) | undefined;
  readonly #totalTimer: NodeJS.Timeout;
  #gapTimer: NodeJS.Timeout | undefined;

  constructor(settings: TransportSettings, options: ExchangeOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#totalTimer = setTimeout(this.#onTotal, options.leftMs);
    if (options.signal.aborted) this.#onAbort();
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Resolves when status and headers are here; for a reply that is not streamed, when all or much of it is here. @throws {TandemError} upstream_unreachable, upstream_timeout, cancelled */
  async begun(): Promise<void> {
    while (this.status === 0 && this.#failure === undefined) await this.#change();
    if (this.status === 0) throw this.#failure;
  }

  /** The pieces that came since the last call; undefined at the end. @throws {TandemError} upstream_timeout, upstream_truncated, cancelled */
  async read(): Promise<readonly Buffer[] | undefined> {
    while (this.#chunks.length === 0 && !this.#over) await this.#change();
    if (this.#failure?.code === 'cancelled') throw this.#failure;
    if (this.#chunks.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      return undefined;
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#waitingBytes = 0;
    if (this.#paused) {
      this.#paused = false;
      this.#gapTimer?.refresh();
      this.#controller?.resume();
    }
    return chunks;
  }

  /** The whole body as text. @throws {TandemError} as `read`, and upstream_malformed beyond `bytesMax` */
  async text(bytesMax: number): Promise<string> {
    const [only] = this.#chunks;
    if (this.#over && this.#failure === undefined && only !== undefined && this.#chunks.length === 1 && this.bytesDown === only.length && this.bytesDown <= bytesMax) {
      this.#chunks = [];
      return only.toString('utf8');
    }
    const all: Buffer[] = [];
    for (let chunks = await this.read(); chunks !== undefined; chunks = await this.read()) {
      for (const chunk of chunks) all.push(chunk);
      if (this.bytesDown > bytesMax) throw malformed(this.#settings.member, `more than ${bytesMax} bytes`);
    }
    return all.length === 1 ? all[0]!.toString('utf8') : Buffer.concat(all).toString('utf8');
  }

  /** Whether the content type of the reply begins so. */
  isType(type: string): boolean {
    const value = this.headers['content-type'];
    return typeof value === 'string' && value.toLowerCase().startsWith(type);
  }

  /** Retry-After of the reply in milliseconds. */
  retryAfterMs(): number | undefined {
    return retryAfterMs(this.headers, this.#settings.wallMs());
  }

  /** Says that no more will be read. The rest of a reply is let through, briefly, so that its connection can be used again. */
  release(): void {
    if (this.#over || this.#released) return;
    this.#released = true;
    this.#chunks = [];
    this.#detach();
    this.#gapTimer = setTimeout(() => this.#stop(cancelled()), DRAIN_MS).unref();
    if (this.#paused) this.#controller?.resume();
  }

  /** Closes the connection at once, unless the reply has ended or was released. */
  cancel(): void {
    if (!this.#over && !this.#released) this.#stop(cancelled());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(this.#failure ?? cancelled());
    else if (this.#options.streamed) this.#gapTimer = setTimeout(this.#onGap, this.#settings.firstTokenTimeoutMs);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: ReplyHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
    if (this.#options.streamed) this.#signalChange();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over || this.#released) return;
    if (this.bytesDown === 0 && this.#gapTimer !== undefined) {
      clearTimeout(this.#gapTimer);
      this.#gapTimer = setTimeout(this.#onGap, this.#settings.betweenTokensTimeoutMs);
    } else {
      this.#gapTimer?.refresh();
    }
    this.bytesDown += chunk.length;
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#paused = true;
      controller.pause();
    } else if (!this.#options.streamed) return;
    this.#signalChange();
  }

  onResponseEnd(): void {
    this.#finish(undefined);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#finish(this.#explain(error));
  }

  #explain(error: Error & { code?: unknown }): TandemError {
    const { member, connectTimeoutMs } = this.#settings;
    if (TandemError.is(error)) return error;
    if (error.code === 'UND_ERR_CONNECT_TIMEOUT') return timedOut(member, 'connectTimeoutMs', connectTimeoutMs);
    if (this.status !== 0) return truncated(member, error);
    if (error.name === 'HTTPParserError') return malformed(member, 'something that is not HTTP');
    return unreachable(member, error);
  }

  readonly #onAbort = (): void => {
    this.#stop(cancelled(this.#options.signal.reason));
  };

  readonly #onTotal = (): void => {
    this.#stop(timedOut(this.#settings.member, 'totalTimeoutMs', this.#settings.totalTimeoutMs));
  };

  readonly #onGap = (): void => {
    if (this.#paused) return;
    const name: TimeoutName = this.bytesDown === 0 ? 'firstTokenTimeoutMs' : 'betweenTokensTimeoutMs';
    this.#stop(timedOut(this.#settings.member, name, this.#settings[name]));
  };

  #stop(why: TandemError): void {
    if (this.#over) return;
    this.#finish(why);
    this.#controller?.abort(why);
  }

  #finish(failure: TandemError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#detach();
    this.#signalChange();
  }

  #detach(): void {
    clearTimeout(this.#totalTimer);
    clearTimeout(this.#gapTimer);
    this.#options.signal.removeEventListener('abort', this.#onAbort);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #signalChange(): void {
    if (this.#wake === undefined) return;
    atTurnEnd(this.#wake);
    this.#wake = undefined;
  }
}

function cancelled(cause?: unknown): TandemError {
  return new TandemError('cancelled', { message: 'The request was cancelled.', cause });
}
