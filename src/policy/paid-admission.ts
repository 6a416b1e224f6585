/**
 * Admission of paid calls by value density (row 3): while the dollars of the day or the month are short, those requests to `tandem/auto`
 * get them that are expected to gain most for a dollar.
 *
 * Two things make money short, and each has its answer:
 *
 *   over the day   the budget would not last. `floor` says what a dollar has to gain now; it follows the pace (`pacing.ts`), and
 *                  `tandem/auto` chooses a free way where there is one and the paid one gains less.
 *   at the moment  what is left does not cover the worst case of all that want to call at once. They wait in a queue (`value-density.ts`),
 *                  the densest is let in first, and most of what was set aside for others comes back meanwhile.
 *
 * It orders and it declines; it grants nothing. The cap is kept by the purse alone.
 */
import { TandemError } from '../errors.ts';
import type { PaidQueue, PaidTask } from '../recipes/pilot/paid.ts';
import type { Clock } from '../system/clock.ts';
import type { Purses } from './purse.ts';
import { DensityQueue, type Task } from './value-density.ts';

interface Paid extends Task {
  readonly costUsdMax: number;
}

/** Requests that wait for dollars at most. */
const waitingMax = 1_000;

/** The queue before the purse. */
export class PaidAdmission implements PaidQueue {
  readonly #price: () => number;
  readonly #queue: DensityQueue<Paid>;

  /** @param price dual price of the budget now, at least 0 */
  constructor(purse: Purses, price: () => number, clock: Clock) {
    this.#price = price;
    const room = (task: Paid, running: readonly Paid[]): boolean => {
      const promisedUsd = running.reduce((sum, { costUsdMax }) => sum + costUsdMax, 0);
      return promisedUsd + task.costUsdMax <= purse.usableUsd(promisedUsd);
    };
    this.#queue = new DensityQueue({ room, waitingMax }, clock);
  }

  get floor(): number {
    const price = this.#price();
    return price === 0 ? 0 : 1 + price;
  }

  async enter({ gainUsd, costUsd, costUsdMax }: PaidTask, signal: AbortSignal): Promise<(() => void) | undefined> {
    try {
      const { release } = await this.#queue.enter({ benefit: gainUsd, resource: costUsd, costUsdMax }, signal);
      return release;
    } catch (error) {
      if (TandemError.is(error) && error.code === 'overloaded') return undefined;
      throw error;
    }
  }

  /** Money has come from outside. */
  refilled(): void {
    this.#queue.fill();
  }
}
