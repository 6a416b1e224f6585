/**
 * One pool of connections to a server, and one exchange of a request and its reply over it.
 *
 * No streams, no fetch, one object an exchange. Owns the time-outs, cancelling, byte counts and back-pressure; turns lost
 * connections into errors of the catalogue. `http/` moves the bytes; this file knows nothing of the protocol inside them.
 */
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { fail, TandemError } from '../../errors.ts';
import { offAbort, onAbort } from '../../system/abort.ts';
import { systemClock } from '../../system/clock.ts';
import { Deadlines } from '../../system/deadlines.ts';
import { withOthers } from '../../system/turn.ts';
import type { Traffic } from '../port.ts';
import { malformed, retryAfterMs, timedOut, truncated, unreachable } from './failure.ts';
import type { TimeoutName } from './failure.ts';
import type { ConnectionFailure, Sender, Sending } from './http/connection.ts';
import { ConnectionPool } from './http/pool.ts';
import type { ReplyHead } from './http/reply-head.ts';

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
  /** Told what goes over the line. Default: nobody is. */
  readonly traffic?: Traffic;
}

/** Bytes that wait unread before the connection is paused. */
const WAITING_BYTES_MAX = 262_144;
/** How long a reply that nobody reads any more may take to end before its connection is closed. Milliseconds. */
const DRAIN_MS = 1_000;

/** Headers that the transport itself sets, or that would change where a message ends. */
const reserved = new Set(['connection', 'content-length', 'expect', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

/** The connections to one server. */
export class Transport {
  readonly settings: TransportSettings;
  readonly #pool: ConnectionPool;
  readonly #left: () => void;
  /** Time-outs of a line are about the line, so they go by the machine's clock. */
  readonly #deadlines = new Deadlines(systemClock);
  readonly #basePath: string;
  /** Header lines of every request. */
  readonly #headers: string;
  #closed = false;

  /** @throws {TandemError} config_invalid for a header that cannot be sent */
  constructor(settings: TransportSettings) {
    const url = new URL(settings.baseUrl);
    const secure = url.protocol === 'https:';
    this.settings = settings;
    this.#basePath = url.pathname.replace(/\/+$/, '');
    this.#headers = headerLines(settings, url.host);
    const origin = { secure, host: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port) || (secure ? 443 : 80) };
    this.#pool = new ConnectionPool({ origin, connectionsMax: settings.connectionsMax, connectTimeoutMs: settings.connectTimeoutMs });
    this.#left = () => this.#pool.left();
  }

  /** Begins an exchange. `body`: JSON, or null for none. Await `begun` of the result before reading. @throws {TandemError} cancelled, engine_failed after `close` */
  send(method: 'POST' | 'GET', path: string, body: string | null, options: ExchangeOptions): Exchange {
    if (this.#closed) throw new TandemError('engine_failed', { member: this.settings.member, message: `Member "${this.settings.member}" is closed.` });
    const bodyBytes = body === null ? 0 : Buffer.byteLength(body);
    const exchange = new Exchange(this.settings, this.#deadlines, options, bodyBytes, this.#left);
    if (options.signal.aborted) return exchange;
    const length = body === null ? '' : `content-length: ${bodyBytes}\r\n`;
    this.#pool.send({ head: `${method} ${this.#basePath}${path} HTTP/1.1\r\n${this.#headers}${length}\r\n`, body: body ?? '', bodyBytes }, exchange);
    return exchange;
  }

  /** Closes every connection at once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pool.close();
  }
}

/** @throws {TandemError} config_invalid */
function headerLines({ member, headers }: TransportSettings, host: string): string {
  const all: Record<string, string> = { host, connection: 'keep-alive', 'content-type': 'application/json' };
  for (const [name, value] of Object.entries(headers)) {
    const param = `members.${member}.headers.${name}`;
    if (reserved.has(name.toLowerCase())) fail('config_invalid', { message: `${param}: this header is set for each request and cannot be configured.`, param, member });
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      fail('config_invalid', { message: `${param}: expected a name and a value that HTTP can carry, got other characters.`, param, member });
    }
    all[name.toLowerCase()] = value;
  }
  return Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('');
}

/** One request and its reply. Always end it with `cancel`, after `release` when the reply was understood. */
export class Exchange implements Sender {
  /** Status of the reply; 0 before it came. */
  status = 0;
  /** Bytes of the reply's body so far. */
  bytesDown = 0;
  readonly #settings: TransportSettings;
  readonly #options: ExchangeOptions;
  readonly #bodyBytes: number;
  readonly #left: () => void;
  #sending: Sending | undefined;
  #head: ReplyHead | undefined;
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #paused = false;
  #over = false;
  #released = false;
  #failure: TandemError | undefined;
  #wake: (() => void) | undefined;
  /** Takes the deadline of the whole exchange back. */
  readonly #unwatch: () => void;
  #gapTimer: NodeJS.Timeout | undefined;

  /** @param bodyBytes size of the request's body @param left told when the exchange is over before its request was written */
  constructor(settings: TransportSettings, deadlines: Deadlines, options: ExchangeOptions, bodyBytes: number, left: () => void) {
    this.#settings = settings;
    this.#options = options;
    this.#bodyBytes = bodyBytes;
    this.#left = left;
    this.#unwatch = deadlines.watch(options.leftMs, this.#onTotal);
    if (options.signal.aborted) this.#onAbort();
    else onAbort(options.signal, this.#onAbort);
  }

  /** Resolves when status and headers are here; for a reply that is not streamed, when all or much of it is here. @throws {TandemError} upstream_unreachable, upstream_timeout, cancelled */
  begun(): Promise<void> {
    return new Promise((resolve, reject) => {
      // Nothing is told before there is a status or a failure.
      const tell = (): void => (this.status === 0 ? reject(this.#failure) : resolve());
      if (this.status === 0 && this.#failure === undefined) this.#wake = tell;
      else tell();
    });
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
      this.#sending?.resume();
    }
    return chunks;
  }

  /** The whole body as text, at once where it is here. @throws {TandemError} as `read`, and upstream_malformed beyond `bytesMax` */
  text(bytesMax: number): string | Promise<string> {
    const [only] = this.#chunks;
    if (this.#over && this.#failure === undefined && only !== undefined && this.#chunks.length === 1 && this.bytesDown === only.length && this.bytesDown <= bytesMax) {
      this.#chunks = [];
      return only.toString('utf8');
    }
    return this.#gathered(bytesMax);
  }

  async #gathered(bytesMax: number): Promise<string> {
    const all: Buffer[] = [];
    for (let chunks = await this.read(); chunks !== undefined; chunks = await this.read()) {
      for (const chunk of chunks) all.push(chunk);
      if (this.bytesDown > bytesMax) throw malformed(this.#settings.member, `more than ${bytesMax} bytes`);
    }
    return all.length === 1 ? all[0]!.toString('utf8') : Buffer.concat(all).toString('utf8');
  }

  /** Whether the content type of the reply begins so. */
  isType(type: string): boolean {
    return this.#head?.get('content-type')?.toLowerCase().startsWith(type) === true;
  }

  /** Retry-After of the reply in milliseconds. */
  retryAfterMs(): number | undefined {
    return retryAfterMs((name) => this.#head?.get(name), this.#settings.wallMs());
  }

  /** Says that no more will be read. The rest of a reply is let through, briefly, so that its connection can be used again. */
  release(): void {
    if (this.#over || this.#released) return;
    this.#released = true;
    this.#chunks = [];
    this.#detach();
    this.#gapTimer = setTimeout(() => this.#stop(cancelled()), DRAIN_MS).unref();
    if (this.#paused) this.#sending?.resume();
  }

  /** Closes the connection at once, unless the reply has ended or was released. */
  cancel(): void {
    if (!this.#over && !this.#released) this.#stop(cancelled());
  }

  /** Whether the reply has ended, or failed, or is not wanted any more. */
  get over(): boolean {
    return this.#over;
  }

  onSent(sending: Sending): void {
    this.#sending = sending;
    if (this.#over) return sending.abort();
    const { traffic, streamed } = this.#options;
    if (traffic !== undefined) {
      traffic.bytesUp += this.#bodyBytes;
      traffic.work = streamed ? 'seen' : 'unseen';
    }
    if (streamed) this.#gapTimer = setTimeout(this.#onGap, this.#settings.firstTokenTimeoutMs);
  }

  onHead(head: ReplyHead): void {
    this.status = head.status;
    this.#head = head;
    if (this.#options.streamed) this.#signalChange();
  }

  onData(bytes: Buffer): void {
    if (this.#over || this.#released) return;
    if (this.bytesDown === 0 && this.#gapTimer !== undefined) {
      clearTimeout(this.#gapTimer);
      this.#gapTimer = setTimeout(this.#onGap, this.#settings.betweenTokensTimeoutMs);
    } else {
      this.#gapTimer?.refresh();
    }
    this.bytesDown += bytes.length;
    if (this.#options.traffic !== undefined) this.#options.traffic.bytesDown += bytes.length;
    this.#chunks.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#paused = true;
      this.#sending?.pause();
    } else if (!this.#options.streamed) return;
    this.#signalChange();
  }

  onEnd(): void {
    // All of it is here, so nothing that was written is unseen.
    if (this.#options.traffic?.work === 'unseen') this.#options.traffic.work = 'seen';
    this.#finish(undefined);
  }

  onFailure(failure: ConnectionFailure): void {
    this.#finish(this.#explain(failure));
  }

  #explain(failure: ConnectionFailure): TandemError {
    const { member, connectTimeoutMs } = this.#settings;
    if (failure.kind === 'connect-timeout') return timedOut(member, 'connectTimeoutMs', connectTimeoutMs);
    if (this.status !== 0) return truncated(member, failure);
    if (failure.kind === 'malformed') return malformed(member, 'something that is not HTTP');
    return unreachable(member, failure.cause, this.#sending !== undefined);
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
    if (this.#sending === undefined) this.#left();
    else this.#sending.abort();
  }

  #finish(failure: TandemError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#failure = failure;
    this.#detach();
    this.#signalChange();
  }

  #detach(): void {
    this.#unwatch();
    clearTimeout(this.#gapTimer);
    offAbort(this.#options.signal, this.#onAbort);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #signalChange(): void {
    if (this.#wake === undefined) return;
    const wake = this.#wake;
    this.#wake = undefined;
    withOthers(wake);
  }
}

function cancelled(cause?: unknown): TandemError {
  return new TandemError('cancelled', { message: 'The request was cancelled.', cause });
}
