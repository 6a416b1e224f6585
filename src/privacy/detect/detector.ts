/**
 * The contract of a detector: finds private values of one kind in a text. A new detector is one file and one line in
 * `detect/index.ts`. Detectors know nothing of placeholders, prompts or each other.
 */

/** Kinds of private values. A placeholder shows the kind: `<EMAIL_1>`. */
export type Kind = 'email' | 'phone' | 'card' | 'iban' | 'key';

/** A private value in a text: characters `start` to `end` (exclusive), in UTF-16 code units. */
export interface Found {
  readonly kind: Kind;
  readonly start: number;
  readonly end: number;
}

/** Whether a closer look at a text may be worth it; a regular expression without flags is one. */
export interface Hint {
  test(text: string): boolean;
}

/** Finds values of one kind. */
export interface Detector {
  readonly kind: Kind;
  /**
   * True for every text that holds a value of this kind, and for few others: most texts hold none, and this must tell
   * quickly. Linear in the text.
   */
  readonly hint: Hint;
  /** Whether every value holds a digit: then a text without any needs no closer look. Default false. */
  readonly digits?: true;
  /** The values, in order, not overlapping. Only called on texts that the hint is true for. */
  find(text: string): readonly Found[];
}
