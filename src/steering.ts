/**
 * What steers all requests together: the pilot of `tandem/auto`, the cap on dollars a day and a month, and the price of a dollar
 * while money is short. Built once by `src/tandem.ts`; nothing else knows both the policy and the pilot.
 */
import type { Router } from './assign/router.ts';
import type { Config } from './config.ts';
import type { Admitted } from './exchange.ts';
import type { Team } from './models/team.ts';
import { PaidAdmission } from './policy/paid-admission.ts';
import { Pacer } from './policy/pacing.ts';
import { memoryLedger, periodOf, Purse, Purses, type Cap, type SpendLedger } from './policy/purse.ts';
import { Traffic } from './policy/traffic.ts';
import { autoWith } from './recipes/auto.ts';
import { promptTokensMax, promptUsdMax } from './recipes/prompt-size.ts';
import { memoryJournal } from './recipes/pilot/journal.ts';
import { Pilot, type RewardFate } from './recipes/pilot/pilot.ts';
import { assumed, bundledQuality } from './recipes/pilot/prior.ts';
import type { Recipe } from './recipes/recipe.ts';
import type { Store } from './store/store.ts';
import type { Clock } from './system/clock.ts';
import { atMost } from './system/waits.ts';
import type { TraceRecord } from './trace/trace.ts';

/** What steering is made of. */
export interface SteeringParts {
  readonly config: Config;
  readonly team: Team;
  readonly store: Store;
  readonly clock: Clock;
  /** Trained routers of the configuration; the first one's estimate is a feature of the pilot. */
  readonly routers?: ReadonlyMap<string, Router>;
}

const syncEveryMs = 5_000;
/** What is given back and written at the end may take so long, in milliseconds: a store that does not answer must not hold up a shutdown. */
const closeMs = 5_000;
/** Answers that a recipe may ask of one member, about. */
const samplesUsual = 5;
const dayMs = 86_400_000;

/** The pilot and the purse of a running Tandem. */
export class Steering {
  /** `tandem/auto`. */
  readonly auto: Recipe;
  /** Undefined where nothing is capped. */
  readonly purse: Purses | undefined;
  readonly #pilot: Pilot | undefined;
  readonly #parts: SteeringParts;
  readonly #ledger: SpendLedger;
  readonly #pacer: Pacer | undefined;
  readonly #paid: PaidAdmission | undefined;
  readonly #traffic: Traffic;
  /** Worst cases of the requests that run, by trace. */
  readonly #underWay = new Map<string, number>();
  #underWayUsd = 0;
  /** Dollars that others were granted in a period. */
  readonly #elsewhereUsd = new Map<string, number>();
  #period = '';
  #timer: NodeJS.Timeout | undefined;

  private constructor(parts: SteeringParts) {
    const { config, store, clock } = parts;
    const { costUsdPerDay, costUsdPerMonth } = config.policy;
    this.#parts = parts;
    this.#ledger = store.ledger ?? memoryLedger();
    const caps: Cap[] = [...(costUsdPerDay === undefined ? [] : [{ period: 'day' as const, costUsd: costUsdPerDay }]), ...(costUsdPerMonth === undefined ? [] : [{ period: 'month' as const, costUsd: costUsdPerMonth }])];
    this.purse = caps.length === 0 ? undefined : new Purses(caps.map((cap) => new Purse(cap, this.#ledger, clock)), () => this.price);
    this.#traffic = new Traffic(store.traffic, config.store.traceDaysMax * dayMs);
    this.#pacer = caps.length === 0 ? undefined : new Pacer({}, this.#traffic.profile);
    const { learn, explore, holdout, rewardsMin, rewardDaysMax } = config.pilot;
    const bundled = Object.values(config.members).every((member) => member.engine === 'llama' && member.file.startsWith('bundled:'));
    this.#pilot = learn
      ? new Pilot({ explore, holdout, rewardsMin, rewardAgeMsMax: rewardDaysMax * dayMs, quality: bundled ? bundledQuality() : assumed, price: () => this.#pacer?.price ?? 0 }, store.journal ?? memoryJournal())
      : undefined;
    this.#paid = this.purse === undefined || config.policy.paidFirst === 'arrival' ? undefined : new PaidAdmission(this.purse, () => this.price, clock);
    this.auto = autoWith(this.#pilot, parts.routers?.values().next().value, this.#paid);
  }

  /** Builds it, and takes up what was learned before. @throws {TandemError} store_failed */
  static async open(parts: SteeringParts): Promise<Steering> {
    const steering = new Steering(parts);
    await steering.#pilot?.restore();
    await steering.sync();
    if (parts.store.journal !== undefined || parts.store.ledger !== undefined) {
      steering.#timer = setInterval(() => void steering.sync().catch(() => undefined), syncEveryMs);
      steering.#timer.unref();
    }
    return steering;
  }

  /**
   * Leases money for a request before it begins, where dollars are capped: enough for the worst case of all that run, so that none
   * is refused for what others have set aside and will not use.
   * @throws {TandemError} store_failed
   */
  prepare(traceId: string, { prompt, sampling, answers }: Pick<Admitted, 'prompt' | 'sampling' | 'answers'>): Promise<void> | undefined {
    if (this.purse === undefined) return undefined;
    const { team, config, clock } = this.#parts;
    this.#traffic.note(clock.wallMs());
    const tokens = promptTokensMax(prompt, sampling);
    const answerTokens = Math.min(config.policy.answerTokensMax, samplesUsual * (sampling.tokensMax ?? Infinity));
    const worst = team.members.reduce((sum, member) => {
      const { price } = member;
      const promptUsd = price === undefined ? 0 : promptUsdMax(member, price, prompt, tokens);
      return price === undefined || promptUsd === Infinity ? sum : sum + promptUsd + (answerTokens * price.outputUsdPerMillionTokens) / 1e6; // without a bound it is refused
    }, 0);
    if (worst === 0) return undefined;
    this.#underWayUsd += worst * answers - (this.#underWay.get(traceId) ?? 0);
    this.#underWay.set(traceId, worst * answers);
    return this.purse.prepare(this.#underWayUsd);
  }

  /** What a dollar is worth beyond itself now; 0 while money is plentiful or not capped. */
  get price(): number {
    return this.#pacer?.price ?? 0;
  }

  /** A request has ended. */
  finished(record: TraceRecord): void {
    void this.#pilot?.finished(record)?.catch(() => undefined);
    this.#underWayUsd -= this.#underWay.get(record.id) ?? 0;
    this.#underWay.delete(record.id);
    if (this.#underWay.size === 0) this.#underWayUsd = 0; // sums of fractions drift
    if (this.#pacer === undefined) return;
    const [tightest] = this.#left();
    if (tightest === undefined) return;
    if (tightest.name !== this.#period) {
      this.#period = tightest.name;
      this.#pacer.begin();
    }
    this.#pacer.served(record.usage.costUsd, tightest.leftUsd, this.#parts.clock.wallMs(), tightest.endMs);
  }

  /** A judgement of an answer. @returns what became of it; undefined where nothing is learned @throws {TandemError} store_failed */
  async reward(traceId: string, score: number, source: string): Promise<RewardFate | undefined> {
    return this.#pilot?.reward(traceId, score, source, this.#parts.clock.wallMs());
  }

  /** Takes up what other replicas learned, spent and served, and lets them have what lies idle here. @throws {TandemError} store_failed */
  async sync(): Promise<void> {
    await this.#pilot?.sync();
    if (this.purse === undefined) return;
    await this.purse.rest(this.#underWayUsd);
    const caps = this.#left();
    for (const name of this.#elsewhereUsd.keys()) if (!caps.some((cap) => cap.name === name)) this.#elsewhereUsd.delete(name);
    for (const { name, purse } of caps) this.#elsewhereUsd.set(name, Math.max(0, (await this.#ledger.granted(name)) - purse.heldUsd - purse.spentUsd));
    this.#paid?.refilled();
    await this.#traffic.sync(this.#parts.clock.wallMs());
  }

  /** Gives unused leases back and writes what was counted, as far as the store takes it within 5 seconds. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await atMost(closeMs, this.#settle());
  }

  async #settle(): Promise<void> {
    await this.purse?.close().catch(() => undefined);
    await this.#traffic.sync(this.#parts.clock.wallMs()).catch(() => undefined);
  }

  /** The caps, the one with the least money a day first, and what all replicas together have left of each. */
  #left(): { readonly purse: Purse; readonly name: string; readonly leftUsd: number; readonly endMs: number }[] {
    const nowMs = this.#parts.clock.wallMs();
    return (this.purse?.purses ?? [])
      .map((purse) => {
        const { name, endMs } = periodOf(purse.cap.period, nowMs);
        return { purse, name, endMs, leftUsd: purse.cap.costUsd - purse.spentUsd - (this.#elsewhereUsd.get(name) ?? 0) };
      })
      .sort((a, b) => a.leftUsd / (a.endMs - nowMs) - b.leftUsd / (b.endMs - nowMs));
  }
}
