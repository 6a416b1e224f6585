/**
 * The vault of one request: which placeholder stands for which private value. It lives in the closure of the mask and the
 * restorer, is never written anywhere, and is gone with the request. The same value always gets the same placeholder;
 * numbers are given out in the order in which values are met, past those that the texts themselves already hold.
 */
import type { Kind } from './detect/detector.ts';

interface Entry {
  readonly kind: Kind;
  readonly number: number;
  readonly value: string;
}

/** A place in a text where a value stands. */
interface Occurrence {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
}

/** Values shorter than this are hidden only where a detector finds them. */
const spreadLengthMin = 6;
/** Values at least this long are hidden wherever they stand, even within a longer word. */
const withinWordLengthMin = 8;
const indexed = 4;
/** Up to so many values, looking for each is faster than looking at each place. */
const few = 8;

/** Which placeholder stands for which value. Most requests hide nothing, or one value: what more of them need is made when it is needed. */
export class Vault {
  private readonly byValue = new Map<string, Entry>();
  private byName: Map<string, Entry> | undefined;
  private taken: Set<string> | undefined;
  /** The number given out last, by kind. */
  private readonly last: Partial<Record<Kind, number>> = {};
  /** Once there are many: by the first characters, then by length, longest first: a look-up a place in the text and length, however many values. */
  private byBeginning: Map<string, Map<number, Set<string>>> | undefined;
  /** Values held, by kind. The same object all along. */
  readonly counts: Record<string, number> = {};

  /** Number of values held. */
  get size(): number {
    return this.byValue.size;
  }

  /** Keeps a number from being given out, since a text already holds what looks like its placeholder. */
  reserve(kind: Kind, number: number): void {
    (this.taken ??= new Set()).add(nameOf(kind, number));
  }

  /** The number that stands for a value, given out when it is new. */
  numberFor(kind: Kind, value: string): { readonly kind: Kind; readonly number: number } {
    const known = this.byValue.get(value);
    if (known !== undefined) return known;
    let number = (this.last[kind] ?? 0) + 1;
    while (this.taken?.has(nameOf(kind, number)) === true) number++;
    this.last[kind] = number;
    const entry: Entry = { kind, number, value };
    this.byValue.set(value, entry);
    this.byName?.set(nameOf(kind, number), entry);
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    if (this.byBeginning !== undefined) index(this.byBeginning, value);
    return entry;
  }

  /** The value behind a number; undefined when it was not given out. */
  valueOf(kind: Kind, number: number): string | undefined {
    if (this.byName === undefined) this.byName = new Map([...this.byValue.values()].map((entry) => [nameOf(entry.kind, entry.number), entry]));
    return this.byName.get(nameOf(kind, number))?.value;
  }

  /** Where values that are held stand in a text, whether a detector would find them there or not. In order, not overlapping. */
  occurrences(text: string): readonly Occurrence[] {
    return this.byValue.size <= few ? this.fewIn(text) : this.manyIn(text);
  }

  /** Looks for each value along the text. Where places overlap, it is for the slower way to say which stand. */
  private fewIn(text: string): readonly Occurrence[] {
    const found: Occurrence[] = [];
    for (const { kind, value } of this.byValue.values()) {
      if (value.length < spreadLengthMin) continue;
      for (let at = text.indexOf(value); at >= 0; ) {
        const stands = standsAlone(text, at, value);
        if (stands) found.push({ kind, start: at, end: at + value.length });
        at = text.indexOf(value, stands ? at + value.length : at + 1);
      }
    }
    if (found.length < 2) return found;
    found.sort((a, b) => a.start - b.start);
    return found.every(({ start }, index) => index === 0 || start >= (found[index - 1] as Occurrence).end) ? found : this.manyIn(text);
  }

  /** Looks at each place of the text. */
  private manyIn(text: string): readonly Occurrence[] {
    const found: Occurrence[] = [];
    if (this.byBeginning === undefined) {
      this.byBeginning = new Map();
      for (const value of this.byValue.keys()) index(this.byBeginning, value);
    }
    for (let at = 0; at + spreadLengthMin <= text.length; at++) {
      const lengths = this.byBeginning.get(text.slice(at, at + indexed));
      const entry = lengths === undefined ? undefined : this.standing(text, at, lengths);
      if (entry === undefined) continue;
      found.push({ kind: entry.kind, start: at, end: at + entry.value.length });
      at += entry.value.length - 1;
    }
    return found;
  }

  private standing(text: string, at: number, lengths: ReadonlyMap<number, ReadonlySet<string>>): Entry | undefined {
    for (const [length, values] of lengths) {
      const value = text.slice(at, at + length);
      if (values.has(value) && standsAlone(text, at, value)) return this.byValue.get(value);
    }
    return undefined;
  }
}

/** Files a value under its beginning and length. */
function index(byBeginning: Map<string, Map<number, Set<string>>>, value: string): void {
  if (value.length < spreadLengthMin) return;
  const beginning = value.slice(0, indexed);
  const lengths = byBeginning.get(beginning) ?? new Map<number, Set<string>>();
  const known = lengths.get(value.length);
  if (known !== undefined) {
    known.add(value);
    return;
  }
  lengths.set(value.length, new Set([value]));
  byBeginning.set(beginning, new Map([...lengths].toSorted(([a], [b]) => b - a)));
}

function nameOf(kind: Kind, number: number): string {
  return `${kind} ${number}`;
}

function standsAlone(text: string, at: number, value: string): boolean {
  return value.length >= withinWordLengthMin || !(/[\p{L}\p{N}]/u.test(text[at - 1] ?? '') || /[\p{L}\p{N}]/u.test(text[at + value.length] ?? ''));
}
