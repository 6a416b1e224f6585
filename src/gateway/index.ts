/**
 * The gateway: an OpenAI-compatible HTTP server over a runtime.
 *
 * Knows HTTP, the OpenAI interface and the error catalogue; the way of a request lies in the runtime.
 */
import type { Server } from 'node:http';
import type { Config } from '../config.ts';
import type { TandemError } from '../errors.ts';
import type { Surface } from '../exchange.ts';
import { Bag } from '../system/bag.ts';
import { chatEndpoint } from './chat/endpoint.ts';
import { completionsEndpoint } from './completions/endpoint.ts';
import { embeddingsHandler } from './embeddings.ts';
import { answerCall, type Endpoint, type OpenStreams } from './endpoint.ts';
import { feedbackHandler } from './feedback.ts';
import { healthHandler, createReadiness } from './health.ts';
import { HttpServer } from './http/server.ts';
import { Router, type Handler, type Route } from './http/router.ts';
import { createMetrics, type GatewayCounts } from './metrics.ts';
import { modelHandler, modelsHandler } from './models.ts';
import { pageHandler } from './page.ts';
import type { Peers } from './peers.ts';
import type { Draft } from './parameters/draft.ts';
import { responsesEndpoint } from './responses/endpoint.ts';
import type { GatewayRuntime } from './runtime.ts';
import { traceHandler, tracesHandler } from './traces.ts';

export type { GatewayCounts } from './metrics.ts';
export type { Peers } from './peers.ts';
export type { GatewayRuntime } from './runtime.ts';

/** Streams that were silent this long get a comment. */
const heartbeatMs = 15_000;

/** A gateway. */
export interface Gateway {
  /** Starts listening. @throws {TandemError} address_in_use, config_invalid */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  /** Takes no new work, finishes running answers within `shutdownTimeoutMs`, stops the rest. The runtime stays open. */
  close(): Promise<void>;
  /** Whether a request is being answered. */
  readonly busy: boolean;
  /** What this gateway alone has counted. */
  counts(): GatewayCounts;
  /** The server under it. */
  readonly server: Server;
}

/** How the gateway differs from the runtime's configuration. */
export interface GatewayOptions {
  /** Told of each request that failed through no fault of the caller. Holds no text of requests. */
  readonly onFailure?: (error: TandemError, about: { readonly path: string; readonly traceId: string | undefined }) => void;
  /** Gateways in other threads that listen on the same port (`SO_REUSEPORT`, Linux). Default: none. */
  readonly peers?: Peers;
}

/**
 * Builds the gateway of a runtime. Call `listen` to start it.
 * @param settings default: `runtime.config.gateway`
 */
export function createGateway(runtime: GatewayRuntime, settings: Config['gateway'] = runtime.config.gateway, options: GatewayOptions = {}): Gateway {
  const streams: OpenStreams = new Bag();
  const metrics = createMetrics(runtime, () => ({ working: http.working, streams: streams.size }), options.peers);
  const readiness = createReadiness(runtime, () => http.stopping);
  const router = new Router(routes(runtime, streams, metrics.handler, readiness));
  const http: HttpServer = new HttpServer({
    settings,
    router,
    clock: runtime.clock,
    traceRefused: (error, call) => (call.untraced === undefined ? undefined : runtime.refused(call.untraced, call.key, error)),
    onFailure: (error, call) => options.onFailure?.(error, { path: call.path, traceId: call.traceId }),
    ...(options.peers === undefined ? {} : { peers: options.peers }),
  });
  const heartbeat = setInterval(() => beat(streams), heartbeatMs).unref();
  return {
    listen: () => http.listen(),
    close: async () => {
      await http.close();
      clearInterval(heartbeat);
      metrics.close();
    },
    get busy() {
      return http.working > 0;
    },
    counts: () => metrics.counts(),
    server: http.server,
  };
}

function routes(runtime: GatewayRuntime, streams: OpenStreams, metrics: Handler, readiness: Handler): Route[] {
  const text = <D extends Draft>(endpoint: Endpoint<D>): Handler => (call) => answerCall(endpoint, runtime, streams, call);
  const get = (path: string, handler: Handler): Route => ({ method: 'GET', path, work: false, handler });
  const post = (path: string, handler: Handler): Route => ({ method: 'POST', path, work: true, handler });
  /** A request to the models. The key is looked at before the body: a stranger's is neither read nor traced. */
  const request = (path: string, surface: Surface, handler: Handler): Route =>
    post(path, (call) => {
      runtime.admission.checkKey(call.key);
      call.untraced = surface;
      return handler(call);
    });
  return [
    request('/v1/chat/completions', 'chat', text(chatEndpoint)),
    request('/v1/completions', 'completions', text(completionsEndpoint)),
    request('/v1/responses', 'responses', text(responsesEndpoint)),
    request('/v1/embeddings', 'embeddings', embeddingsHandler(runtime)),
    get('/v1/models', modelsHandler(runtime)),
    get('/v1/models/*', modelHandler(runtime)),
    get('/tandem/traces', tracesHandler(runtime)),
    get('/tandem/traces/*', traceHandler(runtime)),
    post('/tandem/feedback', feedbackHandler(runtime)),
    get('/healthz', healthHandler),
    get('/readyz', readiness),
    get('/metrics', metrics),
    get('/', pageHandler(runtime)),
  ];
}

/** Keeps streams alive that sent nothing since the last beat. */
function beat(streams: OpenStreams): void {
  for (const stream of streams.items()) {
    if (stream.active) stream.active = false;
    else {
      stream.heartbeat();
      stream.active = false;
    }
  }
}
