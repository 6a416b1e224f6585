/**
 * What can go wrong with a server behind a member, each as its own error of the catalogue.
 *
 * Messages hold the status and, where they are short tokens, the server's own error type and code. They never hold the
 * server's prose, which may repeat the prompt.
 */
import { TandemError } from '../../errors.ts';
import type { ErrorCode, ErrorDetails } from '../../errors.ts';
import type { Traffic } from '../port.ts';

/**
 * What became of a request that failed. `again`: the server did nothing for it and may take it now (no connection, 408, 429, 5xx).
 * `refused`: the server did nothing for it and will not. `unknown`: the server may have read it, worked on it and charged for it, so it
 * is not sent again.
 */
export type Fate = 'again' | 'refused' | 'unknown';

/** A failure of a server. */
export class UpstreamError extends TandemError {
  readonly fate: Fate;

  /** @param fate of the request, while nothing of the answer has come @param code the entry @param details what happened */
  constructor(fate: Fate, code: ErrorCode, details: ErrorDetails) {
    super(code, details);
    this.fate = fate;
  }
}

/** Notes what became of a request that failed while nothing of its answer had come. */
export function noteFate(traffic: Traffic, error: unknown): void {
  if (error instanceof UpstreamError && error.fate !== 'unknown') traffic.work = 'none';
}

/** What is read of the error object of a server. */
export interface ServerError {
  readonly type?: unknown;
  readonly code?: unknown;
  readonly status?: unknown;
}

/** The error for an HTTP status. @param body the text of the reply, of which only tokens are used */
export function fromStatus(member: string, status: number, body: string, retryAfterMs: number | undefined): UpstreamError {
  return classify(member, status, errorObject(body), retryAfterMs);
}

/** The error for an error object that came with status 200, whole or inside a stream. */
export function fromErrorObject(member: string, error: ServerError): UpstreamError {
  const status = [error.status, error.code].map(Number).find((number) => number >= 400 && number <= 599);
  return classify(member, status ?? statusOfType(error), error, undefined);
}

/** The error for something that is not the protocol. @param what what came, without any text of it */
export function malformed(member: string, what: string): UpstreamError {
  return new UpstreamError('unknown', 'upstream_malformed', { member, message: `Member "${member}": expected an OpenAI-compatible answer, got ${what}.` });
}

/** The error for an answer that ended too early. */
export function truncated(member: string, cause?: unknown): UpstreamError {
  return new UpstreamError('unknown', 'upstream_truncated', { member, message: `Member "${member}": the answer ended before its final event.`, cause });
}

/** Which time-out ran out. */
export type TimeoutName = 'connectTimeoutMs' | 'firstTokenTimeoutMs' | 'betweenTokensTimeoutMs' | 'totalTimeoutMs';

/** The error for a time-out. Only a connection that was never made is tried again. */
export function timedOut(member: string, name: TimeoutName, limitMs: number): UpstreamError {
  const what = { connectTimeoutMs: 'no connection', firstTokenTimeoutMs: 'no first byte of the answer', betweenTokensTimeoutMs: 'nothing more of the answer', totalTimeoutMs: 'no complete answer' }[name];
  return new UpstreamError(name === 'connectTimeoutMs' ? 'again' : 'unknown', 'upstream_timeout', { member, message: `Member "${member}": ${what} within ${limitMs} ms (${name}).` });
}

/** The error for a connection that could not be made or was lost before the answer began. @param sent whether any of the request may have gone out */
export function unreachable(member: string, cause: unknown, sent: boolean): UpstreamError {
  const code = shortToken((cause as { code?: unknown } | null)?.code);
  const what = sent ? 'the connection was lost before the answer began' : 'no connection to the server';
  return new UpstreamError(sent ? 'unknown' : 'again', 'upstream_unreachable', { member, message: `Member "${member}": ${what}${code === undefined ? '' : ` (${code})`}.`, cause });
}

/** Retry-After in milliseconds: seconds or an HTTP date (RFC 9110, 10.2.3), or the `retry-after-ms` of some servers. */
export function retryAfterMs(header: (name: string) => string | undefined, wallMs: number): number | undefined {
  const exact = Number(header('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact) && exact >= 0) return exact;
  const value = header('retry-after');
  if (value === undefined || value === '') return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return seconds >= 0 ? Math.ceil(seconds * 1_000) : undefined;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - wallMs);
}

function classify(member: string, status: number, error: ServerError | undefined, waitMs: number | undefined): UpstreamError {
  const tokens = [shortToken(error?.type), shortToken(error?.code)].filter((token) => token !== undefined && token !== String(status));
  const message = `Member "${member}": the server answered ${status}${tokens.length === 0 ? '' : ` (${tokens.join(', ')})`}.`;
  const details: ErrorDetails = { member, message, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) };
  if (tokens.includes('context_length_exceeded')) return new UpstreamError('refused', 'context_too_long', details);
  if (status === 401 || status === 403) return new UpstreamError('refused', 'upstream_auth', details);
  if (status === 408) return new UpstreamError('again', 'upstream_timeout', details);
  if (status === 429) return new UpstreamError(tokens.includes('insufficient_quota') ? 'refused' : 'again', 'upstream_rate_limited', details);
  if (status >= 500) return new UpstreamError('again', 'upstream_failed', details);
  if (status >= 400) return new UpstreamError('refused', 'upstream_refused', details);
  return malformed(member, `the status ${status}`);
}

function statusOfType(error: ServerError): number {
  const text = `${shortToken(error.type) ?? ''} ${shortToken(error.code) ?? ''}`;
  if (/rate_limit|insufficient_quota|too_many/i.test(text)) return 429;
  if (/auth|permission|api_key/i.test(text)) return 401;
  if (/invalid|bad_?request|not_found|context_length/i.test(text)) return 400;
  return 500;
}

function errorObject(body: string): ServerError | undefined {
  try {
    const parsed = JSON.parse(body) as { error?: unknown } | null;
    const error = parsed?.error ?? parsed;
    return typeof error === 'object' && error !== null ? error : undefined;
  } catch {
    return undefined;
  }
}

function shortToken(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && /^[A-Za-z0-9_.:-]{1,48}$/.test(value) ? value : undefined;
}
