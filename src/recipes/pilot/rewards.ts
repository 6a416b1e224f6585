/**
 * Rewards from what people and verifiers do, as numbers from 0 (bad) to 1 (good) for `runtime.reward` or POST /tandem/feedback. Texts
 * are looked at here and kept nowhere.
 */

/** Words compared at most; the rest of longer texts is left out on both sides. */
const wordsMax = 2_000;

/**
 * How much of an answer a user kept: 1 minus the edit distance in words over the longer text's words. An answer that was
 * replaced altogether gets 0, one that was taken as it is gets 1. Source: Levenshtein (1966).
 */
export function rewardOfEdit(answer: string, edited: string): number {
  const [a, b] = [wordsOf(answer), wordsOf(edited)];
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 1 : 1 - distance(a, b) / longer;
}

/** How often a noisy verifier is right. */
export interface VerifierErrors {
  /** Probability of a yes to a right answer, above `yesIfWrong`. */
  readonly yesIfRight: number;
  /** Probability of a yes to a wrong one. */
  readonly yesIfWrong: number;
}

/**
 * Probability that an answer is right, given a verifier's verdicts and its known errors (Bayes), as a reward.
 * @param before probability of being right before any verdict, 0 to 1; default 0.5
 */
export function rewardOfVerdicts(verdicts: readonly boolean[], { yesIfRight, yesIfWrong }: VerifierErrors, before = 0.5): number {
  let [right, wrong] = [before, 1 - before];
  for (const yes of verdicts) {
    right *= yes ? yesIfRight : 1 - yesIfRight;
    wrong *= yes ? yesIfWrong : 1 - yesIfWrong;
  }
  return right + wrong === 0 ? before : right / (right + wrong);
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '').slice(0, wordsMax);
}

function distance(a: readonly string[], b: readonly string[]): number {
  let row = Int32Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = new Int32Array(b.length + 1);
    next[0] = i;
    for (let j = 1; j <= b.length; j++) next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1]));
    row = next;
  }
  return row[b.length] as number;
}
