/**
 * Speculative decoding: a small model drafts a few tokens, the large one checks them in one pass. The output law is
 * exactly the large model's under the same settings; greedy output is the large model's token for token.
 *
 * Leviathan, Kalman, Matias: Fast Inference from Transformers via Speculative Decoding, ICML 2023 (arXiv:2211.17192).
 * Chen et al.: Accelerating Large Language Model Decoding with Speculative Sampling, 2023 (arXiv:2302.01318).
 *
 * Glossary. p: the target's shaped distribution at a position; q: the draft's. A drafted token x, drawn from q, is accepted
 * with probability min(1, p(x)/q(x)); the first refused one is replaced by a draw from the residual, p - q where positive, normalised.
 * If all are accepted, the target's last law gives one more token (the bonus).
 *
 * Why that is p: x comes out by acceptance with probability q(x) min(1, p(x)/q(x)) = min(p(x), q(x)), and by replacement with
 * probability (1 - sum min(p, q)) * (p(x) - min(p(x), q(x))) / (1 - sum min(p, q)). The sum is p(x).
 *
 * How many tokens to draft may depend on anything known before a token is drawn (earlier acceptances, q itself), never on the
 * drawn token: a token that is dropped because it looks unlikely would leave the others biased.
 *
 * Worked example, greedy: the draft writes "a b c"; after the prefix the target's arg-maxes are "a b d e". "a b" is accepted,
 * "d" replaces "c", both models roll back to "a b", and the next round begins by appending "d".
 */
import { Answer, type AnswerArgs, type AnswerEvent } from './answer.ts';
import { confidenceOf, DraftLength, type DraftSettings } from './draft-length.ts';
import type { Constraint, Law, Laws, ProgramEnv, Sequence, Step, Vocabulary } from './program.ts';
import { Residual } from './residual.ts';
import { draw, probability, Shaper, type Distribution } from './shape.ts';

/** An answer, and how to draft it. */
export interface SpeculateArgs extends AnswerArgs {
  readonly draft?: Partial<DraftSettings>;
}

type Steps = Generator<readonly Step[], void, readonly Laws[]>;

/**
 * Writes an answer of the model in the role `target` with drafts of the model in the role `draft`. Both must have the same
 * vocabulary.
 * @throws {TandemError} parameter_invalid for an empty prompt, schema_unsupported for a grammar that cannot be read
 */
export function* speculate(env: ProgramEnv<AnswerEvent>, args: SpeculateArgs): Steps {
  const pair = new Pair(env, args);
  while (!pair.done) {
    yield* pair.draft();
    yield* pair.verify();
  }
  pair.finish();
}

/** Both sequences, the answer, and the drafted tokens of the round. */
class Pair {
  done = false;
  readonly #env: ProgramEnv<AnswerEvent>;
  readonly #args: SpeculateArgs;
  readonly #answer: Answer;
  readonly #vocabulary: Vocabulary;
  readonly #target: Sequence;
  readonly #drafter: Sequence;
  readonly #cached: number;
  readonly #length: DraftLength;
  readonly #shaper: Shaper;
  readonly #residual: Residual;
  /** All tokens of prompt and answer. The target has read all but the last, in the first round all but those it had cached. */
  readonly #tokens: number[];
  readonly #drafted: number[] = [];
  #draftedTokens = 0;
  #acceptedTokens = 0;
  #rounds = 0;

  constructor(env: ProgramEnv<AnswerEvent>, args: SpeculateArgs) {
    this.#env = env;
    this.#args = args;
    this.#answer = new Answer(env, 'target', args);
    this.#target = env.open('target', args.prompt);
    this.#drafter = env.open('draft', args.prompt);
    this.#cached = this.#target.length;
    this.#tokens = [...args.prompt];
    this.#length = new DraftLength(args.draft);
    this.#vocabulary = env.vocabulary('target');
    this.#shaper = new Shaper(this.#vocabulary.size, args.settings);
    this.#residual = new Residual(this.#vocabulary.size);
  }

  /** Drafts tokens until it has enough or the draft model is unsure; none when what is written has outgrown the draft model's context. */
  *draft(): Steps {
    const drafted = this.#drafted;
    drafted.length = 0;
    const room = this.#drafter.lengthMax - this.#tokens.length + 1; // the last one drafted is not read
    const wanted = Math.min(this.#length.begin(), this.#args.tokensMax - this.#answer.length - 1, room);
    if (wanted <= 0) return;
    const { occurrences } = this.#answer;
    const constraint = this.#answer.constraint?.clone();
    const next = (law: Law): number | undefined => {
      const token = this.#propose(law, drafted.length, constraint);
      if (token === undefined) return undefined;
      drafted.push(token);
      if (this.#vocabulary.isEnd(token)) return undefined;
      occurrences.add(token);
      constraint?.accept(token);
      return drafted.length < wanted && this.#length.goOn() ? token : undefined;
    };
    const tokens = yield* this.#catchUp(this.#tokens.slice(this.#drafter.length));
    yield [{ sequence: this.#drafter, tokens, laws: 'last', next }];
    for (const token of drafted) if (!this.#vocabulary.isEnd(token)) occurrences.remove(token);
    constraint?.close();
    this.#draftedTokens += drafted.length;
    if (drafted.length === 0) this.#length.learn(0);
  }

  /**
   * Lets the draft model read what the target wrote; gives what is left for its first step. A few tokens are read one by one:
   * engines plan a step anew when its shape changes, which for a small model costs more than reading two tokens at once saves.
   */
  *#catchUp(unread: number[]): Generator<readonly Step[], number[], readonly Laws[]> {
    if (unread.length > 3) return unread;
    for (const token of unread.slice(0, -1)) yield [{ sequence: this.#drafter, tokens: [token], laws: 'last' }];
    return unread.slice(-1);
  }

  /** A drafted token, or nothing when the draft model is too unsure of what comes next. */
  #propose(law: Law, position: number, constraint: Constraint | undefined): number | undefined {
    if (this.#answer.greedy) {
      const token = this.#answer.greedyToken(law, constraint);
      return this.#length.take(position, confidenceOf(law, token)) ? token : undefined;
    }
    const q = this.#answer.distribution(law, constraint, this.#shaper);
    if (!this.#length.take(position, likeliest(q))) return undefined;
    const token = draw(q, this.#env.random());
    this.#residual.keep(position, q);
    return token;
  }

  /**
   * Lets the target read what it has not read, check the drafted tokens in the same pass, and takes what comes out. An end token
   * is checked by the law before it; nothing follows it, so it is not read.
   */
  *verify(): Steps {
    const drafted = this.#drafted;
    const read = this.#ends(drafted.at(-1)) ? drafted.slice(0, -1) : drafted;
    const tokens = [...this.#tokens.slice(this.#target.length), ...read];
    const [laws] = yield [{ sequence: this.#target, tokens, laws: read.length + 1 }];
    this.#rounds++;
    let accepted = 0;
    for (let position = 0; position <= drafted.length && !this.done; position++) {
      const law = (laws as Laws).at(position);
      this.#answer.measure(law);
      const proposed = drafted[position];
      const token = this.#answer.greedy ? this.#answer.greedyToken(law) : this.#checked(law, proposed, position);
      this.#answer.reportOf(law, token);
      this.#take(token);
      if (token !== proposed) break;
      accepted++;
    }
    this.#acceptedTokens += accepted;
    if (drafted.length > 0) this.#length.learn(accepted);
    // the last token taken is not read yet by either model, nor is anything drafted after it
    const kept = this.#tokens.length - 1;
    if (this.#target.length > kept) this.#target.rollback(kept);
    if (this.#drafter.length > kept) this.#drafter.rollback(kept);
  }

  /** The drafted token if it is accepted, else what replaces it; without one, a draw from the target. */
  #checked(law: Law, proposed: number | undefined, position: number): number {
    const p = this.#answer.distribution(law);
    if (proposed === undefined) return draw(p, this.#env.random());
    const accepts = this.#env.random() * this.#residual.probability(position, proposed) < probability(p, proposed);
    return accepts ? proposed : this.#residual.draw(position, p, this.#env.random());
  }

  /** Whether a token ends the answer. */
  #ends(token: number | undefined): boolean {
    return token !== undefined && this.#args.ignoreEnd !== true && this.#vocabulary.isEnd(token);
  }

  #take(token: number): void {
    this.#tokens.push(token);
    if (!this.#answer.take(token)) this.done = true;
  }

  /** Reports the end. */
  finish(): void {
    this.#answer.finish(this.#cached, { draftedTokens: this.#draftedTokens, acceptedTokens: this.#acceptedTokens, rounds: this.#rounds });
  }
}

function likeliest(distribution: Distribution): number {
  let best = 0;
  for (let n = 0; n < distribution.count; n++) if ((distribution.weights[n] as number) > best) best = distribution.weights[n] as number;
  return best / distribution.total;
}
