/**
 * The request as the pilot's bandit sees it: a few numbers of about unit size, the first of them 1. Numbers only, so that they
 * may be stored and stand in a trace.
 */
import { difficultyOf } from '../../assign/difficulty.ts';
import { featuresOf } from '../../assign/features.ts';
import type { Prompt, Sampling } from '../../exchange.ts';

/** Names of the features. */
export const featureNames = ['constant', 'difficulty', 'length', 'context', 'code', 'maths', 'reasoning', 'structured', 'router'] as const;

/**
 * The features of a request, in the order of `featureNames`.
 * @param router probability, by a trained router, that the large model's answer is better; default 0.5: there is none
 */
export function pilotFeatures(prompt: Prompt<string>, sampling: Sampling, router = 0.5): Float64Array {
  const found = featuresOf(prompt, sampling);
  const log = (count: number): number => Math.min(2, Math.log2(1 + count) / 4);
  return Float64Array.of(1, difficultyOf(found) - 0.5, log(found.words) - 0.75, log(found.contextWords), log(found.codeMarks), log(found.mathMarks), log(found.reasoningWords), found.structured + Math.min(1, found.tools), router - 0.5);
}
