/**
 * Self-verification with a verifier that errs: how often it says yes to right and to wrong answers is modelled, so that a
 * number of verdicts becomes a belief that the answer is right, and the belief decides: accept, escalate, or ask once more.
 *
 * Three rules. `threshold`: all verdicts are asked for, the belief must reach a bound. `double`: one at a time, until the belief
 * leaves the band between two bounds. `pomdp`: one at a time, by the policy that is optimal for the stated gains and
 * costs. Verdicts are taken as independent given whether the answer is right, so the belief depends on their counts only: the
 * problem has (n + 1)(n + 2) / 2 beliefs for n verdicts and is solved exactly by backward induction.
 *
 * Source: AutoMix (Aggarwal et al., arXiv:2310.12963), which solves its meta-verifier approximately.
 */

/** How the verifier errs. */
export interface VerifierModel {
  /** Chance of a yes to a right answer, and to a wrong one. 0 to 1. */
  readonly rightYes: number;
  readonly wrongYes: number;
  /** Share of answers that are right, before any verdict. */
  readonly right: number;
}

/** Fits the model on verdicts about answers whose correctness is known; each rate is drawn towards a half by one count. */
export function fitVerifier(known: readonly { readonly yes: number; readonly asked: number; readonly right: boolean }[]): VerifierModel {
  const rate = (right: boolean): number => {
    const own = known.filter((each) => each.right === right);
    return (1 + own.reduce((sum, { yes }) => sum + yes, 0)) / (2 + own.reduce((sum, { asked }) => sum + asked, 0));
  };
  return { rightYes: rate(true), wrongYes: rate(false), right: (1 + known.filter(({ right }) => right).length) / (2 + known.length) };
}

/** Belief that the answer is right after so many verdicts. */
export function beliefAfter({ rightYes, wrongYes, right }: VerifierModel, yes: number, no: number): number {
  const ifRight = right * rightYes ** yes * (1 - rightYes) ** no;
  const ifWrong = (1 - right) * wrongYes ** yes * (1 - wrongYes) ** no;
  return ifRight + ifWrong === 0 ? right : ifRight / (ifRight + ifWrong);
}

/** What there is to gain and to pay, all in units of quality. */
export interface Stakes {
  /** Expected quality of the answer that escalating gives, 0 to 1. */
  readonly escalated: number;
  /** What escalating costs, and what one verdict costs. */
  readonly escalateCost: number;
  readonly verifyCost: number;
  /** Verdicts at most. */
  readonly verdictsMax: number;
}

/** What to do. */
export type VerifierAction = 'accept' | 'escalate' | 'verify';

/** The optimal policy. */
export interface VerifierPolicy {
  /** Expected quality less costs, from the start. */
  readonly value: number;
  /** What to do after `yes` and `no` verdicts, together at most `verdictsMax`. */
  action(yes: number, no: number): VerifierAction;
}

/** Solves the decision problem exactly. */
export function solveVerifier(model: VerifierModel, { escalated, escalateCost, verifyCost, verdictsMax }: Stakes): VerifierPolicy {
  const size = verdictsMax + 1;
  const values = new Float64Array(size * size);
  const actions: VerifierAction[] = new Array<VerifierAction>(size * size).fill('accept');
  for (let asked = verdictsMax; asked >= 0; asked--) {
    for (let yes = 0; yes <= asked; yes++) {
      const no = asked - yes;
      const belief = beliefAfter(model, yes, no);
      const at = yes * size + no;
      [values[at], actions[at]] = belief >= escalated - escalateCost ? [belief, 'accept'] : [escalated - escalateCost, 'escalate'];
      if (asked === verdictsMax) continue;
      const yesNext = belief * model.rightYes + (1 - belief) * model.wrongYes;
      const further = yesNext * (values[(yes + 1) * size + no] as number) + (1 - yesNext) * (values[yes * size + no + 1] as number) - verifyCost;
      if (further > (values[at] as number) + 1e-12) [values[at], actions[at]] = [further, 'verify'];
    }
  }
  return { value: values[0] as number, action: (yes, no) => actions[yes * size + no] ?? 'accept' };
}

/** Two bounds instead of one: at or above `sureFrom` accept, at or below `doubtTo` escalate, between them ask once more. */
export function doubleThreshold(model: VerifierModel, { sureFrom, doubtTo, verdictsMax }: { readonly sureFrom: number; readonly doubtTo: number; readonly verdictsMax: number }): (yes: number, no: number) => VerifierAction {
  return (yes, no) => {
    const belief = beliefAfter(model, yes, no);
    if (belief >= sureFrom) return 'accept';
    if (belief <= doubtTo) return 'escalate';
    return yes + no < verdictsMax ? 'verify' : belief >= (sureFrom + doubtTo) / 2 ? 'accept' : 'escalate';
  };
}

/** One bound, after all verdicts. */
export function singleThreshold(model: VerifierModel, { acceptFrom, verdictsMax }: { readonly acceptFrom: number; readonly verdictsMax: number }): (yes: number, no: number) => VerifierAction {
  return (yes, no) => (yes + no < verdictsMax ? 'verify' : beliefAfter(model, yes, no) >= acceptFrom ? 'accept' : 'escalate');
}
