/**
 * What a request asks of whoever answers it (tools, formats, log-probabilities, attachments, sampling settings) and
 * whether a recipe and a member can carry it. What cannot be carried is refused by name, never dropped.
 */
import { formatParameter, publicNames, type Sampling, type Veiled } from '../exchange.ts';
import type { AnyMember } from '../models/team.ts';
import type { Recipe } from './recipe.ts';

/** What a request asks for beyond text. */
export interface Asked {
  readonly tools: boolean;
  readonly format: NonNullable<Sampling['format']>['type'];
  readonly topLogprobs: number | undefined;
  readonly attachments: boolean;
  readonly prefix: boolean;
  /** Other settings that are set. `tokensMax` is left out: every request has it, as a ceiling. */
  readonly settings: readonly (keyof Sampling)[];
}

const none: readonly (keyof Sampling)[] = [];

/** What a request asks for beyond text. */
export function askedOf({ raw, request }: Pick<Veiled, 'raw' | 'request'>): Asked {
  const { sampling } = request;
  let settings: (keyof Sampling)[] | undefined;
  for (const key in sampling) {
    const field = key as keyof Sampling;
    if (field !== 'tokensMax' && field !== 'format' && field !== 'topLogprobs' && sampling[field] !== undefined) (settings ??= []).push(field);
  }
  return {
    tools: raw.tools !== undefined && raw.tools.length > 0,
    format: sampling.format?.type ?? 'text',
    topLogprobs: sampling.topLogprobs,
    attachments: raw.messages.some((message) => message.attachments !== undefined && message.attachments.length > 0),
    prefix: raw.prefix !== undefined && raw.prefix !== '',
    settings: settings ?? none,
  };
}

/** The public name of the first thing that a recipe cannot carry; undefined when it carries all. */
export function notCarried({ carries }: Pick<Recipe, 'carries'>, asked: Asked): string | undefined {
  if (asked.tools && !carries.tools) return 'tools';
  if (asked.format !== 'text' && !carries.formats) return formatParameter(asked.format);
  if (asked.topLogprobs !== undefined && !carries.logprobs) return 'logprobs';
  if (asked.attachments && !carries.attachments) return 'messages';
  const missing = carries.sampling === undefined ? undefined : asked.settings.find((field) => !carries.sampling?.includes(field));
  return missing === undefined ? undefined : publicNames[missing];
}

/** The public name of the first thing that a member cannot carry; undefined when it carries all. */
export function notCarriedBy({ model: { abilities } }: AnyMember, asked: Asked): string | undefined {
  if (asked.tools && !abilities.tools) return 'tools';
  if (asked.format !== 'text' && !abilities.formats.includes(asked.format)) return formatParameter(asked.format);
  if (asked.topLogprobs !== undefined && (asked.topLogprobs > abilities.topLogprobsMax || !abilities.levels.includes('L1'))) return 'logprobs';
  if (asked.attachments && !abilities.attachments) return 'messages';
  if (asked.prefix && !abilities.continuesPrefix) return 'messages';
  for (const field of asked.settings) if (!abilities.sampling.includes(field)) return publicNames[field];
  return undefined;
}
