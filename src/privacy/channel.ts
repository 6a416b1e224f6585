/**
 * One stream of text in an answer, on its way back from placeholders to values.
 *
 * `held` is what came but may be the beginning of a placeholder. With each delta the text from there is read from left to
 * right; what a place holds depends on the text alone, never on how it came. Tokens, where an engine reports them, are
 * kept in step with the text: those that a value replaces become one, with the sum of their log-probabilities.
 */
import type { EmittedToken, Part } from '../exchange.ts';
import { beginnings, sight } from './placeholder.ts';
import type { Vault } from './vault.ts';

type ContentPart = Exclude<Part, { readonly type: 'finish' }>;

interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly value: string;
}

const nothing: readonly never[] = [];

/** A stream of text, reasoning or arguments. */
export class Channel {
  private readonly vault: Vault;
  private readonly json: boolean;
  private held = '';
  private heldTokens: readonly EmittedToken[] | undefined;
  /** Last character that went on before `held`, as it came. */
  private before = '';
  private last: ContentPart | undefined;

  /** @param json whether the text is JSON, in whose texts values are written with escapes */
  constructor(vault: Vault, json: boolean) {
    this.vault = vault;
    this.json = json;
  }

  /** Whether this part goes on as it is; else writes what may go on now that it has come. */
  passes(part: ContentPart, out: Part[]): boolean {
    const delta = textOf(part);
    const tokens = part.type === 'text' ? part.tokens : undefined;
    this.last = part;
    const text = this.held + delta;
    const { replacements, upTo } = this.read(text, false);
    if (replacements.length === 0 && upTo === text.length && this.held === '') {
      if (delta !== '') this.before = delta.slice(-1);
      return true;
    }
    out.push(...this.release(part, text, replacements, upTo, joinTokens(this.held, this.heldTokens, delta, tokens)));
    return false;
  }

  /** What is held back, now that nothing follows. */
  flush(): readonly ContentPart[] {
    const { last, held } = this;
    if (last === undefined || held === '') return nothing;
    const { replacements } = this.read(held, true);
    return this.release(continued(last), held, replacements, held.length, this.heldTokens);
  }

  /** The placeholders of a text, and up to where it is decided. */
  private read(text: string, final: boolean): { readonly replacements: readonly Replacement[]; readonly upTo: number } {
    const replacements: Replacement[] = [];
    beginnings.lastIndex = 0;
    for (let match = beginnings.exec(text); match !== null; match = beginnings.exec(text)) {
      const start = match.index;
      const seen = sight(text, start, start === 0 ? this.before : (text[start - 1] ?? ''), final);
      if (seen === 'more') return { replacements, upTo: start };
      const value = seen === undefined ? undefined : this.vault.valueOf(seen.kind, seen.number);
      if (seen === undefined || value === undefined) continue;
      replacements.push({ start, end: seen.end, value: this.json ? JSON.stringify(value).slice(1, -1) : value });
      beginnings.lastIndex = seen.end;
    }
    return { replacements, upTo: text.length };
  }

  private release(part: ContentPart, text: string, replacements: readonly Replacement[], decided: number, tokens: readonly EmittedToken[] | undefined): ContentPart[] {
    const aligned = tokens !== undefined && joined(tokens) === text;
    const upTo = aligned ? tokenBoundary(tokens, replacements, decided) : decided;
    const goes = replacements.filter(({ end }) => end <= upTo);
    this.held = text.slice(upTo);
    if (upTo > 0) this.before = text[upTo - 1] ?? '';
    const delta = replaced(text.slice(0, upTo), goes);
    if (tokens === undefined) {
      this.heldTokens = undefined;
      return delta === '' && !isOpening(part) ? [] : [withText(part, delta, undefined)];
    }
    this.heldTokens = aligned ? tokens.slice(countTo(tokens, upTo)) : [];
    const going = aligned ? mergedTokens(tokens.slice(0, countTo(tokens, upTo)), goes) : tokens;
    return delta === '' ? [] : [withText(part, delta, going)];
  }
}

function textOf(part: ContentPart): string {
  return part.type === 'tool-call' ? part.argumentsDelta : part.delta;
}

function isOpening(part: ContentPart): boolean {
  return part.type === 'tool-call' && (part.id !== undefined || part.name !== undefined);
}

/** The same part for text that comes after it: a call is opened once. */
function continued(part: ContentPart): ContentPart {
  if (part.type !== 'tool-call') return part;
  const { id: _id, name: _name, ...rest } = part;
  return rest;
}

function withText(part: ContentPart, text: string, tokens: readonly EmittedToken[] | undefined): ContentPart {
  if (part.type === 'tool-call') return { ...part, argumentsDelta: text };
  if (part.type === 'reasoning') return { ...part, delta: text };
  const { tokens: _tokens, ...rest } = part;
  return { ...rest, delta: text, ...(tokens === undefined ? {} : { tokens }) };
}

function replaced(text: string, replacements: readonly Replacement[]): string {
  let result = '';
  let copied = 0;
  for (const { start, end, value } of replacements) {
    result += text.slice(copied, start) + value;
    copied = end;
  }
  return result + text.slice(copied);
}

/** Tokens of the held text and of what came; text that came without any counts as one. */
function joinTokens(held: string, heldTokens: readonly EmittedToken[] | undefined, delta: string, tokens: readonly EmittedToken[] | undefined): readonly EmittedToken[] | undefined {
  if (heldTokens === undefined && tokens === undefined) return undefined;
  const one = (text: string): readonly EmittedToken[] => (text === '' ? [] : [{ text }]);
  return [...(heldTokens ?? one(held)), ...(tokens ?? one(delta))];
}

function joined(tokens: readonly EmittedToken[]): string {
  return tokens.map(({ text }) => text).join('');
}

/** Number of tokens in the first `length` characters, which end with a token. */
function countTo(tokens: readonly EmittedToken[], length: number): number {
  let end = 0;
  let count = 0;
  while (count < tokens.length && end + (tokens[count]?.text.length ?? 0) <= length) end += tokens[count++]?.text.length ?? 0;
  return count;
}

/** The last end of a token at or before `decided` that lies in no replacement. */
function tokenBoundary(tokens: readonly EmittedToken[], replacements: readonly Replacement[], decided: number): number {
  let best = 0;
  let end = 0;
  for (const { text } of tokens) {
    end += text.length;
    if (end > decided) break;
    if (!replacements.some((replacement) => replacement.start < end && end < replacement.end)) best = end;
  }
  return best;
}

/** Tokens that a replacement touches become one. */
function mergedTokens(tokens: readonly EmittedToken[], replacements: readonly Replacement[]): EmittedToken[] {
  const result: EmittedToken[] = [];
  let at = 0;
  let next = 0;
  for (let index = 0; index < tokens.length; ) {
    let end = at + (tokens[index]?.text.length ?? 0);
    const first = index++;
    while (index < tokens.length && replacements.some((one) => one.start < end && end < one.end)) end += tokens[index++]?.text.length ?? 0;
    const within = replacements.slice(next).filter((one) => one.start < end && one.start >= at);
    next += within.length;
    const group = tokens.slice(first, index);
    if (within.length === 0 && group.length === 1) result.push(group[0] as EmittedToken);
    else result.push(oneToken(replaced(joined(group), within.map((one) => ({ ...one, start: one.start - at, end: one.end - at }))), group));
    at = end;
  }
  return result;
}

function oneToken(text: string, group: readonly EmittedToken[]): EmittedToken {
  const logprob = group.every((token) => token.logprob !== undefined) ? group.reduce((sum, token) => sum + (token.logprob ?? 0), 0) : undefined;
  return logprob === undefined ? { text } : { text, logprob };
}
