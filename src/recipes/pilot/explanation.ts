/** How the pilot says why: one sentence, and the numbers and names that stand in the trace. */
import type { Judgement } from '../../assign/online/index.ts';
import type { Preference } from '../../assign/online/preference.ts';
import type { RulePhase } from './phase.ts';

/** A decision, as it is shown. */
export interface Shown {
  readonly state: RulePhase;
  readonly judgements: readonly Judgement[];
  /** Probability of each judged arm. */
  readonly law: Float64Array;
  /** Number of the arm that was drawn. */
  readonly drawn: number;
  /** The rules decided although the learned policy is in force. */
  readonly held: boolean;
  /** Dual price of the budget. */
  readonly price: number;
  readonly features: Float64Array;
  readonly preference: Preference;
}

/** Why an arm was drawn: one sentence. */
export function reason({ phase }: RulePhase, held: boolean, byRule: boolean): string {
  if (held) return 'The rules keep a share of requests beside the learned policy.';
  if (phase === 'learned') return 'The learned policy decides.';
  return byRule ? 'The rules decide; a small share of requests explores.' : 'This request explores.';
}

/** The numbers and names for the trace. */
export function inputsOf({ state, judgements, law, drawn, held, price, features, preference }: Shown): Record<string, string | number | boolean> {
  const excluded = judgements.filter(({ excludedBy }) => excludedBy !== undefined).map(({ arm, excludedBy }) => `${arm} (${excludedBy})`);
  const known = judgements.map(({ arm, quality, deviation, costUsd }) => `${arm} ${quality.toFixed(2)}±${(1.96 * deviation).toFixed(2)} $${Number(costUsd.toPrecision(2))}`);
  return {
    phase: state.phase,
    why: state.why,
    rewards: state.rewards,
    propensity: Number((law[drawn] as number).toFixed(4)),
    law: judgements.map(({ arm }, i) => `${arm} ${(law[i] as number).toFixed(3)}`).join(', '),
    expected: known.join(', '),
    ...(excluded.length === 0 ? {} : { excluded: excluded.join(', ') }),
    ...(held ? { held } : {}),
    price: Number(price.toPrecision(3)),
    qualityUsd: preference.qualityUsd,
    difficulty: Number(((features[1] ?? 0) + 0.5).toFixed(3)),
  };
}
