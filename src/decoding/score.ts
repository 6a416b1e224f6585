/**
 * Teacher-forced scoring: how likely each token of a given continuation is after a prompt, in one pass.
 *
 * The continuation is read in portions, so that only that many laws are held at once.
 */
import type { EmittedToken } from '../exchange.ts';
import { fail } from '../errors.ts';
import { summarise, topTokens } from './law.ts';
import { cutBytes, PieceJoiner, shownToken } from './pieces.ts';
import type { Law, Laws, ProgramEnv, Step } from './program.ts';

/** What is scored. */
export interface ScoreArgs {
  /** At least one token. */
  readonly prompt: readonly number[];
  readonly continuation: readonly number[];
  /** Alternatives to report at each position. */
  readonly topLogprobs: number;
}

/** Tokens of the continuation in order, in portions; then the end. */
export type ScoreEvent =
  | { readonly type: 'scored'; readonly tokens: readonly EmittedToken[] }
  | { readonly type: 'finish'; readonly cachedPromptTokens: number };

const portion = 64;

/** Scores a continuation with the model in the role `model`. @throws {TandemError} parameter_invalid for an empty prompt */
export function* score(env: ProgramEnv<ScoreEvent>, args: ScoreArgs): Generator<readonly Step[], void, readonly Laws[]> {
  const { prompt, continuation } = args;
  if (prompt.length === 0) fail('parameter_invalid', { message: 'The prompt has no tokens.', param: 'prompt' });
  const vocabulary = env.vocabulary('model');
  const joiner = new PieceJoiner(vocabulary);
  const sequence = env.open('model', prompt);
  const cached = sequence.length;
  const scored = (law: Law, token: number): EmittedToken => {
    const { logTotal, entropy } = summarise(law);
    const top = topTokens(law, args.topLogprobs).map(({ id, logit }) => ({ ...shownToken(vocabulary, id), id, logprob: logit - logTotal }));
    return { text: joiner.push(token), id: token, ...cutBytes(vocabulary, token), logprob: (law[token] as number) - logTotal, top, entropy };
  };
  if (continuation.length > 0) {
    const [first] = yield [{ sequence, tokens: prompt.slice(cached), laws: 'last' }];
    env.emit({ type: 'scored', tokens: [scored((first as Laws).at(0), continuation[0] as number)] });
  }
  for (let at = 0; at < continuation.length - 1; at += portion) {
    const tokens = continuation.slice(at, Math.min(at + portion, continuation.length - 1));
    const [laws] = yield [{ sequence, tokens, laws: 'all' }];
    env.emit({ type: 'scored', tokens: tokens.map((_, n) => scored((laws as Laws).at(n), continuation[at + n + 1] as number)) });
  }
  env.emit({ type: 'finish', cachedPromptTokens: cached });
}
