/** GET /tandem/traces and /tandem/traces/{id}. A key sees its own traces; an admin key, or a gateway without keys, all. */
import { fail } from '../errors.ts';
import type { TraceQuery } from '../store/store.ts';
import type { TraceRecord } from '../trace/trace.ts';
import type { Handler } from './http/router.ts';
import { integerAt, wrong } from './parameters/reading.ts';
import type { GatewayRuntime } from './runtime.ts';

const known = new Set(['limit', 'before', 'beforeId', 'caller', 'recipe', 'outcome']);

function readQuery(query: URLSearchParams): { -readonly [K in keyof TraceQuery]: TraceQuery[K] } {
  const read: { -readonly [K in keyof TraceQuery]: TraceQuery[K] } = {};
  for (const [name, value] of query) {
    if (!known.has(name)) fail('parameter_unknown', { message: 'The query has a field that is not part of the interface.', param: name.slice(0, 64) });
    if (name === 'limit') read.limit = integerAt(numberOf(value), name, 1, 1_000);
    else if (name === 'before') read.beforeMs = integerAt(numberOf(value), name, 0, Number.MAX_SAFE_INTEGER);
    else if (name === 'beforeId') read.beforeId = traceIdAt(value, name);
    else if (value === '' || value.length > 256) wrong(name, 'a text of 1 to 256 characters', value);
    else read[name as 'caller' | 'recipe' | 'outcome'] = value;
  }
  if (read.beforeId !== undefined && read.beforeMs === undefined) wrong('beforeId', 'before beside it', read.beforeId);
  return read;
}

function traceIdAt(value: string, name: string): string {
  return /^[0-9a-f]{32}$/.test(value) ? value : wrong(name, '32 lower-case hex digits', value);
}

function numberOf(value: string): number | string {
  return /^\d{1,16}$/.test(value) ? Number(value) : value;
}

/** Lists traces, newest first. `nextBefore` and `nextBeforeId` of a reply are the `before` and `beforeId` of the next page. */
export function tracesHandler(runtime: GatewayRuntime): Handler {
  return async (call) => {
    const caller = runtime.admission.identify(call.key);
    const query = readQuery(call.query);
    if (!caller.admin) query.caller = caller.name;
    await runtime.store.flush();
    const traces = await runtime.store.listTraces(query);
    const last = traces.at(-1);
    const more = traces.length === (query.limit ?? 50) && last !== undefined;
    call.json(200, { object: 'list', data: traces, nextBefore: more ? last.startedAtMs : null, nextBeforeId: more ? last.id : null });
  };
}

/** The trace that a caller may see. @throws {TandemError} trace_not_found */
export async function traceFor(runtime: GatewayRuntime, id: string, caller: { readonly name: string; readonly admin: boolean }): Promise<TraceRecord> {
  if (!/^[0-9a-f]{32}$/.test(id)) fail('trace_not_found', 'A trace id is 32 lower-case hex digits.');
  let trace = await runtime.store.getTrace(id);
  if (trace === undefined) {
    await runtime.store.flush();
    trace = await runtime.store.getTrace(id);
  }
  if (trace === undefined || (!caller.admin && trace.caller !== caller.name)) fail('trace_not_found', 'No trace has this id.');
  return trace;
}

/** Shows one trace with its feedback. */
export function traceHandler(runtime: GatewayRuntime): Handler {
  return async (call) => {
    const trace = await traceFor(runtime, call.tail, runtime.admission.identify(call.key));
    call.json(200, { ...trace, feedback: await runtime.store.listFeedback(trace.id) });
  };
}
