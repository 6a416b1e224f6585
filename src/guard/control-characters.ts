/**
 * Guards of input and output: control characters and their kin (`characters.ts` says which).
 *
 * `strip` removes them, `refuse` refuses the text, `allow` lets them pass. Halves of surrogate pairs are repaired in any
 * case but `refuse`, since no client can be sent one.
 */
import type { EmittedToken } from '../exchange.ts';
import { mapTexts, textPath } from '../exchange.ts';
import { firstUnfit, isClean, strip, undecidedFrom } from './characters.ts';
import type { ContentPart, InputGuard, InputVerdict, OutputGuard, OutputVerdict, OutputWatch } from './guard.ts';
import { pass } from './guard.ts';

/** What happens to such characters. */
export type ControlCharacters = 'refuse' | 'strip' | 'allow';

const change: Readonly<Record<Exclude<ControlCharacters, 'refuse'>, (text: string) => string>> = {
  strip: (text) => (isClean(text) ? text : strip(text)),
  allow: (text) => (text.isWellFormed() ? text : text.toWellFormed()),
};

/** Looks at every text of a request. */
export function controlCharactersInput(mode: ControlCharacters): InputGuard {
  const name = 'control-characters';
  if (mode !== 'refuse') {
    return {
      name,
      check: ({ prompt }) => {
        const changed = mapTexts(prompt, change[mode]);
        return changed === prompt ? pass : { kind: 'modify', prompt: changed, reason: 'control characters or broken Unicode were removed' };
      },
    };
  }
  return {
    name,
    check: ({ prompt }) => {
      let verdict: InputVerdict = pass;
      mapTexts(prompt, (text, field, index, call) => {
        const fault = verdict.kind !== 'pass' || isClean(text) ? undefined : faultOf(text);
        if (fault !== undefined) verdict = { kind: 'refuse', reason: `A text may hold no control characters or broken Unicode; this one holds ${fault}.`, param: textPath(field, index, call) };
        return text;
      });
      return verdict;
    },
  };
}

function faultOf(text: string): string | undefined {
  return firstUnfit(text) ?? (text.isWellFormed() ? undefined : 'half a surrogate pair');
}

/** Looks at the text, reasoning and tool calls of an answer. */
export function controlCharactersOutput(mode: ControlCharacters): OutputGuard {
  return { name: 'control-characters', watch: () => new Watch(mode) };
}

/** Holds back what cannot be judged until more has come, of one channel (text, reasoning, one call) at a time. */
class Watch implements OutputWatch {
  private readonly mode: ControlCharacters;
  private held: ContentPart | undefined;
  private altered = false;

  constructor(mode: ControlCharacters) {
    this.mode = mode;
  }

  see(part: ContentPart): OutputVerdict {
    const { held } = this;
    if (held === undefined && fit(textOf(part))) return pass;
    const parts: ContentPart[] = [];
    let whole = part;
    if (held !== undefined) {
      this.held = undefined;
      if (sameChannel(held, part)) whole = joined(held, part);
      else parts.push(...this.judged(held));
    }
    const text = textOf(whole);
    const upTo = undecidedFrom(text);
    if (upTo < text.length && 'tokens' in whole && whole.tokens !== undefined) {
      this.held = whole;
    } else {
      const [ready, rest] = upTo === text.length ? [whole, undefined] : split(whole, upTo);
      this.held = rest;
      if (this.mode === 'refuse') {
        const fault = faultOf(textOf(ready));
        if (fault !== undefined) return { kind: 'refuse', reason: `The answer holds ${fault}.` };
      }
      if (rest === undefined || textOf(ready) !== '' || isOpening(ready)) parts.push(...this.judged(ready));
    }
    const { altered } = this;
    this.altered = false;
    return { kind: 'replace', parts, ...(altered ? { reason: 'control characters or broken Unicode were removed' } : {}) };
  }

  end(): readonly ContentPart[] {
    const { held } = this;
    this.held = undefined;
    return held === undefined ? [] : this.judged(held);
  }

  private judged(part: ContentPart): ContentPart[] {
    const judged = withText(part, change[this.mode === 'refuse' ? 'allow' : this.mode]);
    if (judged !== part) this.altered = true;
    return [judged];
  }
}

/** Nothing to remove and nothing to wait for. */
function fit(text: string): boolean {
  return isClean(text) && undecidedFrom(text) === text.length;
}

function isOpening(part: ContentPart): boolean {
  return part.type === 'tool-call' && (part.id !== undefined || part.name !== undefined);
}

function textOf(part: ContentPart): string {
  return part.type === 'tool-call' ? part.argumentsDelta : part.delta;
}

function sameChannel(a: ContentPart, b: ContentPart): boolean {
  if (a.type === 'text' && b.type === 'text') return a.refusal === b.refusal;
  return a.type === b.type && (a.type !== 'tool-call' || b.type !== 'tool-call' || a.call === b.call);
}

/** The second part's text after the first's. */
function joined(first: ContentPart, second: ContentPart): ContentPart {
  if (first.type === 'tool-call' && second.type === 'tool-call') return { ...first, ...second, argumentsDelta: first.argumentsDelta + second.argumentsDelta };
  if (first.type === 'text' && second.type === 'text') {
    const tokens = first.tokens === undefined && second.tokens === undefined ? undefined : [...tokensOf(first), ...tokensOf(second)];
    return { ...second, delta: first.delta + second.delta, ...(tokens === undefined ? {} : { tokens }) };
  }
  return second.type === 'tool-call' || first.type === 'tool-call' ? second : { ...second, delta: first.delta + second.delta };
}

function tokensOf(part: ContentPart & { readonly type: 'text' }): readonly EmittedToken[] {
  return part.tokens ?? (part.delta === '' ? [] : [{ text: part.delta }]);
}

/** The text before a place, and the text from there on as a part of its own. */
function split(part: ContentPart, at: number): [ContentPart, ContentPart] {
  if (part.type !== 'tool-call') return [{ ...part, delta: part.delta.slice(0, at) }, { ...part, delta: part.delta.slice(at) }];
  const { id: _id, name: _name, ...rest } = part;
  return [{ ...part, argumentsDelta: part.argumentsDelta.slice(0, at) }, { ...rest, argumentsDelta: part.argumentsDelta.slice(at) }];
}

/** The part with its text changed, and its tokens with it, so that together they still give the text. */
function withText(part: ContentPart, alter: (text: string) => string): ContentPart {
  const before = textOf(part);
  const after = alter(before);
  if (after === before) return part;
  if (part.type === 'tool-call') return { ...part, argumentsDelta: after };
  if (part.type !== 'text' || part.tokens === undefined) return { ...part, delta: after };
  const tokens = part.tokens.map((token) => ({ ...token, text: alter(token.text) })).filter(({ text }) => text !== '');
  return { ...part, delta: after, tokens: tokens.map(({ text }) => text).join('') === after ? tokens : [{ text: after }] };
}
