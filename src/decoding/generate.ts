/** The plain program: one model writes the answer, one token a step. */
import { Answer, type AnswerArgs, type AnswerEvent } from './answer.ts';
import type { Law, Laws, ProgramEnv, Step } from './program.ts';

/**
 * Writes an answer with the model in the role `model`.
 * @throws {TandemError} parameter_invalid for an empty prompt, schema_unsupported for a grammar that cannot be read
 */
export function* generate(env: ProgramEnv<AnswerEvent>, args: AnswerArgs): Generator<readonly Step[], void, readonly Laws[]> {
  const answer = new Answer(env, 'model', args);
  const sequence = env.open('model', args.prompt);
  const cached = sequence.length;
  const next = (law: Law): number | undefined => {
    const token = answer.choose(law);
    return answer.take(token) ? token : undefined;
  };
  yield [{ sequence, tokens: args.prompt.slice(cached), laws: 'last', next }];
  answer.finish(cached);
}
