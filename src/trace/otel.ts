/**
 * A finished trace as OpenTelemetry spans, named by the GenAI semantic conventions (status: Development;
 * https://github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai/gen-ai-spans.md, read 2026-11-30). What those
 * have no name for stands under `tandem.`. What was asked for is noted by admission and named on the request's span. No text of requests or answers is in a trace, so none is exported.
 *
 * Knows the shapes of OpenTelemetry, but loads nothing of it; `exporter.ts` sends.
 */
import type { Attributes, HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';
import type { AttributeValue, SpanRecord, TraceRecord } from './trace.ts';

// Values of OpenTelemetry's enums SpanKind and SpanStatusCode.
const kindInternal = 0;
const kindServer = 1;
const kindClient = 2;
const statusUnset = 0;
const statusError = 2;
const sampledFlag = 1;

const scope = { name: 'tandem' };

/** `gen_ai.operation.name` by the surface that was asked. */
const operations: Readonly<Record<string, string>> = { chat: 'chat', responses: 'chat', library: 'chat', completions: 'text_completion', embeddings: 'embeddings' };

/** What admission notes of a request that the conventions have a name for. */
const askedNames: ReadonlyMap<string, string> = new Map([
  ['tokensMax', 'gen_ai.request.max_tokens'],
  ['stream', 'gen_ai.request.stream'],
  ['seed', 'gen_ai.request.seed'],
  ['topK', 'gen_ai.request.top_k'],
  ['answers', 'gen_ai.request.choice.count'],
  ['outputType', 'gen_ai.output.type'],
]);

/** What a call notes that the conventions have a name for. */
const callNames: ReadonlySet<string> = new Set(['finishReason']);

/** Whether the trace is to be exported: not when it is a step of a caller's trace that the caller does not record. */
export function isSampled(record: TraceRecord): boolean {
  return record.spans[0]?.attributes['callerSampled'] !== false;
}

/** Where members' servers are, by member id. */
export type ServerAddresses = ReadonlyMap<string, { readonly address: string; readonly port: number }>;

/** Every span of a trace. A trace that joined a caller's is filed in the caller's, under the caller's span. */
export function otelSpans(record: TraceRecord, resource: Resource, servers: ServerAddresses = new Map()): ReadableSpan[] {
  const { callerTraceId, callerSpanId } = record.spans[0]?.attributes ?? {};
  const traceId = typeof callerTraceId === 'string' ? callerTraceId : record.id;
  const context = (spanId: string) => ({ traceId, spanId, traceFlags: sampledFlag });
  const remote = typeof callerSpanId === 'string' ? { ...context(callerSpanId), isRemote: true } : undefined;
  return record.spans.map((span) => {
    const own = context(spanIdOf(record.id, span.id));
    const parent = span.parent === null ? remote : context(spanIdOf(record.id, span.parent));
    return {
      name: nameOf(span, record),
      kind: span.parent === null ? kindServer : span.kind === 'call' && span.place !== 'device' ? kindClient : kindInternal,
      spanContext: () => own,
      ...(parent === undefined ? {} : { parentSpanContext: parent }),
      startTime: timeOf(record.startedAtMs + span.startMs),
      endTime: timeOf(record.startedAtMs + span.endMs),
      duration: timeOf(span.endMs - span.startMs),
      status: span.error === undefined ? { code: statusUnset } : { code: statusError, message: span.error },
      attributes: attributesOf(span, record, servers),
      events: eventsOf(span, record),
      links: [],
      ended: true,
      resource,
      instrumentationScope: scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    };
  });
}

/** 16 hex digits, unique in the trace even when a caller's trace holds several of ours, and never all zero. */
function spanIdOf(traceId: string, span: number): string {
  return traceId.slice(-11) + (span + 1).toString(16).padStart(5, '0').slice(-5);
}

function operationOf(record: TraceRecord): string {
  return operations[record.surface] ?? 'chat';
}

function nameOf(span: SpanRecord, record: TraceRecord): string {
  if (span.parent === null) return `${operationOf(record)} ${record.requestedModel}`;
  return span.kind === 'call' ? `${operationOf(record)} ${modelOf(span) ?? ''}`.trimEnd() : span.name;
}

/** The model of a call; the member stands for one that has no name. */
function modelOf({ model, member }: SpanRecord): string | undefined {
  return model ?? member;
}

function attributesOf(span: SpanRecord, record: TraceRecord, servers: ServerAddresses): Attributes {
  const attributes: Attributes = {};
  const named = isAdmission(span) ? askedNames : callNames;
  for (const [key, value] of Object.entries(span.attributes)) if (!named.has(key)) attributes[`tandem.${snake(key)}`] = value;
  if (span.parent === null) Object.assign(attributes, requestAttributes(record));
  if (span.kind === 'call') Object.assign(attributes, callAttributes(span, record, servers));
  if (span.usage !== undefined || span.parent === null) Object.assign(attributes, usageAttributes(span.usage ?? record.usage));
  if (span.error !== undefined) attributes['error.type'] = span.error;
  return attributes;
}

function isAdmission({ name, kind }: SpanRecord): boolean {
  return kind === 'stage' && name === 'admit';
}

function requestAttributes(record: TraceRecord): Attributes {
  const attributes: Attributes = {
    'gen_ai.operation.name': operationOf(record),
    'gen_ai.provider.name': 'tandem',
    'gen_ai.request.model': record.requestedModel,
    'tandem.trace.id': record.id,
    'tandem.surface': record.surface,
    'tandem.recipe': record.recipe,
    'tandem.caller': record.caller,
    'tandem.outcome': record.outcome,
  };
  for (const [key, value] of Object.entries(record.spans.find(isAdmission)?.attributes ?? {})) {
    const name = askedNames.get(key);
    // The conventions know a longest answer of text only, not of vectors.
    if (name !== undefined && record.surface !== 'embeddings') attributes[name] = value;
  }
  for (const [member, tokens] of Object.entries(record.shares)) attributes[`tandem.share.${member}`] = tokens;
  for (const [kind, count] of Object.entries(record.hidden)) attributes[`tandem.hidden.${kind}`] = count;
  return attributes;
}

function callAttributes(span: SpanRecord, record: TraceRecord, servers: ServerAddresses): Attributes {
  const { engine, finishReason } = span.attributes;
  const model = modelOf(span);
  const server = span.member === undefined ? undefined : servers.get(span.member);
  return {
    'gen_ai.operation.name': operationOf(record),
    'gen_ai.provider.name': typeof engine === 'string' ? engine : 'tandem',
    ...(model === undefined ? {} : { 'gen_ai.request.model': model, 'gen_ai.response.model': model }),
    ...(typeof finishReason === 'string' ? { 'gen_ai.response.finish_reasons': [finishReason] } : {}),
    ...(server === undefined ? {} : { 'server.address': server.address, 'server.port': server.port }),
    ...(span.member === undefined ? {} : { 'tandem.member': span.member }),
    ...(span.place === undefined ? {} : { 'tandem.place': span.place }),
    ...(span.firstPartMs === undefined ? {} : { 'gen_ai.response.time_to_first_chunk': span.firstPartMs / 1000 }),
  };
}

function usageAttributes(usage: TraceRecord['usage']): Attributes {
  return {
    'gen_ai.usage.input_tokens': usage.promptTokens,
    'gen_ai.usage.output_tokens': usage.completionTokens,
    'gen_ai.usage.cache_read.input_tokens': usage.cachedPromptTokens,
    ...(usage.reasoningTokens === undefined ? {} : { 'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens }),
    'tandem.cost_usd': usage.costUsd,
    'tandem.price_known': usage.priceKnown !== false,
    'tandem.energy_j': usage.energyJ,
    'tandem.energy_source': usage.energySource,
    'tandem.bytes_up': usage.bytesUp,
    'tandem.bytes_down': usage.bytesDown,
  };
}

function eventsOf(span: SpanRecord, record: TraceRecord): ReadableSpan['events'] {
  const at = (atMs: number): HrTime => timeOf(record.startedAtMs + atMs);
  const named = (fields: Readonly<Record<string, AttributeValue>>): Attributes => Object.fromEntries(Object.entries(fields).map(([key, value]) => [`tandem.${snake(key)}`, value]));
  return [
    ...span.events.map(({ name, atMs, fields }) => ({ name, time: at(atMs), attributes: named(fields), droppedAttributesCount: 0 })),
    ...span.decisions.map(({ name, atMs, chosen, because, inputs }) => ({
      name: `decision ${name}`,
      time: at(atMs),
      attributes: { 'tandem.decision.chosen': chosen, 'tandem.decision.because': because, ...named(inputs) },
      droppedAttributesCount: 0,
    })),
  ];
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function timeOf(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.min(999_999_999, Math.round((ms - seconds * 1000) * 1e6))];
}
