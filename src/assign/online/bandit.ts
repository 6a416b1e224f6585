/**
 * The bandit: chooses one of several arms for a request and learns, later, from what came of it. One contract for every kind:
 *
 *   kind              features            rule       rows of the list of systems
 *   UCB, constrained  the constant alone  ucb        9: hard limits on cost, time and place are looked at first
 *   LinUCB            of the request      ucb        37
 *   Thompson          of the request      thompson   37
 *   any of them       any                 any        36: the preference is an argument of the choice, not of the learning
 *
 * `choose` gives the whole law over arms besides the arm that was drawn from it. `learn` may come at any time later, in any
 * order, or never; what it needs (the features at the time of the choice) travels with the decision, not in here.
 */
import { fail } from '../../errors.ts';
import { ArmModel, type ArmSettings, type Noticed, type Outcome, type SavedArm } from './arm-model.ts';
import { brokenLimit, type HardLimits } from './constraints.ts';
import { utilityOf, type Preference } from './preference.ts';
import { drawFrom, propensities, type ChoiceSettings } from './propensities.ts';

/** How a bandit works. */
export interface BanditSettings {
  readonly choice: ChoiceSettings;
  /** Settings of an arm that is seen for the first time. */
  readonly arm: (id: string) => ArmSettings;
  /** Deviations above the middle that a time limit is held against; default 1.64, kept 95 times of 100. */
  readonly latencyQuantile?: number;
  /**
   * Share of choices, 0 to 1, that goes to arms that are under suspicion of having changed, evenly, so that a change is
   * confirmed or cleared although the arm has become unattractive; default 0.2.
   */
  readonly probe?: number;
}

/** Suspicion from which an arm is probed. */
const suspect = 0.4;

/** An arm on one request. */
export interface Option {
  readonly arm: string;
  /** Features of the request for this arm; the first is 1. */
  readonly features: Float64Array;
  /** Dollars that the arm can cost at most, where a bound is known. Default: the upper quantile of what it cost so far. */
  readonly costUsdMax?: number;
  /** Who can read the request on this arm. */
  readonly places?: readonly string[];
}

/** What one choice is about. */
export interface Question {
  readonly options: readonly Option[];
  readonly preference: Preference;
  readonly limits?: HardLimits;
  /** Dual price of the budget, at least 0; default 0. */
  readonly price?: number;
}

/** What was expected of an arm, and how probable it was. */
export interface Judgement {
  readonly arm: string;
  readonly quality: number;
  /** Deviation of the expected quality. */
  readonly deviation: number;
  readonly costUsd: number;
  readonly latencyMs: number | undefined;
  readonly utility: number;
  readonly propensity: number;
  /** The limit that keeps the arm out; its propensity is then 0. */
  readonly excludedBy?: string;
}

/** A choice. */
export interface Choice {
  /** Undefined when no arm keeps the limits. */
  readonly arm: string | undefined;
  readonly propensity: number;
  /** One for each option, in their order. */
  readonly judgements: readonly Judgement[];
}

/** What came of a decision. */
export interface Lesson extends Outcome {
  readonly arm: string;
  /** Those of the choice. */
  readonly features: ArrayLike<number>;
}

/** A change of an arm. */
export interface ArmChange extends Noticed {
  readonly arm: string;
}

/** What must be kept of a bandit. JSON. */
export interface SavedBandit {
  readonly steps: number;
  readonly arms: Readonly<Record<string, SavedArm>>;
}

/** A bandit. */
export interface Bandit {
  /** Chooses. @param uniform draws from [0, 1) */
  choose(question: Question, uniform: () => number): Choice;
  /** What is expected of an option, without choosing. */
  judge(option: Option, question: Pick<Question, 'preference' | 'price'>): Omit<Judgement, 'propensity'>;
  /** Learns. Gives the changes that it noticed. */
  learn(lesson: Lesson): readonly ArmChange[];
  /** Another replica noticed a change. */
  changed(arm: string, quantity: Noticed['quantity']): void;
  /** Observations of an arm. */
  observations(arm: string): number;
  save(): SavedBandit;
  restore(saved: SavedBandit): void;
}

/** Builds one. */
export function createBandit(settings: BanditSettings): Bandit {
  return new ModelBandit(settings);
}

class ModelBandit implements Bandit {
  readonly #settings: BanditSettings;
  readonly #arms = new Map<string, { readonly model: ArmModel; at: number }>();
  /** Lessons so far: the time in which arms forget. */
  #steps = 0;

  constructor(settings: BanditSettings) {
    this.#settings = settings;
  }

  judge(option: Option, { preference, price = 0 }: Pick<Question, 'preference' | 'price'>): Omit<Judgement, 'propensity'> {
    const model = this.#arm(option.arm);
    const { mean, deviation } = model.quality(option.features);
    const costUsd = model.costUsd(option.features) ?? 0;
    const latencyMs = model.latencyMs(option.features);
    const utility = utilityOf({ quality: mean, costUsd, latencyMs: latencyMs ?? 0 }, preference, price);
    return { arm: option.arm, quality: mean, deviation, costUsd, latencyMs, utility };
  }

  choose(question: Question, uniform: () => number): Choice {
    const { options, limits } = question;
    const judged = options.map((option) => {
      const found = this.judge(option, question);
      const excludedBy = limits === undefined ? undefined : this.#excludedBy(option, limits);
      return excludedBy === undefined ? found : { ...found, excludedBy };
    });
    const allowed = judged.filter(({ excludedBy }) => excludedBy === undefined);
    if (allowed.length === 0) return { arm: undefined, propensity: 0, judgements: judged.map((each) => ({ ...each, propensity: 0 })) };
    const law = this.#probed(allowed, propensities(allowed.map(({ utility, deviation }) => ({ mean: utility, deviation })), this.#settings.choice));
    const drawn = drawFrom(law, uniform());
    let at = 0;
    const judgements = judged.map((each) => ({ ...each, propensity: each.excludedBy === undefined ? (law[at++] as number) : 0 }));
    return { arm: allowed[drawn]?.arm, propensity: law[drawn] as number, judgements };
  }

  learn({ arm, features, ...outcome }: Lesson): readonly ArmChange[] {
    if (outcome.reward !== undefined && !(outcome.reward >= 0 && outcome.reward <= 1)) fail('internal', 'A reward that was not checked reached the bandit: it must be between 0 and 1.');
    this.#steps++;
    return this.#arm(arm).learn(features, outcome).map((noticed) => ({ ...noticed, arm }));
  }

  changed(arm: string, quantity: Noticed['quantity']): void {
    this.#arm(arm).forget(quantity);
  }

  observations(arm: string): number {
    return this.#arms.get(arm)?.model.observations ?? 0;
  }

  save(): SavedBandit {
    return { steps: this.#steps, arms: Object.fromEntries([...this.#arms.keys()].map((id) => [id, this.#arm(id).save()])) };
  }

  restore({ steps, arms }: SavedBandit): void {
    this.#steps = steps;
    this.#arms.clear();
    for (const [id, saved] of Object.entries(arms)) this.#arm(id).restore(saved);
  }

  #probed(allowed: readonly { readonly arm: string }[], law: Float64Array): Float64Array {
    const { probe = 0.2 } = this.#settings;
    const suspects = allowed.map(({ arm }) => Number(this.#arm(arm).suspicion >= suspect));
    const count = suspects.reduce((sum, each) => sum + each, 0);
    return count === 0 || probe === 0 ? law : law.map((each, i) => (1 - probe) * each + (probe * (suspects[i] as number)) / count);
  }

  #arm(id: string): ArmModel {
    let found = this.#arms.get(id);
    if (found === undefined) this.#arms.set(id, (found = { model: new ArmModel(this.#settings.arm(id)), at: this.#steps }));
    found.model.pass(this.#steps - found.at);
    found.at = this.#steps;
    return found.model;
  }

  #excludedBy({ arm, features, costUsdMax, places = [] }: Option, limits: HardLimits): string | undefined {
    const model = this.#arm(arm);
    const quantile = this.#settings.latencyQuantile ?? 1.64;
    return brokenLimit({ costUsdMax: costUsdMax ?? model.costUsd(features, 3) ?? Infinity, latencyMsHigh: model.latencyMs(features, quantile) ?? Infinity, places }, limits);
  }
}
