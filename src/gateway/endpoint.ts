/**
 * What the text endpoints share: a body becomes a request, the request an answer, the answer a JSON reply or a stream of
 * events. Each endpoint says how to read its body and how its replies look; this file moves the parts.
 */
import type { Part, Received, Surface } from '../exchange.ts';
import { TandemError } from '../errors.ts';
import type { Bag } from '../system/bag.ts';
import { pulled, type Pulled } from '../system/pull.ts';
import { isAlone } from '../system/turn.ts';
import type { Running } from '../tandem.ts';
import type { Trace } from '../trace/trace.ts';
import { newTraceId } from '../trace/trace-id.ts';
import { parseTraceparent } from '../trace/traceparent.ts';
import { collect, readAnswers, type Collected } from './collect.ts';
import { explanation } from './explanation.ts';
import type { EventStream } from './http/event-stream.ts';
import type { HttpCall } from './http/call.ts';
import { received, type Draft } from './parameters/draft.ts';
import { finishDraft } from './parameters/finish-draft.ts';
import { inBody } from './parameters/in-body.ts';
import type { JsonObject } from './parameters/reading.ts';
import type { GatewayRuntime } from './runtime.ts';

/** What a reply tells of its request. */
export interface About {
  /** Trace id: the tail of the reply's own id. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdS: number;
  /** The model id that was asked for. */
  readonly model: string;
}

/** Writes an answer as events; only text, no I/O. */
export interface EventWriter {
  /** Events before the first part. */
  begin(): string;
  part(part: Part): string;
  /** Events after the last part. */
  end(trace: Trace): string;
  /** Events that tell of a failure in mid-stream. */
  error(error: TandemError): string;
}

/** A text endpoint. */
export interface Endpoint<D extends Draft> {
  readonly surface: Surface;
  /** Reads a body. @throws {TandemError} parameter_* */
  readonly read: (body: JsonObject) => D;
  /** The reply as JSON. `explained`: what stands in it as `tandem`, where the caller asked for that. */
  readonly reply: (answer: Collected, about: About, draft: D, trace: Trace, explained: object | undefined) => string;
  readonly events: (about: About, draft: D) => EventWriter;
}

/** Streams that are open, so that idle ones can be kept alive. */
export type OpenStreams = Bag<EventStream>;

/** Answers a call of a text endpoint. @throws {TandemError} any code, as long as nothing was sent */
export function answerCall<D extends Draft>(endpoint: Endpoint<D>, runtime: GatewayRuntime, streams: OpenStreams, call: HttpCall): Promise<void> {
  return call.withJson((body) => answer(endpoint, runtime, streams, call, body));
}

/** From here to the first call of a member nothing waits, unless a stage has to. */
function answer<D extends Draft>(endpoint: Endpoint<D>, runtime: GatewayRuntime, streams: OpenStreams, call: HttpCall, body: JsonObject): Promise<void> {
  const draft = endpoint.read(body);
  const model = finishDraft(draft, runtime.config.defaultModel);
  const request = received(draft, endpoint.surface, model, call.key);
  const nowMs = runtime.clock.wallMs();
  const about: About = { id: newTraceId(nowMs, runtime.random), createdS: Math.floor(nowMs / 1000), model };
  call.traceId = about.id;
  call.untraced = undefined;
  return draft.stream ? streamAnswer(endpoint, runtime, streams, call, draft, request, about) : wholeAnswer(endpoint, runtime, call, draft, request, about);
}

/** Makes a request a step of the caller's own trace, where there is one. */
function join(call: HttpCall, trace: Trace): void {
  const { traceparent } = call.request.headers;
  const parent = typeof traceparent === 'string' ? parseTraceparent(traceparent) : undefined;
  if (parent !== undefined) trace.joins(parent);
}

async function wholeAnswer<D extends Draft>(endpoint: Endpoint<D>, runtime: GatewayRuntime, call: HttpCall, draft: D, request: Received, about: About): Promise<void> {
  let reading: Pulled<Part> | undefined;
  try {
    const running = runtime.begin(request, call.signal, about.id);
    // With others, each takes this step before the first of them calls a member.
    const { trace, parts } = running instanceof Promise || !isAlone() ? await running : running;
    join(call, trace);
    reading = pulled(parts);
    const answer = await collect(reading, draft.answers);
    const reply = endpoint.reply(answer, about, draft, trace, draft.explain ? explanation(trace) : undefined);
    call.json(200, reply, replyHeaders(trace, trace.usage().costUsd));
  } catch (thrown) {
    throw inBody(thrown, endpoint.surface, draft);
  } finally {
    // After the reply, in the same turn: trace and accounts are closed before another request is looked at.
    const left = reading?.leave();
    if (left !== undefined) await left;
  }
}

async function streamAnswer<D extends Draft>(endpoint: Endpoint<D>, runtime: GatewayRuntime, streams: OpenStreams, call: HttpCall, draft: D, request: Received, about: About): Promise<void> {
  try {
    const running = runtime.begin(request, call.signal, about.id);
    // With others, each takes this step before the first of them calls a member.
    await streamRun(endpoint, running instanceof Promise || !isAlone() ? await running : running, streams, call, draft, about);
  } catch (thrown) {
    throw inBody(thrown, endpoint.surface, draft);
  }
}

/** Sends what a run gives. A failure is told in the stream, once there is one. @throws {TandemError} any code, as long as nothing was sent */
async function streamRun<D extends Draft>(endpoint: Endpoint<D>, run: Running, streams: OpenStreams, call: HttpCall, draft: D, about: About): Promise<void> {
  const { trace, parts } = run;
  join(call, trace);
  const reading = pulled(parts);
  const stream = call.events(() => replyHeaders(trace, undefined));
  const writer = endpoint.events(about, draft);
  const ticket = streams.add(stream);
  let begun = false;
  try {
    await readAnswers(reading, draft.answers, (part) => {
      if (call.response.destroyed) return false;
      const opening = begun ? '' : writer.begin();
      begun = true;
      const slow = stream.send(opening + writer.part(part));
      if (slow !== undefined) run.onTimeUp ??= () => stream.stopWaiting();
      return slow;
    });
    stream.end((begun ? '' : writer.begin()) + writer.end(trace));
  } catch (thrown) {
    if (!begun && !stream.begun) {
      stream.abandon();
      throw thrown;
    }
    stream.end((begun ? '' : writer.begin()) + writer.error(TandemError.from(inBody(thrown, endpoint.surface, draft))));
  } finally {
    streams.remove(ticket);
    await reading.leave();
  }
}

function replyHeaders(trace: Trace, costUsd: number | undefined): string[] {
  const headers = ['x-tandem-trace', trace.id, 'x-tandem-recipe', trace.recipe];
  if (costUsd !== undefined) headers.push('x-tandem-cost-usd', dollars(costUsd));
  return headers;
}

/** Dollars without an exponent, at most 9 decimals. */
export function dollars(costUsd: number): string {
  if (costUsd === 0) return '0';
  const text = costUsd.toFixed(9);
  let end = text.length;
  while (text.charCodeAt(end - 1) === 48) end--;
  return text.slice(0, text[end - 1] === '.' ? end - 1 : end);
}
