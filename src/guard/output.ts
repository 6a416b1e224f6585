/**
 * The output stage: each answer passes the guards in turn, part by part. An answer that a guard cuts off ends there with
 * the finish reason `content_filter`; when all answers have ended, the source is stopped.
 */
import type { Config } from '../config.ts';
import { fail } from '../errors.ts';
import type { Audited, FinishReason, Part, Restored } from '../exchange.ts';
import { reached } from '../exchange.ts';
import { Relay, type Passage } from '../system/relay.ts';
import type { Span } from '../trace/trace.ts';
import { answerLengthGuard } from './answer-length.ts';
import { controlCharactersOutput } from './control-characters.ts';
import type { ContentPart, OutputGuard, OutputWatch } from './guard.ts';

/**
 * Makes the stage. `more`: guards that run before the built-in ones, which thus have the last word.
 * The stream throws output_refused when a guard refuses, and what its source throws.
 */
export function createOutputGuard(settings: Config['guard'], more: readonly OutputGuard[] = []): (restored: Restored, span: Span, answers?: number) => Audited {
  const guards: readonly OutputGuard[] = [...more, controlCharactersOutput(settings.controlCharacters), answerLengthGuard(settings.answerCharactersMax)];
  const names = guards.map(({ name }) => name);
  return (restored, span, answers = 1) => reached<'audited', AsyncIterable<Part>>(new Relay<Part, Part>(restored, new Audit(guards, names, span, answers)));
}

/** All answers of one request. */
class Audit implements Passage<Part, Part> {
  private readonly guards: readonly OutputGuard[];
  private readonly names: readonly string[];
  private readonly span: Span;
  private readonly open: (AnswerGuard | undefined)[] = [];
  /** Answers that are not over yet. */
  private left: number;

  constructor(guards: readonly OutputGuard[], names: readonly string[], span: Span, answers: number) {
    this.guards = guards;
    this.names = names;
    this.span = span;
    this.left = answers;
  }

  take(part: Part, out: Part[]): Part | boolean {
    const answer = (this.open[part.answer] ??= new AnswerGuard(this.guards, this.names, this.span, part.answer));
    if (answer.over) return false;
    if (part.type !== 'finish' && answer.passes(part)) return part;
    return answer.take(part, out) && --this.left <= 0;
  }

  end(out: Part[]): void {
    for (const answer of this.open) if (answer?.over === false) answer.flush(out);
  }
}

/** One answer and the guards that watch it. */
class AnswerGuard {
  private readonly names: readonly string[];
  private readonly watches: readonly OutputWatch[];
  private readonly span: Span;
  private readonly answer: number;
  private noted: Set<string> | undefined;
  private lastMember = '';
  private ended = false;
  private stopped: { readonly at: number; readonly verdict: Exclude<ReturnType<OutputWatch['see']>, { readonly kind: 'pass' }> } | undefined;

  constructor(guards: readonly OutputGuard[], names: readonly string[], span: Span, answer: number) {
    this.names = names;
    this.watches = guards.map((guard) => guard.watch());
    this.span = span;
    this.answer = answer;
  }

  /** Whether its finish has been given. */
  get over(): boolean {
    return this.ended;
  }

  /** Whether every guard lets the part pass as it is. If not, `take` must follow: it goes on where this stopped. */
  passes(part: ContentPart): boolean {
    this.lastMember = part.member;
    return this.through(part, 0, undefined);
  }

  /** Goes on with the part that `passes` stopped at, or ends the answer. Gives whether the answer is over. */
  take(part: Part, out: Part[]): boolean {
    if (part.type === 'finish') {
      this.lastMember = part.member;
      this.endFrom(0, part.reason, out);
    } else {
      this.resume(out);
    }
    return this.ended;
  }

  /** What the guards still hold, when the source ended without a finish. */
  flush(out: Part[]): void {
    this.watches.forEach((watch, at) => this.each(watch.end(), at + 1, out));
  }

  private through(part: ContentPart, from: number, out: Part[] | undefined): boolean {
    for (let at = from; at < this.watches.length; at++) {
      const verdict = (this.watches[at] as OutputWatch).see(part);
      if (verdict.kind === 'pass') continue;
      this.stopped = { at, verdict };
      if (out !== undefined) this.resume(out);
      return false;
    }
    out?.push(part);
    return true;
  }

  private resume(out: Part[]): void {
    const { stopped } = this;
    if (stopped === undefined) return;
    this.stopped = undefined;
    const { at, verdict } = stopped;
    const name = this.names[at] ?? '';
    if (verdict.kind === 'refuse') {
      this.span.event(`guard.${name}`, { refused: verdict.reason, answer: this.answer });
      fail('output_refused', verdict.reason);
    }
    if (verdict.kind === 'replace' && verdict.reason !== undefined) this.note(name, verdict.reason);
    this.each(verdict.parts, at + 1, out);
    if (verdict.kind !== 'cut' || this.ended) return;
    this.span.event(`guard.${name}`, { cut: verdict.reason, answer: this.answer });
    this.endFrom(at + 1, 'content_filter', out);
  }

  /** Once an answer and guard, however often the guard changes something. */
  private note(name: string, reason: string): void {
    if (this.noted?.has(name) === true) return;
    (this.noted ??= new Set()).add(name);
    this.span.event(`guard.${name}`, { changed: reason, answer: this.answer });
  }

  private each(parts: readonly ContentPart[], from: number, out: Part[]): void {
    for (const part of parts) if (!this.ended) this.through(part, from, out);
  }

  /** The guards from this one on give what they hold, each to those after it; then the answer is over. */
  private endFrom(from: number, reason: FinishReason, out: Part[]): void {
    for (let at = from; at < this.watches.length && !this.ended; at++) this.each((this.watches[at] as OutputWatch).end(), at + 1, out);
    if (this.ended) return;
    this.ended = true;
    out.push({ type: 'finish', answer: this.answer, member: this.lastMember, reason });
  }
}
