/**
 * Value-density admission: when not all can be served at once, those with the greatest benefit per unit of resource go first
 * (EdgeLLM, row 3): ordered by density, with preemption, batches, and a threshold that adapts to the load.
 *
 * density = benefit / resource. Waiting raises it by `agingPerSecond` of itself, so that nobody waits for ever. When the queue
 * is full, the least dense is turned away. A running task may be preempted by one that is `preemptFactor` times as dense; it
 * is told through its signal and waits again. What a benefit is, and what a resource, is the caller's: here it is quality gained
 * over dollars (`paid-admission.ts`), or over seconds of the device.
 */
import { fail } from '../errors.ts';
import type { Clock } from '../system/clock.ts';

/** What wants to be served. */
export interface Task {
  /** Benefit, at least 0. */
  readonly benefit: number;
  /** Resource that it takes, above 0. */
  readonly resource: number;
  /** Whether it may be stopped and begun again. Default false. */
  readonly preemptible?: boolean;
}

/** Leave to run. */
export interface Admission {
  /** Aborted when a denser task takes the place; the task is to stop, release, and may ask again. */
  readonly preempted: AbortSignal;
  /** Must be called once when the task has ended, however it ended. */
  release(): void;
}

/** How the queue works. */
export interface DensityQueueSettings<T extends Task = Task> {
  /** Tasks at once, at least 1; default: no limit. */
  readonly runningMax?: number;
  /** Whether a task may run beside those that run; default: yes. Not asked when nothing runs. */
  readonly room?: (task: T, running: readonly T[]) => boolean;
  /** Tasks that wait at most. */
  readonly waitingMax: number;
  /** Growth of density by a second of waiting, as a share; default 0.1. */
  readonly agingPerSecond?: number;
  /** How much denser than the least dense running task one must be to take its place; default 4; Infinity: never. */
  readonly preemptFactor?: number;
}

interface Waiting<T> {
  readonly task: T;
  readonly sinceMs: number;
  readonly resolve: (admission: Admission) => void;
  readonly reject: (error: unknown) => void;
}

interface RunningTask<T> {
  readonly task: T;
  readonly stop: AbortController;
}

/** Density of a task. */
export function densityOf({ benefit, resource }: Pick<Task, 'benefit' | 'resource'>): number {
  return benefit / Math.max(1e-12, resource);
}

/** A queue that serves the densest first. */
export class DensityQueue<T extends Task = Task> {
  readonly #settings: DensityQueueSettings<T>;
  readonly #clock: Clock;
  readonly #running = new Set<RunningTask<T>>();
  #waiting: Waiting<T>[] = [];

  constructor(settings: DensityQueueSettings<T>, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Density that a task needs to be taken in now: 0 while the queue has room, else that of the least dense that waits. */
  get threshold(): number {
    if (this.#waiting.length < this.#settings.waitingMax) return 0;
    return Math.min(...this.#waiting.map((each) => this.#aged(each)));
  }

  /**
   * Waits for leave to run.
   * @param signal ends the waiting
   * @throws {TandemError} overloaded: turned away, at once or when denser tasks came; the signal's reason
   */
  async enter(task: T, signal?: AbortSignal): Promise<Admission> {
    signal?.throwIfAborted();
    const leave = (): void => this.#abandon(task, signal?.reason);
    signal?.addEventListener('abort', leave);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.push({ task, sinceMs: this.#clock.monotonicMs(), resolve, reject });
        this.fill();
        if (!this.#waiting.some((each) => each.task === task)) return;
        this.#preempt(task);
        if (this.#waiting.length > this.#settings.waitingMax) this.#turnAway();
      });
    } finally {
      signal?.removeEventListener('abort', leave);
    }
  }

  /** Lets in whoever has room now, densest first. To be called when room has come from outside. */
  fill(): void {
    for (let next = this.#ordered()[0]; next !== undefined && this.#hasRoom(next.task); next = this.#ordered()[0]) {
      const admitted = next;
      this.#waiting = this.#waiting.filter((each) => each !== admitted);
      admitted.resolve(this.#admit(admitted.task));
    }
  }

  /** Takes up to `count` waiting tasks that pass `fits` out of the queue to be run as one batch in one running place, densest first. */
  batch(count: number, fits: (task: T) => boolean = () => true): T[] {
    const taken = this.#ordered().filter(({ task }) => fits(task)).slice(0, count);
    this.#waiting = this.#waiting.filter((each) => !taken.includes(each));
    for (const { resolve, task } of taken) resolve({ preempted: new AbortController().signal, release: () => undefined });
    return taken.map(({ task }) => task);
  }

  #hasRoom(task: T): boolean {
    const { runningMax = Infinity, room } = this.#settings;
    if (this.#running.size === 0) return true;
    return this.#running.size < runningMax && (room?.(task, [...this.#running].map((each) => each.task)) ?? true);
  }

  #admit(task: T): Admission {
    const running: RunningTask<T> = { task, stop: new AbortController() };
    this.#running.add(running);
    return { preempted: running.stop.signal, release: () => this.#release(running) };
  }

  #release(running: RunningTask<T>): void {
    if (this.#running.delete(running)) this.fill();
  }

  #abandon(task: T, reason: unknown): void {
    const left = this.#waiting.find((each) => each.task === task);
    this.#waiting = this.#waiting.filter((each) => each !== left);
    left?.reject(reason);
  }

  #preempt(task: T): void {
    const { preemptFactor = 4 } = this.#settings;
    let weakest: RunningTask<T> | undefined;
    for (const each of this.#running) {
      if (each.task.preemptible !== true || each.stop.signal.aborted) continue;
      if (weakest === undefined || densityOf(each.task) < densityOf(weakest.task)) weakest = each;
    }
    if (weakest !== undefined && densityOf(task) > preemptFactor * densityOf(weakest.task)) weakest.stop.abort();
  }

  #turnAway(): void {
    const least = this.#ordered().at(-1);
    if (least === undefined) return;
    this.#waiting = this.#waiting.filter((each) => each !== least);
    try {
      fail('overloaded', { message: 'More is waiting than can be served, and this request gains least for what it takes.', retryAfterMs: 1_000 });
    } catch (error) {
      least.reject(error);
    }
  }

  #aged({ task, sinceMs }: Waiting<T>): number {
    return densityOf(task) * (1 + ((this.#settings.agingPerSecond ?? 0.1) * (this.#clock.monotonicMs() - sinceMs)) / 1000);
  }

  #ordered(): Waiting<T>[] {
    return [...this.#waiting].sort((a, b) => this.#aged(b) - this.#aged(a));
  }
}
