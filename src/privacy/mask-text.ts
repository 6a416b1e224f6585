/** Masks single texts: plain ones, names, and JSON, which stays JSON. The only file besides `mask.ts` that makes masked text. */
import type { MaskedText } from '../exchange.ts';
import type { Found, Search } from './detect/index.ts';
import { bareName, placeholder, placeholderLikes } from './placeholder.ts';
import type { Vault } from './vault.ts';

/** Masks texts with one vault. */
export class TextMask {
  private readonly search: Search;
  private readonly vault: Vault;
  /** What detectors found in texts that were looked at: each text of a prompt is looked at, learnt, and masked. */
  private readonly looked = new Map<string, readonly Found[]>();

  constructor(search: Search, vault: Vault) {
    this.search = search;
    this.vault = vault;
  }

  /** Whether masking the text may change it, whatever other texts hold. `json`: as JSON, where escapes can hide values and names announce them. */
  mayHide(text: string, json: boolean): boolean {
    return json ? this.search.mayHold(text) || text.includes('\\u') : this.found(text).length > 0;
  }

  /** Keeps numbers that a text already shows from being given out. Call it for all texts before `learn`. */
  reserve(text: string): void {
    for (const { kind, number } of placeholderLikes(text)) this.vault.reserve(kind, number);
  }

  /** Gives the values of a text their numbers. After all texts were learnt, each value is hidden in all of them. */
  learn(text: string): void {
    for (const { kind, start, end } of this.found(text)) this.vault.numberFor(kind, text.slice(start, end));
  }

  /** A text without its private values. `context`: what stands before it elsewhere, such as the name of its property. */
  plain(text: string, context = ''): MaskedText {
    return this.replaced(text, context, placeholder);
  }

  /** A name without its private values, of letters, digits and `_` where the name was. */
  name(text: string): MaskedText {
    return this.replaced(text, '', bareName);
  }

  /** JSON text without its private values. It stays JSON: a number that is one becomes a text. What is not JSON is masked as plain text. */
  json(text: string): MaskedText {
    if (!isJson(text)) return this.plain(text);
    let masked = '';
    let copied = 0;
    let context = '';
    for (const { start, end } of jsonScalars(text)) {
      const written = text.slice(start, end);
      const isText = written.startsWith('"');
      const value = isText ? (JSON.parse(written) as string) : written;
      const isKey = isText && /^\s*:/.test(text.slice(end, end + 64));
      const hidden = this.plain(value, isKey ? '' : context);
      if (hidden !== value) {
        masked += text.slice(copied, start) + JSON.stringify(hidden);
        copied = end;
      }
      context = isKey ? `${value}: ` : '';
    }
    return (masked + text.slice(copied)) as MaskedText;
  }

  private replaced(text: string, context: string, write: typeof placeholder): MaskedText {
    const spans = this.spansOf(text, context);
    if (spans.length === 0) return text as MaskedText;
    let masked = '';
    let copied = 0;
    for (const { kind, start, end } of spans) {
      const given = this.vault.numberFor(kind, text.slice(start, end));
      masked += text.slice(copied, start) + write(given.kind, given.number);
      copied = end;
    }
    return (masked + text.slice(copied)) as MaskedText;
  }

  /** What detectors find, looked for once a text. */
  private found(text: string): readonly Found[] {
    let found = this.looked.get(text);
    if (found === undefined) this.looked.set(text, (found = this.search.find(text)));
    return found;
  }

  /** What detectors find and where values of the vault stand; where these overlap, both together. */
  private spansOf(text: string, context: string): readonly Found[] {
    const whole = context + text;
    const found = this.found(whole);
    const detected = context === '' ? found : found.flatMap((one) => shifted(one, context.length));
    const known = this.vault.occurrences(text);
    if (known.length === 0 || (known.length === detected.length && known.every(({ start, end }, at) => detected[at]?.start === start && detected[at].end === end))) return detected;
    const joined: Found[] = [];
    for (const one of [...detected, ...known].toSorted((a, b) => a.start - b.start || b.end - a.end)) {
      const last = joined.at(-1);
      if (last === undefined || one.start >= last.end) joined.push(one);
      else if (one.end > last.end) joined[joined.length - 1] = { ...last, end: one.end };
    }
    return joined;
  }
}

function shifted({ kind, start, end }: Found, by: number): Found[] {
  return end <= by ? [] : [{ kind, start: Math.max(0, start - by), end: end - by }];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Where texts and numbers stand in JSON that is known to be well-formed. */
function* jsonScalars(text: string): Generator<{ readonly start: number; readonly end: number }> {
  const begin = /["\d-]/g;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    const start = match.index;
    let end = start + 1;
    if (match[0] === '"') {
      while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
      end++;
    } else {
      while (/[\d.eE+-]/.test(text[end] ?? '')) end++;
    }
    yield { start, end };
    begin.lastIndex = end;
  }
}
