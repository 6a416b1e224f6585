/** Opens each member on its own and asks whether it can answer, so that one broken member does not hide the others. */
import type { Config } from '../config.ts';
import { TandemError } from '../errors.ts';
import type { EngineContext } from '../models/context.ts';
import { Team, type AnyMember } from '../models/team.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import type { Finding } from './checks.ts';

/** What surrounds the checks. */
export interface MemberCheckContext {
  readonly baseDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Time that each member may take to answer. */
  readonly timeoutMs: number;
}

/** Findings in the order of the configuration, and a team of the members that could be opened. */
export async function checkMembers(config: Config, context: MemberCheckContext): Promise<{ readonly findings: readonly Finding[]; readonly team: Team }> {
  const engine: EngineContext = { baseDir: context.baseDir, env: context.env, clock: systemClock, random: systemRandom };
  const checked = await Promise.all(Object.entries(config.members).map(([id, settings]) => checkMember(id, settings, engine, context.timeoutMs)));
  const members = checked.flatMap(({ member }) => member ?? []);
  return { findings: [...checked.map(({ finding }) => finding), ...priceNotes(members, limitsInDollars(config))], team: new Team(members) };
}

/** Settings that limit dollars. */
function limitsInDollars({ policy, gateway }: Config): string[] {
  const names = (['costUsdMaxPerRequest', 'costUsdPerDay', 'costUsdPerMonth'] as const).filter((name) => policy[name] !== undefined).map((name) => `policy.${name}`);
  return [...names, ...gateway.keys.flatMap(({ costUsdPerDay }, index) => (costUsdPerDay === undefined ? [] : [`gateway.keys[${index}].costUsdPerDay`]))];
}

/** Members in the cloud whose price is not known: no limit in dollars can be kept with them. */
function priceNotes(members: readonly AnyMember[], limits: readonly string[]): Finding[] {
  return members
    .filter(({ price, model }) => price === undefined && model.place === 'cloud' && model.engine !== 'recorded')
    .map(({ id }) => ({
      check: `member ${id}`,
      state: 'note',
      message: `its price is not known: costs leave it out, and it is refused wherever dollars are limited (${limits.length === 0 ? 'by a request' : limits.join(', ')})`,
      remedy: `Set members.${id}.price.`,
    }));
}

async function checkMember(id: string, settings: Config['members'][string], context: EngineContext, timeoutMs: number): Promise<{ readonly finding: Finding; readonly member?: AnyMember }> {
  const check = `member ${id}`;
  const { memberOf, openModel } = await import('../models/load.ts');
  let member: AnyMember | undefined;
  try {
    const model = await openModel(id, settings, context);
    member = memberOf(id, settings, model);
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs));
    const { latencyMs } = await orTimeout(model.check({ signal }), signal, timeoutMs);
    return { member, finding: { check, state: 'ok', message: `${settings.engine} on ${model.place}, ${model.abilities.levels.join(' ')}, answered in ${latencyMs < 10 ? latencyMs.toFixed(1) : latencyMs.toFixed(0)} ms` } };
  } catch (thrown) {
    const error = TandemError.from(thrown);
    const finding: Finding = { check, state: 'wrong', message: error.message, code: error.code, remedy: error.remedy };
    return member === undefined ? { finding } : { finding, member };
  }
}

/** A check that does not heed its signal must not hold the doctor up. */
async function orTimeout<T>(work: Promise<T>, signal: AbortSignal, timeoutMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const reject = (): void => late.reject(new TandemError('upstream_timeout', { message: `The member did not answer within ${timeoutMs / 1000} s (--timeout).` }));
  signal.addEventListener('abort', reject, { once: true });
  try {
    return await Promise.race([work, late.promise]);
  } catch (error) {
    if (signal.aborted) {
      reject();
      return await late.promise;
    }
    throw error;
  } finally {
    signal.removeEventListener('abort', reject);
    late.promise.catch(() => undefined);
  }
}
