/**
 * Admission: who is asking, may they, and under which policy. The first stage of every request.
 *
 * Knows keys, limits and names; knows neither recipes nor what they do. What a running request may spend is watched by
 * the recipe stage; here is only what can be said beforehand, and what a key has used in all.
 */
import type { Config } from '../config.ts';
import { fail } from '../errors.ts';
import type { Admitted, Caller, Policy, Prompt, Received } from '../exchange.ts';
import type { Team } from '../models/team.ts';
import type { Journey, Stages } from '../pipeline.ts';
import type { Store } from '../store/store.ts';
import type { Clock } from '../system/clock.ts';
import { whileWanted } from '../system/waits.ts';
import type { Span, TraceRecord } from '../trace/trace.ts';
import { Account, type Entered } from './account.ts';
import { accountMemories, type AccountMemory } from './account-memory.ts';
import { AnswerLength } from './answer-length.ts';
import { endUserMark } from './end-user.ts';
import { KeyRing, type KeySettings } from './keys.ts';
import { checkLibraryRequest } from './library-request.ts';
import { mergePolicy } from './merge-policy.ts';
import { ModelNames } from './resolve-model.ts';

/** What admission needs. */
export interface AdmissionParts {
  readonly config: Config;
  readonly team: Team;
  /** Ids of all recipes. */
  readonly recipes: ReadonlySet<string>;
  readonly store: Store;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Memory of the keys' accounts (`accountBytes`), where several threads serve the same keys. Default: its own. */
  readonly accounts?: SharedArrayBuffer;
}

/** A caller outside a request, such as one that lists models or traces. */
export interface Identity extends Caller {
  /** May read the traces of every key. True for everybody where no key is asked for. */
  readonly admin: boolean;
  /** Whether the caller may ask for this model id. */
  mayUse(model: string): boolean;
}

/** The stage, and the books behind it. */
export interface Admission {
  /**
   * The admission stage.
   * @throws {TandemError} key_missing, key_invalid, key_forbidden, rate_limited, budget_exhausted, model_not_found,
   *   parameter_invalid, parameter_unknown, context_too_long, policy_violated, store_failed; cancelled, deadline_exceeded while the store is waited for
   */
  readonly admit: Stages['admit'];
  /** Whether whoever shows this key may ask at all. @throws {TandemError} key_missing, key_invalid */
  checkKey(key: string | undefined): void;
  /** Whether a model id exists here: a recipe, a member, an alias; also the empty one, which is the default. */
  knows(model: string): boolean;
  /** Who shows this key. @throws {TandemError} key_missing, key_invalid */
  identify(key: string | undefined): Identity;
  /** Accounts for a finished request; for an unknown or refused one it does nothing. */
  settle(record: TraceRecord): void;
}

const anonymous: Caller = { name: 'anonymous' };

/** Builds admission. @throws {TandemError} config_invalid for keys, aliases, a default model or models of a key that cannot work */
export function createAdmission(parts: AdmissionParts): Admission {
  return new Desk(parts);
}

class Desk implements Admission {
  readonly #parts: AdmissionParts;
  readonly #ring: KeyRing;
  readonly #names: ModelNames;
  readonly #length: AnswerLength;
  readonly #accounts: ReadonlyMap<KeySettings, Account>;
  /** Requests of limited keys that are under way, by trace id. */
  readonly #entered = new Map<string, { readonly account: Account; readonly entered: Entered }>();
  /** The policy of a request that says nothing, which most do not. */
  readonly #plainPolicy: Policy;

  constructor(parts: AdmissionParts) {
    const { config, team, recipes, env } = parts;
    this.#parts = parts;
    this.#ring = new KeyRing(config.gateway.keys, env);
    this.#names = new ModelNames(config, team.members.map(({ id }) => id), recipes);
    const [mistake] = this.#names.mistakes(config.gateway.keys);
    if (mistake !== undefined) fail('config_invalid', { message: `${mistake.path}: expected ${mistake.expected}, got ${mistake.got}.`, param: mistake.path });
    this.#length = new AnswerLength(config.policy, team);
    const memories = accountMemories(config.gateway.keys, parts.accounts);
    this.#accounts = new Map(this.#ring.keys.map(({ settings }, index) => [settings, new Account(settings, memories[index] as AccountMemory)]));
    this.#plainPolicy = mergePolicy(config.policy, {}, team);
  }

  readonly admit = (received: Received, journey: Journey, span: Span): Admitted | Promise<Admitted> => {
    const settings = this.#ring.needed && received.surface !== 'library' ? this.#ring.recognise(received.key).settings : undefined;
    const caller = settings === undefined ? anonymous : { name: settings.name };
    journey.trace.calledBy(caller.name);
    if (received.surface === 'library') checkLibraryRequest(received);
    const model = this.#names.resolve(received.model);
    if (settings !== undefined && !mayUse(settings, received.model, model)) {
      fail('key_forbidden', { message: `The key "${settings.name}" may not use this model.`, param: 'model' });
    }
    const policy = this.#policyOf(received.policy);
    const tokensMax = this.#length.settle(received, model);
    span.set({ model, objective: policy.objective, privacyClass: policy.privacyClass, tokensMax });
    noteAsked(received, span);
    if (received.user !== undefined) span.set({ endUser: endUserMark(received.user) });
    const admitted: Admitted = { ...received, model, caller, policy, sampling: { ...received.sampling, tokensMax } };
    const account = settings === undefined ? undefined : this.#accounts.get(settings);
    if (account === undefined || !account.limited) return admitted;
    const wait = account.prepare(this.#parts.store, this.#parts.clock.wallMs());
    if (wait !== undefined) return whileWanted(wait, policy.limits, journey).then(() => this.#enter(account, admitted, journey.trace.id));
    return this.#enter(account, admitted, journey.trace.id);
  };

  checkKey(key: string | undefined): void {
    if (this.#ring.needed) this.#ring.recognise(key);
  }

  knows(model: string): boolean {
    return this.#names.knows(model);
  }

  identify(key: string | undefined): Identity {
    if (!this.#ring.needed) return { ...anonymous, admin: true, mayUse: () => true };
    const { settings } = this.#ring.recognise(key);
    return { name: settings.name, admin: settings.admin, mayUse: (model) => mayUse(settings, model, this.#names.resolve(model)) };
  }

  settle({ id, usage }: TraceRecord): void {
    const running = this.#entered.get(id);
    if (running === undefined) return;
    this.#entered.delete(id);
    running.account.leave(running.entered, usage.promptTokens + usage.completionTokens, usage.costUsd, this.#parts.clock.monotonicMs());
  }

  #policyOf(asked: Partial<Policy>): Policy {
    for (const _ in asked) return mergePolicy(this.#parts.config.policy, asked, this.#parts.team);
    return this.#plainPolicy;
  }

  #enter(account: Account, admitted: Admitted, traceId: string): Admitted {
    const { clock } = this.#parts;
    const entered = account.enter(estimatedTokens(admitted.prompt), clock.monotonicMs(), clock.wallMs());
    this.#entered.set(traceId, { account, entered });
    const { draw } = entered;
    return draw === undefined ? admitted : { ...admitted, policy: costingAtMost(admitted.policy, draw.costUsdMax), keyPurse: draw };
  }
}

/** A policy under which a request may cost so much and no more. */
function costingAtMost(policy: Policy, costUsd: number): Policy {
  const { costUsdMax = Infinity } = policy.limits;
  return { ...policy, limits: { ...policy.limits, costUsdMax: Math.min(costUsdMax, costUsd) } };
}

function mayUse({ models }: KeySettings, asked: string, resolved: string): boolean {
  return models === undefined || models.includes(resolved) || models.includes(asked);
}

/** Notes what the request asks for beyond the defaults, for the trace; what is default writes nothing. */
function noteAsked({ surface, whole, answers, sampling: { seed, topK, format } }: Received, span: Span): void {
  if (whole !== true && surface !== 'embeddings') span.set({ stream: true });
  if (answers !== 1) span.set({ answers });
  if (seed !== undefined) span.set({ seed });
  if (topK !== undefined) span.set({ topK });
  // A grammar can describe any form, so it says nothing of the type.
  if (format !== undefined && format.type !== 'grammar') span.set({ outputType: format.type === 'text' ? 'text' : 'json' });
}

/** Tokens of a prompt, taken as one for four characters: only for the windows, which are corrected afterwards. */
function estimatedTokens({ messages, text }: Prompt): number {
  let characters = text?.length ?? 0;
  for (const { content } of messages) characters += content.length + 8;
  return Math.ceil(characters / 4);
}
