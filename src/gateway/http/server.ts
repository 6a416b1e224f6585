/**
 * The HTTP server: limits on headers, time and number, dispatch, and a stop that lets running answers finish.
 * Knows HTTP only. Bare `node:http`: measured here, a router of 15 fixed paths did not pay for a framework's share of
 * each request, and every failure below the framework (431, 408, 400) would need the same code as here anyway.
 */
import { createServer, STATUS_CODES, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Config } from '../../config.ts';
import { TandemError, type ErrorCode } from '../../errors.ts';
import { Bag } from '../../system/bag.ts';
import type { Clock } from '../../system/clock.ts';
import { requestBegins, requestEnds } from '../../system/turn.ts';
import { HttpCall } from './call.ts';
import { allowOrigin, answerOptions } from './cors.ts';
import { HostNames } from './hosts.ts';
import { Incoming } from './incoming.ts';
import type { Route, Router } from './router.ts';
import { Untaken } from './untaken.ts';

/** After the shutdown time-out, answers get this long to tell their clients that they were stopped. */
const lastWordsMs = 500;

/** What the server needs. */
export interface HttpServerOptions {
  readonly settings: Config['gateway'];
  readonly router: Router;
  readonly clock: Clock;
  /** Servers in other threads on the same port: the number of requests in flight is theirs too. */
  readonly peers?: { readonly inFlight: Int32Array };
  /** Leaves the trace of a call that was refused before it had one; gives its id. */
  readonly traceRefused: (error: TandemError, call: HttpCall) => string | undefined;
  /** Told of each failure that is not the caller's; for the log. */
  readonly onFailure: (error: TandemError, call: HttpCall) => void;
}

/** The HTTP server. */
export class HttpServer {
  readonly server: Server;
  readonly #options: HttpServerOptions;
  readonly #running = new Bag<HttpCall>();
  readonly #untaken: Untaken;
  /** Where no key is asked for. */
  readonly #hosts: HostNames | undefined;
  #stopping = false;
  #idle: (() => void) | undefined;

  /** @param options settings and routes */
  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { settings } = options;
    this.#untaken = new Untaken(settings.writeTimeoutMs);
    this.#hosts = settings.keys.length === 0 ? new HostNames([settings.host, ...settings.hosts]) : undefined;
    const timeoutMs = settings.requestTimeoutMs;
    const server = createServer({
      IncomingMessage: Incoming,
      maxHeaderSize: settings.headerBytesMax,
      requestTimeout: timeoutMs,
      headersTimeout: timeoutMs,
      keepAliveTimeout: settings.idleTimeoutMs,
      connectionsCheckingInterval: Math.min(1_000, Math.max(10, Math.floor(timeoutMs / 4))),
      noDelay: true,
      // Node's own refusal has no body.
      requireHostHeader: false,
    });
    this.server = server as Server;
    server.on('request', (request, response) => this.#handle(request, response));
    server.on('checkContinue', (request, response) => {
      if (!(Number(request.headers['content-length'] ?? 0) > settings.bodyBytesMax)) response.writeContinue();
      this.#handle(request, response);
    });
    // Without a listener, Node refuses it with no body.
    server.on('checkExpectation', (request, response) => this.#refuse(new HttpCall(request, response, settings, this.#untaken), malformed('The header Expect: expected 100-continue, got another expectation.')));
    server.on('clientError', refuseConnection);
  }

  /** Requests being worked on. */
  get working(): number {
    return this.#running.size;
  }

  /** Whether the server takes no new work. */
  get stopping(): boolean {
    return this.#stopping;
  }

  /** Starts listening. @throws {TandemError} address_in_use, config_invalid */
  listen(): Promise<{ readonly url: string; readonly port: number }> {
    const { host, port } = this.#options.settings;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(cannotListen(error, host, port));
      this.server.once('error', onError);
      this.server.listen({ port, host, reusePort: this.#options.peers !== undefined }, () => {
        this.server.off('error', onError);
        const address = this.server.address() as AddressInfo;
        resolve({ url: `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`, port: address.port });
      });
    });
  }

  /** Takes no new work, lets running answers finish and leave for `shutdownTimeoutMs`, then stops them. */
  async close(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#stopListening();
    }
    const { clock, settings } = this.#options;
    if (!(await this.#quiet(clock, settings.shutdownTimeoutMs)) && this.#running.size > 0) {
      for (const call of this.#running.items()) call.abort(stopping());
      await this.#quiet(clock, lastWordsMs);
    }
    this.server.closeAllConnections();
  }

  /** Takes no new connections, and closes those that are idle. */
  #stopListening(): void {
    // Node takes a connection for idle as soon as its reply is finished, and would cut off what is still leaving.
    const leaving = this.#untaken.leaving();
    for (const reply of leaving) reply.finished = false;
    this.server.close();
    for (const reply of leaving) reply.finished = true;
  }

  /** Whether nothing runs or leaves any more, waiting this long for it. */
  async #quiet(clock: Clock, waitMs: number): Promise<boolean> {
    const enough = new AbortController();
    const waited = clock.sleep(waitMs, enough.signal).then(() => false, () => false);
    const quiet = await Promise.race([this.#allLeft(), waited]);
    enough.abort();
    return quiet;
  }

  /** Waits until nothing runs or leaves any more. */
  async #allLeft(): Promise<true> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    for (let leaving = this.#untaken.leaving(); leaving.length > 0; leaving = this.#untaken.leaving()) {
      await Promise.all(leaving.map((reply) => new Promise((resolve) => reply.once('close', resolve))));
    }
    return true;
  }

  #handle(request: Incoming, response: ServerResponse): void {
    const { settings, router } = this.#options;
    const call = new HttpCall(request, response, settings, this.#untaken);
    if (request.headers.host === undefined && request.httpVersion === '1.1') return this.#refuse(call, malformed('The header Host is required in HTTP/1.1 (RFC 9112, section 3.2).'));
    if (this.#hosts !== undefined && !this.#hosts.accept(request.headers.host)) return this.#refuse(call, foreignHost(this.#hosts));
    const allowed = settings.corsOrigins.length > 0 && allowOrigin(request, response, settings.corsOrigins);
    if (this.#stopping) response.setHeader('connection', 'close');
    try {
      if (request.method === 'OPTIONS' && router.methods(call.path).length > 0) return answerOptions(request, response, router.methods(call.path), allowed);
      const route = router.find(call);
      if (route.work) this.#work(route, call);
      else void this.#answer(route, call);
    } catch (thrown) {
      this.#refuse(call, thrown);
    }
  }

  #work(route: Route, call: HttpCall): void {
    if (this.#stopping) return this.#refuse(call, stopping());
    const { concurrentMax } = this.#options.settings;
    const inFlight = this.#options.peers?.inFlight;
    const others = inFlight === undefined ? this.#running.size : Atomics.add(inFlight, 0, 1);
    if (others >= concurrentMax) {
      if (inFlight !== undefined) Atomics.sub(inFlight, 0, 1);
      return this.#refuse(call, new TandemError('overloaded', { message: `${concurrentMax} requests are in flight.`, retryAfterMs: 1_000 }));
    }
    const ticket = this.#running.add(call);
    requestBegins();
    void this.#answer(route, call).finally(() => {
      requestEnds();
      if (inFlight !== undefined) Atomics.sub(inFlight, 0, 1);
      this.#running.remove(ticket);
      if (this.#running.size === 0) this.#idle?.();
    });
  }

  /** Never rejects: what a handler throws becomes a reply. */
  async #answer(route: Route, call: HttpCall): Promise<void> {
    try {
      await route.handler(call);
    } catch (thrown) {
      this.#refuse(call, thrown);
    }
  }

  #refuse(call: HttpCall, thrown: unknown): void {
    const error = TandemError.from(thrown);
    if (error.code === 'method_not_allowed') call.response.setHeader('allow', this.#options.router.methods(call.path).join(', '));
    if (call.untraced !== undefined) call.traceId = this.#options.traceRefused(error, call);
    if (error.status >= 500) this.#options.onFailure(error, call);
    call.error(error);
  }
}

/** Why an address cannot be listened on, in the catalogue's words. */
export function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): TandemError {
  if (error.code === 'EADDRINUSE') return new TandemError('address_in_use', { message: `Another process listens on ${host}:${port}.`, cause: error });
  return new TandemError('config_invalid', { message: `Cannot listen on ${host}:${port} (${error.code ?? 'unknown'}).`, param: error.code === 'EACCES' ? 'gateway.port' : 'gateway.host', cause: error });
}

function foreignHost(hosts: HostNames): TandemError {
  return new TandemError('host_refused', { message: `The header Host: expected one of ${hosts.list}, got another name.` });
}

function malformed(message: string): TandemError {
  return new TandemError('request_malformed', { message });
}

function stopping(): TandemError {
  return new TandemError('shutting_down', { message: 'The gateway is stopping.', retryAfterMs: 1_000 });
}

const connectionErrors: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers_too_large', 'The headers are larger than the gateway accepts.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'The request was not sent completely in time.'],
};

/** Replies to what never became a request: headers that are too large, too slow, or not HTTP. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  const started = (socket as Socket & { readonly _httpMessage?: ServerResponse | null })._httpMessage?.headersSent === true;
  if (error.code === 'ECONNRESET' || !socket.writable || started) {
    socket.destroy();
    return;
  }
  const [code, message] = connectionErrors[error.code ?? ''] ?? ['request_malformed', 'The bytes are not a valid HTTP request.'];
  const refusal = new TandemError(code, { message });
  const body = JSON.stringify(refusal.toOpenAi());
  socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? ''}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}
