/** How often each token has occurred: what penalties depend on. Tokens can be taken back, since drafts are. */

/** Counts of tokens in the answer so far, and which ones the prompt held. */
export class Occurrences {
  readonly #counts = new Map<number, number>();
  readonly #prompt: ReadonlySet<number>;
  readonly #counted: boolean;

  /** @param prompt tokens before the answer; only the repetition penalty looks at them @param counted false where no penalty looks at anything: then nothing is counted */
  constructor(prompt: Iterable<number> = [], counted = true) {
    this.#prompt = new Set(prompt);
    this.#counted = counted;
  }

  /** Tokens of the answer with how often they occurred. */
  get counts(): ReadonlyMap<number, number> {
    return this.#counts;
  }

  /** Tokens of the prompt. */
  get prompt(): ReadonlySet<number> {
    return this.#prompt;
  }

  /** Counts a token. */
  add(token: number): void {
    if (!this.#counted) return;
    this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
  }

  /** Takes a counted token back. */
  remove(token: number): void {
    if (!this.#counted) return;
    const count = this.#counts.get(token) ?? 0;
    if (count <= 1) this.#counts.delete(token);
    else this.#counts.set(token, count - 1);
  }
}
