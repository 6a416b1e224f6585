/** Errors of AI SDK providers as errors of the catalogue. Told by name and status, since providers bring their own copies of the classes. */
import { TandemError } from '../../errors.ts';
import { fromStatus, malformed, retryAfterMs, truncated, unreachable, UpstreamError } from '../openai/failure.ts';

interface ProviderError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly responseBody?: unknown;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

const malformedNames = ['AI_JSONParseError', 'AI_TypeValidationError', 'AI_InvalidResponseDataError', 'AI_EmptyResponseBodyError', 'AI_NoContentGeneratedError'];

/** Codes of connections that were never made. */
const neverMade = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'];

/** The error of the catalogue for what a provider threw. @param wallMs milliseconds since 1970, for Retry-After dates */
export function fromProvider(member: string, thrown: unknown, signal: AbortSignal, wallMs: number): TandemError {
  if (TandemError.is(thrown)) return thrown;
  if (signal.aborted) return new TandemError('cancelled', { message: 'The request was cancelled.', cause: thrown });
  const error: ProviderError = typeof thrown === 'object' && thrown !== null ? thrown : {};
  const name = typeof error.name === 'string' ? error.name : '';
  if (typeof error.statusCode === 'number' && error.statusCode >= 300) {
    return fromStatus(member, error.statusCode, typeof error.responseBody === 'string' ? error.responseBody : '', retryAfterMs((name) => error.responseHeaders?.[name], wallMs));
  }
  const lost = typeof error.statusCode === 'number' && error.cause instanceof TypeError;
  if (lost || (malformedNames.includes(name) && /ended without/i.test(String(error.message)))) return truncated(member, thrown);
  if (malformedNames.includes(name) || typeof error.statusCode === 'number') return malformed(member, 'something that the AI SDK provider cannot read');
  if (name === 'AI_LoadAPIKeyError' || name === 'AI_LoadSettingError') return new UpstreamError('refused', 'upstream_auth', { member, message: `Member "${member}": the AI SDK provider has no key.`, cause: thrown });
  if (name === 'AI_UnsupportedFunctionalityError') return new TandemError('parameter_unsupported', { member, message: `Member "${member}": the AI SDK provider does not support what was asked.`, cause: thrown });
  if (name === 'AI_APICallError' || (thrown instanceof TypeError && error.cause !== undefined) || typeof error.code === 'string') return unreachable(member, error.cause ?? thrown, !neverMade.includes(codeOf(error.cause) ?? codeOf(error) ?? ''));
  return new UpstreamError('unknown', 'upstream_failed', { member, message: `Member "${member}": the AI SDK provider failed.`, cause: thrown });
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
