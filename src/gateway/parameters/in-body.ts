/** Failures of the stages in the caller's terms: some stages know a field of the body by another name. */
import { TandemError } from '../../errors.ts';
import type { Surface } from '../../exchange.ts';
import type { Draft } from './draft.ts';

/**
 * A failure whose `param` names the field of the body that is at fault. Anything else as it is.
 * @param thrown what a stage threw
 * @param surface the endpoint, since a schema does not stand at the same place in all bodies
 */
export function inBody(thrown: unknown, surface: Surface, draft: Draft): unknown {
  if (!TandemError.is(thrown) || thrown.param === undefined) return thrown;
  const { code, message, param, retryAfterMs, member } = thrown;
  const named = nameInBody(param, surface, draft);
  if (named === param) return thrown;
  return new TandemError(code, {
    message: message.startsWith(`${param} `) ? named + message.slice(param.length) : message,
    param: named,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(member === undefined ? {} : { member }),
    cause: thrown,
  });
}

function nameInBody(param: string, surface: Surface, draft: Draft): string {
  // `finishDraft` makes a model id of the recipe.
  if (param === 'model' && draft.recipe !== undefined) return 'tandem.recipe';
  if (draft.format?.type === 'json-schema' && /^schema\b/.test(param)) return `${surface === 'responses' ? 'text.format' : 'response_format.json_schema'}.${param}`;
  return surface === 'responses' ? param.replace(/^(tools\[\d+\])\.function\./, '$1.') : param;
}
