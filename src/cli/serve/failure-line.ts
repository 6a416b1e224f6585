/** A line of the gateway's log: time, code, path, trace. Messages hold no text of requests. */
import type { TandemError } from '../../errors.ts';
import type { Runtime } from '../../tandem.ts';

/** The line of a request that failed through no fault of the caller. */
export function failureLine(runtime: Pick<Runtime, 'clock'>, error: TandemError, about: { readonly path: string; readonly traceId: string | undefined }): string {
  const cause = error.code === 'internal' && error.cause instanceof Error ? `\n${error.cause.stack ?? ''}` : '';
  return `${new Date(runtime.clock.wallMs()).toISOString()} ${error.code} ${about.path} ${about.traceId ?? '-'} ${error.message}${cause}`;
}
