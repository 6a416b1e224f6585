/**
 * How records lie in the tables, and the statements that read and write them. Knows no driver.
 *
 * A span's JSON leaves out what is empty and keeps times to the microsecond: that halves the text, and making the text is
 * what writing a trace costs the request's own thread.
 */
import type { CallUsage, SpanRecord, TraceRecord } from '../trace/trace.ts';
import type { Query, Row, SqlValue } from './driver.ts';
import type { Feedback, TraceQuery, TraceSummary } from './store.ts';

const summaryColumns = [
  'id', 'started_at_ms', 'duration_ms', 'surface', 'requested_model', 'recipe', 'caller', 'outcome', 'prompt_tokens', 'cached_prompt_tokens', 'completion_tokens',
  'cost_usd', 'price_known', 'energy_j', 'energy_source', 'bytes_up', 'bytes_down', 'shares', 'hidden',
];
const traceColumns = [...summaryColumns, 'spans'];

/** Writes a trace; one that is already there (a write tried again) stays as it is. */
export const insertTrace = `INSERT INTO traces (${traceColumns.join(', ')}) VALUES (${traceColumns.map(() => '?').join(', ')}) ON CONFLICT (id, started_at_ms) DO NOTHING`;

/** Writes feedback. */
export const insertFeedback = 'INSERT INTO feedback (trace_id, at_ms, caller, score, source) VALUES (?, ?, ?, ?, ?)';

/** The values of `insertTrace`. */
export function traceRow(record: TraceRecord): SqlValue[] {
  const { usage } = record;
  return [
    plain(record.id),
    whole(record.startedAtMs),
    real(record.durationMs),
    plain(record.surface),
    plain(record.requestedModel),
    plain(record.recipe),
    plain(record.caller),
    plain(record.outcome),
    whole(usage.promptTokens),
    whole(usage.cachedPromptTokens),
    whole(usage.completionTokens),
    real(usage.costUsd),
    usage.priceKnown === false ? 0 : 1,
    real(usage.energyJ),
    usage.energySource,
    whole(usage.bytesUp),
    whole(usage.bytesDown),
    flatJson(record.shares),
    flatJson(record.hidden),
    spansJson(record.spans),
  ];
}

/** The values of `insertFeedback`. */
export function feedbackRow(feedback: Feedback): SqlValue[] {
  return [plain(feedback.traceId), whole(feedback.atMs), plain(feedback.caller), real(feedback.score), plain(feedback.source)];
}

/** A text as both databases take it: Postgres keeps no NUL, and neither keeps half a surrogate pair. */
function plain(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\0') ? whole.replaceAll('\0', '\uFFFD') : whole;
}

/** No column takes a value that is not a number, and no driver gives back a whole one that a number cannot hold; one such row would hold up all others for ever. */
const real = (value: number): number => (Number.isFinite(value) ? value : 0);
const whole = (value: number): number => Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.round(real(value))));

/** Spans as JSON, written by hand: half the time of building objects for `JSON.stringify`, for every request. */
function spansJson(spans: readonly SpanRecord[]): string {
  let json = '[';
  for (const span of spans) json += json.length === 1 ? spanJson(span) : `,${spanJson(span)}`;
  return `${json}]`;
}

function spanJson(span: SpanRecord): string {
  let json = `${headOf(span)}${milliseconds(span.startMs)},"endMs":${milliseconds(span.endMs)}`;
  if (span.firstPartMs !== undefined) json += `,"firstPartMs":${milliseconds(span.firstPartMs)}`;
  if (span.usage !== undefined) json += `,"usage":${flatJson(span.usage)}`;
  if (span.error !== undefined) json += `,"error":${quoted(span.error)}`;
  if (span.events.length > 0) json += `,"events":${JSON.stringify(span.events)}`;
  if (span.decisions.length > 0) json += `,"decisions":${JSON.stringify(span.decisions)}`;
  const attributes = flatJson(span.attributes);
  return attributes === '{}' ? `${json}}` : `${json},"attributes":${attributes}}`;
}

/** What is compared, without the name, and the JSON that it gives. */
interface SpanHead {
  readonly id: number;
  readonly parent: number | null;
  readonly kind: SpanRecord['kind'];
  readonly member: string | undefined;
  readonly place: string | undefined;
  readonly model: string | undefined;
  readonly json: string;
}

/** What a span of a name began with the last time: with every request of a kind it is the same. */
const heads = new Map<string, SpanHead>();
const headsMax = 1_024;

/** The JSON of a span up to its first time: who does what, and its place in the tree. */
function headOf({ id, parent, name, kind, member, place, model }: SpanRecord): string {
  const last = heads.get(name);
  if (last !== undefined && last.id === id && last.parent === parent && last.kind === kind && last.member === member && last.place === place && last.model === model) return last.json;
  const json = JSON.stringify({ id, parent, name, kind, member, place, model, startMs: 0 }).slice(0, -2);
  if (last !== undefined || heads.size < headsMax) heads.set(name, { id, parent, kind, member, place, model, json });
  return json;
}

/** An object of texts, numbers and truths as JSON. */
function flatJson(object: object): string {
  let json = '{';
  for (const key in object) {
    const value = (object as Readonly<Record<string, unknown>>)[key];
    if (value === undefined) continue;
    const written = typeof value === 'string' ? quoted(value) : Number.isSafeInteger(value) || typeof value === 'boolean' ? `${value as number | boolean}` : JSON.stringify(value);
    json += json.length === 1 ? `${quoted(key)}:${written}` : `,${quoted(key)}:${written}`;
  }
  return `${json}}`;
}

/** Short texts as JSON: names of members, spans and attributes, which come back with every request. */
const quotedTexts = new Map<string, string>();
const quotedTextsMax = 1_024;
const quotedLengthMax = 40;

function quoted(text: string): string {
  if (text.length > quotedLengthMax) return JSON.stringify(text);
  let json = quotedTexts.get(text);
  if (json === undefined) {
    json = JSON.stringify(text);
    if (quotedTexts.size < quotedTextsMax) quotedTexts.set(text, json);
  }
  return json;
}

/** A time to the microsecond, as JSON. Written as two whole numbers, whose digits V8 keeps at hand, while those of a fraction are worked out each time. */
function milliseconds(ms: number): string {
  const microseconds = Math.round(ms * 1000);
  if (!(microseconds >= 0 && microseconds < 1e15)) return JSON.stringify(microseconds / 1000);
  const rest = microseconds % 1000;
  const whole = (microseconds - rest) / 1000;
  return rest === 0 ? `${whole}` : `${whole}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}

/** A trace as it was written. */
export function traceOf(row: Row): TraceRecord {
  const spans = JSON.parse(String(row['spans'])) as (SpanRecord | Omit<SpanRecord, 'attributes' | 'events' | 'decisions'>)[];
  const summary = summaryOf(row);
  const reasoning = spans.flatMap(({ usage }) => usage?.reasoningTokens ?? []);
  const usage = reasoning.length === 0 ? summary.usage : { ...summary.usage, reasoningTokens: reasoning.reduce((sum, tokens) => sum + tokens, 0) };
  return { ...summary, usage, spans: spans.map((span) => ({ attributes: {}, events: [], decisions: [], ...span })) };
}

/** A trace without its spans. */
export function summaryOf(row: Row): TraceSummary {
  const usage: CallUsage = {
    promptTokens: Number(row['prompt_tokens']),
    cachedPromptTokens: Number(row['cached_prompt_tokens']),
    completionTokens: Number(row['completion_tokens']),
    costUsd: Number(row['cost_usd']),
    energyJ: Number(row['energy_j']),
    energySource: String(row['energy_source']) as CallUsage['energySource'],
    bytesUp: Number(row['bytes_up']),
    bytesDown: Number(row['bytes_down']),
    ...(Number(row['price_known']) === 0 ? { priceKnown: false as const } : {}),
  };
  return {
    id: String(row['id']),
    startedAtMs: Number(row['started_at_ms']),
    durationMs: Number(row['duration_ms']),
    surface: String(row['surface']),
    requestedModel: String(row['requested_model']),
    recipe: String(row['recipe']),
    caller: String(row['caller']),
    outcome: String(row['outcome']),
    usage,
    shares: JSON.parse(String(row['shares'])) as Record<string, number>,
    hidden: JSON.parse(String(row['hidden'])) as Record<string, number>,
  };
}

/** Feedback as it was written. */
export function feedbackOf(row: Row): Feedback {
  return { traceId: String(row['trace_id']), atMs: Number(row['at_ms']), caller: String(row['caller']), score: Number(row['score']), source: String(row['source']) };
}

/** Reads one trace; the newest where a caller gave several requests one id. */
export function selectTrace(id: string): Query {
  return { sql: `SELECT ${traceColumns.join(', ')} FROM traces WHERE id = ? ORDER BY started_at_ms DESC LIMIT 1`, values: [plain(id)] };
}

/** Reads summaries, newest first. */
export function selectSummaries(query: TraceQuery): Query {
  const conditions: string[] = [];
  const values: SqlValue[] = [];
  const where = (condition: string, ...given: readonly (SqlValue | undefined)[]): void => {
    const known = given.filter((value) => value !== undefined);
    if (known.length < given.length) return;
    conditions.push(condition);
    values.push(...known);
  };
  const { beforeMs, beforeId } = query;
  const before = beforeMs === undefined ? undefined : Math.ceil(beforeMs);
  where(beforeId === undefined ? 'started_at_ms < ?' : 'started_at_ms <= ?', before);
  where('(started_at_ms < ? OR id < ?)', before, beforeId === undefined ? undefined : plain(beforeId));
  where('caller = ?', query.caller === undefined ? undefined : plain(query.caller));
  where('recipe = ?', query.recipe === undefined ? undefined : plain(query.recipe));
  where('outcome = ?', query.outcome === undefined ? undefined : plain(query.outcome));
  const limit = Math.min(1000, Math.max(1, Math.trunc(query.limit ?? 50)));
  const filter = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
  return { sql: `SELECT ${summaryColumns.join(', ')} FROM traces${filter} ORDER BY started_at_ms DESC, id DESC LIMIT ?`, values: [...values, limit] };
}

/** Reads the feedback on a trace, oldest first. */
export function selectFeedback(traceId: string): Query {
  return { sql: 'SELECT trace_id, at_ms, caller, score, source FROM feedback WHERE trace_id = ? ORDER BY at_ms', values: [plain(traceId)] };
}

/** Sums what a caller spent. */
export function selectSpent(caller: string, sinceMs: number): Query {
  return { sql: 'SELECT COALESCE(SUM(cost_usd), 0) AS spent FROM traces WHERE caller = ? AND started_at_ms >= ?', values: [plain(caller), Math.ceil(sinceMs)] };
}

/** Rows that one `deleteBefore` removes at most, so that no lock is held for long. */
export const deletedAtOnceMax = 2_000;

/** Removes some of what is older than a time; repeat while it removes `deletedAtOnceMax`. */
export function deleteBefore(table: 'traces' | 'feedback' | 'pilot_journal' | 'traffic_hours', ms: number): Query {
  const [key, time] = table === 'traces' ? ['id', 'started_at_ms'] : [table === 'traffic_hours' ? 'at_ms' : 'trace_id', 'at_ms'];
  const before = Math.ceil(ms);
  return { sql: `DELETE FROM ${table} WHERE ${time} < ? AND ${key} IN (SELECT ${key} FROM ${table} WHERE ${time} < ? LIMIT ${deletedAtOnceMax})`, values: [before, before] };
}
