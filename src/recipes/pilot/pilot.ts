/**
 * The pilot: chooses recipe, knobs and members for `tandem/auto`, learns from rewards, and can say why.
 *
 * For each rule (objective of the policy) it is in one of three phases:
 *
 *   rules     the documented rules decide, alone. So it stays where nobody sends rewards.
 *   explore   rewards come in: the rules decide all but a share `explore` of requests; that share is drawn from what looks good
 *             and from all arms. Every propensity is logged.
 *   learned   the gate (`assign/online/gate.ts`) found, from the logged decisions, that the learned policy is not worse: it
 *             decides, except for a share `holdout`, where the rules do. When it is worse than that holdout with confidence, it is
 *             rolled back to `explore`.
 *
 * What it may choose between was cut down by the policy before it is asked, and money is checked in every call by the budget
 * and the purse. A reward can move probabilities between allowed arms; it can do nothing else.
 *
 * The candidate that the gate judges is the learned policy as it was at each decision, before it saw that decision's reward, so
 * the estimate is not flattered by having learned from the same rewards.
 */
import { createBandit, type Bandit, type Judgement, type Option } from '../../assign/online/index.ts';
import type { HardLimits } from '../../assign/online/constraints.ts';
import { drawFrom } from '../../assign/online/propensities.ts';
import type { Preference } from '../../assign/online/preference.ts';
import type { TraceRecord } from '../../trace/trace.ts';
import { Crowd } from './crowd.ts';
import { inputsOf, reason } from './explanation.ts';
import { featureNames } from './features.ts';
import type { Journal, JournalEntry, RewardedEntry } from './journal.ts';
import { RulePhase, type Phase, type PhaseSettings } from './phase.ts';
import { armPrior, assumed, type SideQuality } from './prior.ts';

/** How a pilot behaves. */
export interface PilotSettings extends PhaseSettings {
  /** Share of requests that explore, 0 to 0.5; default 0.05. */
  readonly explore?: number;
  /** Share of requests, 0.01 to 0.5, that the rules keep while the learned policy is in force; default 0.05. */
  readonly holdout?: number;
  /** Age of a decision beyond which its reward does not count, in milliseconds; default 7 days. */
  readonly rewardAgeMsMax?: number;
  /** Share of the latest 200 rewards that one caller may hold where there are several; default 0.5. */
  readonly callerShareMax?: number;
  /** What is believed before the first reward. */
  readonly quality?: SideQuality;
  /** The dual price of the budget now; default 0. */
  readonly price?: () => number;
}

/** A request. */
export interface About {
  readonly traceId: string;
  readonly caller: string;
  readonly nowMs: number;
  readonly features: Float64Array;
  readonly preference: Preference;
}

/** An arm that can run. */
export interface ArmOffer {
  readonly id: string;
  /** Dollars that it can cost at most; Infinity where a price is not known. */
  readonly costUsdMax: number;
  /** Dollars that it is expected to cost before it was ever tried. */
  readonly usualCostUsd: number | undefined;
  readonly places: readonly string[];
}

/** What is asked of the pilot. */
export interface PilotQuestion extends About {
  readonly rule: string;
  /** Those that can run; the first is what the rules would choose. */
  readonly arms: readonly ArmOffer[];
  readonly limits: HardLimits;
  readonly uniform: () => number;
}

/** What the pilot says. */
export interface PilotAnswer {
  readonly arm: string;
  /** One sentence. */
  readonly because: string;
  /** Numbers and names for the trace. */
  readonly inputs: Readonly<Record<string, string | number | boolean>>;
}

/** What became of a reward. */
export type RewardFate = 'learned' | 'unknown' | 'repeated' | 'late' | 'invalid' | 'crowded';

const openMax = 10_000;
/** Rewards that one read of the journal takes. */
const pageMax = 5_000;
/** Floor of the learned law, so that no arm becomes unknown. */
const floor = 0.02;

/** See the head of this file. */
export class Pilot {
  readonly #settings: PilotSettings;
  readonly #journal: Journal;
  readonly #bandit: Bandit;
  readonly #usual = new Map<string, number>();
  readonly #states = new Map<string, RulePhase>();
  /** Decisions whose request has not ended. */
  readonly #open = new Map<string, JournalEntry>();
  /** Requests that ended here, whose cost and time are known. */
  readonly #ended = new Map<string, true>();
  /** What became of rewards, by trace, in the order in which they came. */
  readonly #applied = new Map<string, RewardFate>();
  readonly #crowd: Crowd;
  #seenMs = 0;

  /** @param journal shared by all replicas */
  constructor(settings: PilotSettings, journal: Journal) {
    this.#settings = settings;
    this.#journal = journal;
    this.#crowd = new Crowd(settings.callerShareMax ?? 0.5);
    this.#bandit = createBandit({ choice: { rule: 'thompson', width: 0.5, explore: floor }, arm: (id) => armPrior(id, settings.quality ?? assumed, this.#usual.get(id)) });
  }

  /** The phase of a rule, and why it is in it. */
  phase(rule: string): { readonly phase: Phase; readonly why: string; readonly rewards: number } {
    const { phase, why, rewards } = this.#state(rule);
    return { phase, why, rewards };
  }

  /** Notes what the rules chose while they decide alone; a reward teaches all the same. @returns what the trace shows */
  follow({ traceId, caller, nowMs, features, preference: { qualityUsd }, rule, arm }: About & { readonly rule: string; readonly arm: string }): PilotAnswer['inputs'] {
    const { phase, why, rewards } = this.#state(rule);
    this.#remember({ traceId, atMs: nowMs, caller, rule, arm, held: false, learned: false, propensity: 1, target: 1, modelled: 0, modelledTarget: 0, qualityUsd, features: rounded(features) });
    return { phase, why, rewards, propensity: 1 };
  }

  /** Chooses. Draws nothing while the rules decide alone. */
  decide(question: PilotQuestion): PilotAnswer {
    const { rule, arms, preference, features, limits, uniform } = question;
    const state = this.#state(rule);
    const before = this.#open.get(question.traceId);
    if (before !== undefined && arms.some(({ id }) => id === before.arm)) return { arm: before.arm, because: 'As for the first answer of the request.', inputs: { phase: state.phase, propensity: before.propensity } };
    const { explore = 0.05, holdout = 0.05 } = this.#settings;
    const price = this.#settings.price?.() ?? 0;
    this.#expect(arms);
    const options = arms.map(({ id, costUsdMax, places }): Option => ({ arm: id, features, costUsdMax, places }));
    const { judgements } = this.#bandit.choose({ options, preference, limits, price }, () => 0);
    const target = Float64Array.from(judgements, ({ propensity }) => propensity);
    const open = judgements.filter(({ excludedBy }) => excludedBy === undefined).length;
    const alone = state.phase === 'rules' || arms.length < 2 || open === 0;
    const held = !alone && state.phase === 'learned' && uniform() < holdout;
    const law = target.map((wanted, i) => {
      const byRule = Number(i === 0);
      if (alone) return byRule;
      if (state.phase === 'learned') return holdout * byRule + (1 - holdout) * wanted;
      const even = judgements[i]?.excludedBy === undefined ? 1 / open : 0;
      return (1 - explore) * byRule + explore * (0.5 * wanted + 0.5 * even);
    });
    const drawn = alone || held ? 0 : state.phase === 'learned' ? drawFrom(target, uniform()) : drawFrom(law, uniform());
    const chosen = judgements[drawn] as Judgement;
    this.#remember({
      traceId: question.traceId, atMs: question.nowMs, caller: question.caller, rule, arm: chosen.arm, held, learned: state.phase === 'learned' && !alone,
      propensity: law[drawn] as number, target: target[drawn] as number, modelled: chosen.utility, modelledTarget: judgements.reduce((sum, { utility }, i) => sum + (target[i] as number) * utility, 0),
      qualityUsd: preference.qualityUsd, features: rounded(features),
    });
    return { arm: chosen.arm, because: alone ? 'The rules decide.' : reason(state, held, drawn === 0), inputs: inputsOf({ state, judgements, law, drawn, held, price, features, preference }) };
  }

  /**
   * Dollars that an arm is expected to gain over another one, or over no answer, and to cost beyond it.
   * @param other an arm that can take its place
   */
  gain(arm: ArmOffer, other: ArmOffer | undefined, { features, preference }: Pick<About, 'features' | 'preference'>): { readonly gainUsd: number; readonly costUsd: number } {
    this.#expect(other === undefined ? [arm] : [arm, other]);
    const [own, others] = [arm, other].map((each) => (each === undefined ? { quality: 0, costUsd: 0 } : this.#bandit.judge({ arm: each.id, features }, { preference })));
    const gained = Math.max(0, (own?.quality ?? 0) - Math.max(0, others?.quality ?? 0));
    return { gainUsd: gained * preference.qualityUsd, costUsd: Math.max(1e-12, (own?.costUsd ?? 0) - (others?.costUsd ?? 0)) };
  }

  /** The request is answered in another way than was decided, for reasons that the law does not know: it teaches nothing. */
  overruled(traceId: string): void {
    this.#open.delete(traceId);
  }

  /** A request has ended: its cost and time are learned, and the decision goes into the journal. */
  finished({ id, outcome, usage, durationMs }: TraceRecord): Promise<void> | undefined {
    const entry = this.#open.get(id);
    if (entry === undefined) return undefined;
    this.#open.delete(id);
    if (outcome !== 'ok') return undefined;
    note(this.#ended, id, true, 4 * openMax);
    const full: JournalEntry = { ...entry, latencyMs: durationMs, ...(usage.priceKnown === false ? {} : { costUsd: usage.costUsd }) };
    this.#bandit.learn({ arm: entry.arm, features: entry.features, latencyMs: durationMs, ...(full.costUsd === undefined || full.costUsd === 0 ? {} : { costUsd: full.costUsd }) });
    return this.#journal.decided(full);
  }

  /**
   * A judgement of an answer. Counts once, when the decision is known, is not too old and its caller does not drown out others.
   * @throws {TandemError} store_failed
   */
  async reward(traceId: string, score: number, source: string, nowMs: number): Promise<RewardFate> {
    if (!(score >= 0 && score <= 1)) return 'invalid';
    const found = await this.#journal.rewarded(traceId, score, source, nowMs);
    if (found === undefined) return 'unknown';
    if (found === 'repeated') return 'repeated';
    // A sync that ran meanwhile may have read it already.
    return this.#applied.get(traceId) ?? this.#takeUp(found);
  }

  /** Learns what other replicas were told, and what it cost them, since the last time. @throws {TandemError} store_failed */
  async sync(): Promise<number> {
    // Clocks of replicas differ and writes overtake each other: a minute is read again, and what is known is skipped.
    let [fromMs, after, count] = [this.#seenMs - 60_000, '', 0];
    for (;;) {
      const entries = await this.#journal.since(fromMs, pageMax, after);
      for (const entry of entries) if (this.#takeUp(entry) === 'learned') count++;
      const last = entries.at(-1);
      if (last === undefined || entries.length < pageMax) return count;
      [fromMs, after] = [last.rewardAtMs, last.traceId];
    }
  }

  /** Takes up what the journal holds, at the start. @throws {TandemError} store_failed */
  async restore(limit = 5_000): Promise<void> {
    for (const entry of await this.#journal.latest(limit)) this.#takeUp(entry);
  }

  /** Learns from a rewarded decision; from its cost and time as well, where another replica saw them. */
  #takeUp(entry: RewardedEntry): RewardFate {
    const { traceId, arm, features, latencyMs, costUsd } = entry;
    if (this.#applied.has(traceId)) return 'repeated';
    if (!this.#ended.has(traceId) && fits(entry)) this.#bandit.learn({ arm, features, ...(latencyMs === undefined ? {} : { latencyMs }), ...(costUsd === undefined || costUsd === 0 ? {} : { costUsd }) });
    return this.#learn(entry);
  }

  /** Notes what arms cost, about, before they are tried. */
  #expect(arms: readonly ArmOffer[]): void {
    for (const { id, usualCostUsd } of arms) if (usualCostUsd !== undefined && !this.#usual.has(id)) this.#usual.set(id, usualCostUsd);
  }

  #state(rule: string): RulePhase {
    let state = this.#states.get(rule);
    if (state === undefined) this.#states.set(rule, (state = new RulePhase(this.#settings)));
    return state;
  }

  #remember(entry: JournalEntry): void {
    if (!this.#open.has(entry.traceId)) note(this.#open, entry.traceId, entry, openMax);
  }

  #learn(entry: RewardedEntry): RewardFate {
    if (this.#applied.has(entry.traceId)) return 'repeated';
    const fate = this.#apply(entry);
    note(this.#applied, entry.traceId, fate, 4 * openMax);
    return fate;
  }

  #apply(entry: RewardedEntry): RewardFate {
    this.#seenMs = Math.max(this.#seenMs, entry.rewardAtMs);
    if (!(entry.reward >= 0 && entry.reward <= 1) || !fits(entry)) return 'invalid';
    if (entry.rewardAtMs - entry.atMs > (this.#settings.rewardAgeMsMax ?? 7 * 86_400_000)) return 'late';
    if (this.#crowd.crowds(entry.caller)) return 'crowded';
    this.#state(entry.rule).advance(entry, this.#bandit.learn({ arm: entry.arm, features: entry.features, reward: entry.reward }));
    return 'learned';
  }
}

/** Whether a decision was noted by a version with the same features. */
function fits({ features }: JournalEntry): boolean {
  return features.length === featureNames.length && features.every(Number.isFinite);
}

/** Remembers; the oldest goes when there are too many. */
function note<T>(known: Map<string, T>, traceId: string, value: T, atMost: number): void {
  known.set(traceId, value);
  const [oldest] = known.keys();
  if (known.size > atMost && oldest !== undefined) known.delete(oldest);
}

function rounded(features: Float64Array): number[] {
  return Array.from(features, (each) => Math.round(each * 1e4) / 1e4);
}
