/**
 * The phases of one rule (objective of the policy), and what moves it from one to the next:
 *
 *   rules -> explore    `rewardsMin` rewards have come
 *   explore -> learned  the gate found, from the logged decisions, that the learned policy is not worse
 *   learned -> explore  the learned policy was worse than the holdout beside it, with confidence
 */
import type { ArmChange } from '../../assign/online/index.ts';
import { judgeChange, Trial, type GateSettings, type Verdict } from '../../assign/online/gate.ts';
import type { LoggedChoice } from '../../assign/online/off-policy.ts';
import { utilityOf } from '../../assign/online/preference.ts';
import { seededRandom } from '../../system/random.ts';
import type { RewardedEntry } from './journal.ts';

/** The phases. */
export type Phase = 'rules' | 'explore' | 'learned';

/** What a rule's phase depends on. */
export interface PhaseSettings {
  /** Rewards under a rule before anything is explored; default 20. */
  readonly rewardsMin?: number;
  readonly gate?: GateSettings;
}

const rowsMax = 2_000;
const judgeEvery = 25;

/** The phase of one rule. */
export class RulePhase {
  readonly #settings: PhaseSettings;
  #phase: Phase = 'rules';
  #rewards = 0;
  #rows: LoggedChoice[] = [];
  #trial = new Trial();
  #why = 'No rewards have come.';

  constructor(settings: PhaseSettings) {
    this.#settings = settings;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Rewards under the rule so far. */
  get rewards(): number {
    return this.#rewards;
  }

  /** Why it is in its phase: one sentence. */
  get why(): string {
    return this.#why;
  }

  /** A reward has come. @param changes of arms that it made noticeable */
  advance(entry: RewardedEntry, changes: readonly ArmChange[]): void {
    const { rewardsMin = 20, gate = {} } = this.#settings;
    this.#rewards++;
    const utility = Math.max(-1, utilityOf({ quality: entry.reward, costUsd: entry.costUsd ?? 0, latencyMs: 0 }, { qualityUsd: entry.qualityUsd, secondUsd: 0 }));
    if (changes.some(({ quantity }) => quantity === 'reward')) this.#rows = []; // evidence from before a change is none
    if (this.#phase === 'rules' && this.#rewards >= rewardsMin) this.#enter('explore', `${this.#rewards} rewards have come.`);
    if (entry.learned && this.#phase === 'learned') {
      this.#trial.add(entry.held, Math.max(0, Math.min(1, utility)));
      if (this.#trial.worse) this.#enter('explore', 'Rolled back: the learned policy was worse than the rules beside it.');
      return;
    }
    if (entry.learned || this.#phase !== 'explore') return;
    this.#rows.push({ reward: utility, propensity: entry.propensity, target: entry.target, modelled: entry.modelled, modelledTarget: entry.modelledTarget });
    if (this.#rows.length > rowsMax) this.#rows.shift();
    if (this.#rewards % judgeEvery !== 0) return;
    const verdict = judgeChange(this.#rows, gate, seededRandom(this.#rewards));
    if (verdict.passes) this.#enter('learned', `The gate let the learned policy pass: ${gains(verdict)}.`);
    else this.#why = `The gate keeps the rules: ${verdict.because}`;
  }

  #enter(phase: Phase, why: string): void {
    this.#phase = phase;
    this.#why = why;
    this.#rows = [];
    this.#trial = new Trial();
  }
}

function gains({ gain, gainLow, gainHigh, rows }: Verdict): string {
  return `it gains ${gain.toFixed(3)} (${gainLow.toFixed(3)} to ${gainHigh.toFixed(3)}) on ${rows} decisions`;
}
