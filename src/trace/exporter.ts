/**
 * Sends finished traces to an OpenTelemetry collector over OTLP/HTTP with JSON. Off unless an endpoint is set; the
 * OpenTelemetry packages are loaded with the first trace that is sent. Taking a trace costs an array slot: traces gather
 * for a second, go out one batch at a time, and the oldest are dropped and counted when the collector cannot follow.
 */
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { Config } from '../config.ts';
import { TandemError } from '../errors.ts';
import { isSampled, otelSpans, type ServerAddresses } from './otel.ts';
import type { TraceRecord } from './trace.ts';

/** Sends traces. */
export interface Exporter {
  /** Queues a trace. Never throws. */
  send(record: TraceRecord): void;
  /** Traces that the collector did not get: dropped from a full queue, or refused. */
  readonly lostTraces: number;
  /** Resolves when everything queued was sent or given up. */
  flush(): Promise<void>;
  /** Flushes, then takes nothing more. Safe to call twice. */
  close(): Promise<void>;
}

/** What the exporter is given of the outside world. */
export interface ExporterContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where members' servers are; the spans of their calls name it. Default: none is named. */
  readonly servers?: ServerAddresses;
  /** How long traces gather, in milliseconds. Default 1000. */
  readonly gatherMs?: number;
  /** Traces that wait at most. Default 2000. */
  readonly queuedTracesMax?: number;
  /** How long a batch may take to send, retries included, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
}

type Send = (spans: ReadableSpan[]) => Promise<boolean>;
interface Sink {
  readonly send: Send;
  readonly resource: Resource;
  readonly shutdown: () => Promise<void>;
}

const tracesABatch = 200;

/** Makes the exporter; undefined when neither `telemetry.otlpUrl` nor OTEL_EXPORTER_OTLP_TRACES_ENDPOINT nor OTEL_EXPORTER_OTLP_ENDPOINT is set. */
export function createExporter(settings: Config['telemetry'], context: ExporterContext): Exporter | undefined {
  const url = settings.otlpUrl ?? endpointOf(context.env);
  if (url === undefined) return undefined;
  const { gatherMs = 1_000, queuedTracesMax = 2_000, timeoutMs = 10_000, servers = new Map() } = context;
  return new OtlpExporter(() => connect(url, settings.serviceName, timeoutMs), servers, gatherMs, queuedTracesMax);
}

/** The endpoint by the OTLP exporter specification: that of traces as it stands, else the general one, a base to which the path of traces is added. Empty is not set. */
function endpointOf(env: ExporterContext['env']): string | undefined {
  const own = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? '';
  const base = env['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '';
  if (own !== '') return own;
  return base === '' ? undefined : `${base.replace(/\/$/, '')}/v1/traces`;
}

async function connect(url: string, serviceName: string, timeoutMs: number): Promise<Sink> {
  try {
    const [{ OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([import('@opentelemetry/exporter-trace-otlp-http'), import('@opentelemetry/resources')]);
    const exporter = new OTLPTraceExporter({ url, timeoutMillis: timeoutMs });
    return {
      resource: resourceFromAttributes({ 'service.name': serviceName }),
      send: (spans) => new Promise((resolve) => exporter.export(spans, ({ code }) => resolve(code === 0))),
      shutdown: () => exporter.shutdown(),
    };
  } catch (error) {
    throw new TandemError('dependency_missing', { message: 'Sending traces needs the packages @opentelemetry/exporter-trace-otlp-http and @opentelemetry/resources.', cause: error });
  }
}

class OtlpExporter implements Exporter {
  private readonly connect: () => Promise<Sink>;
  private readonly servers: ServerAddresses;
  private readonly gatherMs: number;
  private readonly queuedTracesMax: number;
  private sink: Promise<Sink> | undefined;
  private waiting: TraceRecord[] = [];
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void> | undefined;
  private closing: Promise<void> | undefined;
  private lost = 0;

  constructor(connect: () => Promise<Sink>, servers: ServerAddresses, gatherMs: number, queuedTracesMax: number) {
    this.connect = connect;
    this.servers = servers;
    this.gatherMs = gatherMs;
    this.queuedTracesMax = queuedTracesMax;
  }

  get lostTraces(): number {
    return this.lost;
  }

  send(record: TraceRecord): void {
    if (!isSampled(record)) return;
    if (this.closing !== undefined) {
      this.lost++;
      return;
    }
    this.waiting.push(record);
    if (this.waiting.length > this.queuedTracesMax) {
      this.waiting.shift();
      this.lost++;
    }
    if (this.timer === undefined && this.sending === undefined) this.timer = setTimeout(() => void this.drain(), this.gatherMs).unref();
  }

  async flush(): Promise<void> {
    await this.sending;
    await this.drain();
  }

  close(): Promise<void> {
    this.closing ??= (async () => {
      await this.flush();
      await this.sink?.then(({ shutdown }) => shutdown()).catch(() => undefined);
    })();
    return this.closing;
  }

  private drain(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.sending ??= this.sendAll().finally(() => (this.sending = undefined));
    return this.sending;
  }

  private async sendAll(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, tracesABatch);
      const sent = await this.sendBatch(batch).catch(() => false);
      if (!sent) this.lose(batch.length);
    }
  }

  private lose(traces: number): void {
    if (this.lost === 0) process.emitWarning('Traces could not be sent to the OpenTelemetry collector (telemetry.otlpUrl). Further losses are counted, not told.', 'TandemWarning');
    this.lost += traces;
  }

  private async sendBatch(batch: readonly TraceRecord[]): Promise<boolean> {
    this.sink ??= this.connect();
    const { send, resource } = await this.sink;
    return send(batch.flatMap((record) => otelSpans(record, resource, this.servers)));
  }
}
