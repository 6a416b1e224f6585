/**
 * From the configuration to the team: opens every member with its engine, all at once.
 *
 * Each engine is imported only when a member needs it. If one member cannot be opened, the others are closed again and
 * the error names the member.
 */
import { basename } from 'node:path';
import type { Config, MemberConfig } from '../config.ts';
import { TandemError } from '../errors.ts';
import type { EngineContext } from './context.ts';
import type { Model } from './port.ts';
import { listPriceOf } from './prices.ts';
import { Team, type AnyMember } from './team.ts';

/**
 * Opens the team.
 * @throws {TandemError} config_invalid, model_file_missing, model_file_invalid, model_unsupported, engine_unavailable
 */
export async function openTeam(members: Config['members'], context: EngineContext): Promise<Team> {
  const entries = Object.entries(members);
  const opened = await Promise.allSettled(entries.map(([id, settings]) => openModel(id, settings, context)));
  const failed = opened.findIndex((result) => result.status === 'rejected');
  if (failed >= 0) {
    await Promise.allSettled(opened.map((result) => (result.status === 'fulfilled' ? result.value.close() : undefined)));
    const error = TandemError.from((opened[failed] as PromiseRejectedResult).reason);
    const id = entries[failed]?.[0] ?? '';
    throw new TandemError(error.code, { message: `members.${id}: ${error.message}`, param: `members.${id}`, member: id, cause: error.cause ?? error });
  }
  return new Team(entries.map(([id, settings], index) => memberOf(id, settings, (opened[index] as PromiseFulfilledResult<Model>).value)));
}

/** Where the servers of members are, by member id; nothing for those in this process or behind a library. */
export function serversOf(members: Config['members']): ReadonlyMap<string, { readonly address: string; readonly port: number }> {
  return new Map(
    Object.entries(members).flatMap(([id, settings]) => {
      if (settings.engine !== 'openai') return [];
      const { hostname, port, protocol } = new URL(settings.baseUrl);
      return [[id, { address: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) }] as const];
    }),
  );
}

/** Opens one model with the engine that its settings name. */
export async function openModel(id: string, settings: MemberConfig, context: EngineContext): Promise<Model> {
  switch (settings.engine) {
    case 'llama':
      return (await import('./llama/index.ts')).openLlamaModel(id, settings, context);
    case 'openai':
      return (await import('./openai/index.ts')).openOpenAiModel(id, settings, context);
    case 'ai-sdk':
      return (await import('./ai-sdk/index.ts')).openAiSdkModel(id, settings, context);
    case 'recorded':
      return (await import('./recorded/index.ts')).openRecordedModel(id, settings, context);
    case 'static':
      return (await import('./static/index.ts')).openStaticModel(id, settings, context);
  }
}

/** A member of an opened model, with its price: the configured one, else in the cloud the list price. */
export function memberOf(id: string, settings: MemberConfig, model: Model): AnyMember {
  const modelName = modelNameOf(settings);
  const price = settings.price === undefined ? (model.place === 'cloud' ? listPriceOf(modelName ?? id) : undefined) : priceOf(settings.price);
  return {
    id,
    roles: settings.roles ?? [id],
    model,
    ...(modelName === undefined ? {} : { modelName }),
    ...(price === undefined ? {} : { price }),
    ...(settings.energy === undefined ? {} : { energy: settings.energy }),
    ...('attachmentTokensMax' in settings && settings.attachmentTokensMax !== undefined ? { attachmentTokensMax: settings.attachmentTokensMax } : {}),
  } as AnyMember;
}

function modelNameOf(settings: MemberConfig): string | undefined {
  if (settings.engine === 'openai') return settings.model;
  if (settings.engine === 'ai-sdk' && 'modelId' in settings.model && typeof settings.model.modelId === 'string') return settings.model.modelId;
  return settings.engine === 'llama' || settings.engine === 'static' ? basename(settings.file) : undefined;
}

function priceOf(price: NonNullable<MemberConfig['price']>): NonNullable<AnyMember['price']> {
  const { cachedInputUsdPerMillionTokens: cached, ...rest } = price;
  return cached === undefined ? rest : { ...rest, cachedInputUsdPerMillionTokens: cached };
}
