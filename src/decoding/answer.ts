/**
 * An answer as it grows: which token comes next under the request's settings, and what is reported of it.
 *
 * Shared by the programs that write answers. Choosing (settings, penalties, grammar) and taking (text, stop texts, reports)
 * are apart, since speculation chooses tokens in other ways and takes them in this one.
 *
 * Worked example: `const token = answer.choose(law); if (!answer.take(token)) answer.finish();`
 */
import type { EmittedToken } from '../exchange.ts';
import { fail } from '../errors.ts';
import { argmax, summarise, topTokens } from './law.ts';
import { GrowingText } from './growing-text.ts';
import { Occurrences } from './occurrences.ts';
import { cutBytes, PieceJoiner, shownToken } from './pieces.ts';
import type { Constraint, Law, ProgramEnv, Vocabulary } from './program.ts';
import { draw, Shaper, type Distribution } from './shape.ts';
import { penalises, type ShapeSettings } from './settings.ts';
import { StopFinder } from './stops.ts';

/** What an answer is asked to be. Plain data, so that it crosses threads. */
export interface AnswerArgs {
  /** The prompt's tokens, at least one. */
  readonly prompt: readonly number[];
  readonly settings: ShapeSettings;
  /** Tokens at most; at least 1. */
  readonly tokensMax: number;
  readonly stop?: readonly string[];
  /** Report log-probabilities with this many alternatives. */
  readonly topLogprobs?: number;
  /** GBNF that the answer must follow. */
  readonly grammar?: string;
  /** Write on past end tokens; for measuring. Default false. */
  readonly ignoreEnd?: boolean;
}

/** What a program that writes an answer reports. Exactly one `finish` comes last. */
export type AnswerEvent =
  | { readonly type: 'text'; readonly delta: string; readonly tokens?: readonly EmittedToken[] }
  | {
      readonly type: 'finish';
      readonly reason: 'stop' | 'length';
      readonly promptTokens: number;
      readonly cachedPromptTokens: number;
      readonly completionTokens: number;
      /** Tokens that were drafted, and those of them that were accepted; only from `speculate`. */
      readonly draftedTokens?: number;
      readonly acceptedTokens?: number;
      /** Checks by the target; only from `speculate`. */
      readonly rounds?: number;
    };

interface Pending {
  readonly token: EmittedToken;
  /** Characters of the answer that must be out before it is reported: up to and including this token, or the first of the one it begins. */
  readonly end: number;
}

/** One growing answer. */
export class Answer {
  readonly occurrences: Occurrences;
  readonly constraint: Constraint | undefined;
  readonly greedy: boolean;
  /** Tokens taken so far. */
  length = 0;
  readonly #env: ProgramEnv<AnswerEvent>;
  readonly #args: AnswerArgs;
  readonly #vocabulary: Vocabulary;
  readonly #shaper: Shaper;
  readonly #joiner: PieceJoiner;
  readonly #stops: StopFinder;
  /** Whether nothing is to be known of a token's text when it is taken: no stop texts, no reports. */
  readonly #joinsLater: boolean;
  #growing: GrowingText | undefined;
  readonly #pending: Pending[] = [];
  #report: Omit<EmittedToken, 'text' | 'id' | 'bytes'> | undefined;
  #measured: { readonly logTotal: number; readonly entropy: number; readonly top: readonly { readonly id: number; readonly logit: number }[] } | undefined;
  #textLength = 0;
  #sentLength = 0;
  #reason: 'stop' | 'length' | undefined;

  /** @param role whose vocabulary and grammar count */
  constructor(env: ProgramEnv<AnswerEvent>, role: string, args: AnswerArgs) {
    if (args.prompt.length === 0) fail('parameter_invalid', { message: 'The prompt has no tokens.', param: 'prompt' });
    this.#env = env;
    this.#args = args;
    this.#vocabulary = env.vocabulary(role);
    this.#shaper = new Shaper(this.#vocabulary.size, args.settings);
    this.#joiner = new PieceJoiner(this.#vocabulary);
    this.#stops = new StopFinder(args.stop ?? []);
    this.#joinsLater = !this.#stops.seeks && args.topLogprobs === undefined;
    this.occurrences = new Occurrences(args.settings.repetitionPenalty === 1 ? [] : args.prompt, penalises(args.settings));
    this.constraint = args.grammar === undefined ? undefined : env.constraint(role, args.grammar);
    this.greedy = args.settings.temperature === 0;
  }

  /** The next token under the settings; the law may be changed. */
  choose(law: Law): number {
    this.measure(law);
    const token = this.greedy ? this.greedyToken(law) : this.#sampledToken(law);
    this.reportOf(law, token);
    return token;
  }

  /** Notes what will be reported of the law; before it is adjusted. Does nothing unless a report was asked for. */
  measure(law: Law): void {
    if (this.#args.topLogprobs === undefined) return;
    this.#measured = { ...summarise(law), top: topTokens(law, this.#args.topLogprobs) };
  }

  /** Notes what will be reported of the token that was chosen from the measured law. */
  reportOf(law: Law, token: number): void {
    if (this.#measured === undefined) return;
    const { logTotal, entropy, top } = this.#measured;
    this.#report = {
      logprob: this.#shaper.original(law, token) - logTotal,
      entropy,
      top: top.map(({ id, logit }) => ({ ...shownToken(this.#vocabulary, id), id, logprob: logit - logTotal })),
    };
  }

  /** The most likely allowed token of a law, which is adjusted. */
  greedyToken(law: Law, constraint: Constraint | undefined = this.constraint): number {
    this.#shaper.adjust(law, this.occurrences);
    const token = argmax(law);
    if (constraint === undefined || constraint.allows(token)) return token;
    maskOrFail(constraint, law);
    return argmax(law);
  }

  /** The distribution that the settings and the grammar make of a law, which is adjusted. Valid until the next call. */
  distribution(law: Law, constraint: Constraint | undefined = this.constraint, shaper: Shaper = this.#shaper): Distribution {
    shaper.adjust(law, this.occurrences);
    if (constraint === undefined) return shaper.shape(law);
    if (shaper.shape(law).restrict(constraint).count > 0) return shaper;
    maskOrFail(constraint, law);
    return shaper.shape(law);
  }

  /**
   * Draws first and asks the grammar about that one token; only a refused one costs the check of all. The law is that of
   * `distribution`: drawing again from what is allowed gives p(x) + (1 - z) p(x) / z = p(x) / z, with z the allowed share.
   */
  #sampledToken(law: Law): number {
    this.#shaper.adjust(law, this.occurrences);
    const token = draw(this.#shaper.shape(law), this.#env.random());
    if (this.constraint === undefined || this.constraint.allows(token)) return token;
    if (this.#shaper.restrict(this.constraint).count === 0) {
      maskOrFail(this.constraint, law);
      this.#shaper.shape(law);
    }
    return draw(this.#shaper, this.#env.random());
  }

  /** Adds a token to the answer. False when the answer is finished; call `finish` then. */
  take(token: number): boolean {
    if (this.#vocabulary.isEnd(token) && this.#args.ignoreEnd !== true) {
      this.#reason = 'stop';
      return false;
    }
    this.length++;
    this.occurrences.add(token);
    this.constraint?.accept(token);
    // the first text goes at once, so it must be known to be one
    if (this.#joinsLater && this.#sentLength > 0) this.#grow(token);
    else this.#join(token);
    if (this.#stops.found) this.#reason = 'stop';
    else if (this.length >= this.#args.tokensMax) this.#reason = 'length';
    return this.#reason === undefined;
  }

  /** Emits a token's text, unless it may be part of a stop text, with what is reported of it. */
  #join(token: number): void {
    const text = this.#joiner.push(token);
    this.#textLength += text.length;
    if (this.#report !== undefined) this.#pend(token, text, this.#report);
    this.#report = undefined;
    this.#send(this.#stops.push(text));
  }

  /** Keeps what is reported of a token until its text is out. One that only begins a character waits for it, since a stop text may cut that off. */
  #pend(token: number, text: string, report: Omit<EmittedToken, 'text' | 'id' | 'bytes'>): void {
    const cut = cutBytes(this.#vocabulary, token);
    const begins = text === '' && cut.bytes !== undefined;
    this.#pending.push({ token: { text, id: token, ...cut, ...report }, end: this.#textLength + (begins ? 1 : 0) });
  }

  /** Adds a token to the text that was emitted last, or emits a new one when that was read. */
  #grow(token: number): void {
    if (this.#growing?.push(token) === true) return;
    this.#growing = new GrowingText(this.#joiner);
    this.#growing.push(token);
    this.#env.emit(this.#growing);
  }

  /** Reports what was held back, and the end. @param sequence how many tokens of the prompt were reused */
  finish(cachedPromptTokens: number, drafts?: { readonly draftedTokens: number; readonly acceptedTokens: number; readonly rounds: number }): void {
    if (!this.#stops.found) {
      void this.#growing?.delta; // what it holds comes before the joiner's end
      this.#send(this.#stops.push(this.#joiner.end()));
      if (!this.#stops.found) this.#send(this.#stops.end());
    }
    this.constraint?.close();
    this.#env.emit({
      type: 'finish',
      reason: this.#reason ?? 'length',
      promptTokens: this.#args.prompt.length,
      cachedPromptTokens,
      completionTokens: this.length,
      ...drafts,
    });
  }

  /** Emits text with the reports of the tokens whose text is now out. A token cut by a stop text is left out. */
  #send(delta: string): void {
    this.#sentLength += delta.length;
    let ready = 0;
    while (ready < this.#pending.length && (this.#pending[ready] as Pending).end <= this.#sentLength) ready++;
    const tokens = ready === 0 ? undefined : this.#pending.splice(0, ready).map((pending) => pending.token);
    if (delta === '' && tokens === undefined) return;
    this.#env.emit(tokens === undefined ? { type: 'text', delta } : { type: 'text', delta, tokens });
  }
}

function maskOrFail(constraint: Constraint, law: Law): void {
  if (constraint.mask(law) === 0) fail('engine_failed', 'The grammar allows no token of the vocabulary here.');
}
