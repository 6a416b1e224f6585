/** Threads of one process that ask each other small things: what they have counted, or to hand over what they hold back. */
import { BroadcastChannel } from 'node:worker_threads';

/** What a member of a circle answers, by the name of the question. */
export type Answers = Readonly<Record<string, () => unknown>>;

interface Message {
  readonly from: number;
  readonly question: number;
  /** Name of the question; absent in an answer. */
  readonly ask?: string;
  /** Number of the member that is answered. */
  readonly to?: number;
  readonly value?: unknown;
}

interface Waiting {
  readonly values: unknown[];
  readonly done: () => void;
}

/** One member of a circle. */
export class Circle {
  readonly #channel: BroadcastChannel;
  readonly #number: number;
  readonly #others: number;
  readonly #answers: Answers;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  #questions = 0;

  /**
   * Joins a circle.
   * @param name the same for all members, and of no other circle in the process
   * @param number of this member, unique in the circle @param members how many there are in all
   * @param timeoutMs answers that take longer are not waited for; default 2000
   */
  constructor(name: string, number: number, members: number, answers: Answers, timeoutMs = 2_000) {
    this.#number = number;
    this.#others = members - 1;
    this.#answers = answers;
    this.#timeoutMs = timeoutMs;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = (event) => void this.#receive((event as { readonly data: Message }).data);
    (this.#channel as unknown as { unref(): void }).unref();
  }

  /** Asks every other member; gives their answers in the order in which they come, without those that failed or were late. */
  ask(name: string): Promise<readonly unknown[]> {
    const question = ++this.#questions;
    const values: unknown[] = [];
    if (this.#others === 0) return Promise.resolve(values);
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(question);
        resolve(values.filter((value) => value !== undefined));
      };
      const timer = setTimeout(done, this.#timeoutMs);
      this.#waiting.set(question, { values, done });
      this.#channel.postMessage({ from: this.#number, question, ask: name } satisfies Message);
    });
  }

  /** Leaves the circle. */
  close(): void {
    this.#channel.close();
    for (const { done } of [...this.#waiting.values()]) done();
  }

  async #receive({ from, question, ask, to, value }: Message): Promise<void> {
    if (ask === undefined) {
      if (to === this.#number) this.#note(question, value);
      return;
    }
    const answered = await Promise.resolve()
      .then(() => this.#answers[ask]?.())
      .catch(() => undefined);
    try {
      this.#channel.postMessage({ from: this.#number, question, to: from, value: answered } satisfies Message);
    } catch {
      // this member has left
    }
  }

  #note(question: number, value: unknown): void {
    const waiting = this.#waiting.get(question);
    if (waiting === undefined) return;
    waiting.values.push(value);
    if (waiting.values.length === this.#others) waiting.done();
  }
}
