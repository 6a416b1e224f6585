/**
 * Value-density admission: when not all can be served at once, those with the greatest benefit per unit of resource go first
 * (EdgeLLM, row 3): ordered by density, with preemption, batches, and a threshold that adapts to the load.
 *
 * density = benefit / resource. Waiting raises it by `agingPerSecond` of itself, so that nobody waits for ever. When the queue
 * is full, the least dense is turned away. A running task may be preempted by one that is `preemptFactor` times as dense; it
 * is told through its signal and waits again. What a benefit is, and what a resource, is the caller's: here it is quality gained
 * over dollars, or over seconds of the device.
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
export interface DensityQueueSettings {
  /** Tasks at once, at least 1. */
  readonly runningMax: number;
  /** Tasks that wait at most. */
  readonly waitingMax: number;
  /** Growth of density by a second of waiting, as a share; default 0.1. */
  readonly agingPerSecond?: number;
  /** How much denser than the least dense running task one must be to take its place; default 4; Infinity: never. */
  readonly preemptFactor?: number;
}

interface Waiting {
  readonly task: Task;
  readonly sinceMs: number;
  readonly resolve: (admission: Admission) => void;
  readonly reject: (error: unknown) => void;
}

interface RunningTask {
  readonly task: Task;
  readonly stop: AbortController;
}

/** Density of a task. */
export function densityOf({ benefit, resource }: Pick<Task, 'benefit' | 'resource'>): number {
  return benefit / Math.max(1e-12, resource);
}

/** A queue that serves the densest first. */
export class DensityQueue {
  readonly #settings: DensityQueueSettings;
  readonly #clock: Clock;
  readonly #running = new Set<RunningTask>();
  #waiting: Waiting[] = [];

  constructor(settings: DensityQueueSettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Density that a task needs to be taken in now: 0 while there is room, else that of the least dense that waits. */
  get threshold(): number {
    if (this.#running.size < this.#settings.runningMax || this.#waiting.length < this.#settings.waitingMax) return 0;
    return Math.min(...this.#waiting.map((each) => this.#aged(each)));
  }

  /** Waits for leave to run. @throws {TandemError} overloaded: turned away, at once or when denser tasks came */
  async enter(task: Task): Promise<Admission> {
    if (this.#running.size < this.#settings.runningMax) return this.#admit(task);
    this.#preempt(task);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, sinceMs: this.#clock.monotonicMs(), resolve, reject });
      if (this.#waiting.length > this.#settings.waitingMax) this.#turnAway();
    });
  }

  /** Takes up to `count` waiting tasks that pass `fits` out of the queue to be run as one batch in one running place, densest first. */
  batch(count: number, fits: (task: Task) => boolean = () => true): Task[] {
    const taken = this.#ordered().filter(({ task }) => fits(task)).slice(0, count);
    this.#waiting = this.#waiting.filter((each) => !taken.includes(each));
    for (const { resolve, task } of taken) resolve({ preempted: new AbortController().signal, release: () => undefined });
    return taken.map(({ task }) => task);
  }

  #admit(task: Task): Admission {
    const running: RunningTask = { task, stop: new AbortController() };
    this.#running.add(running);
    return { preempted: running.stop.signal, release: () => this.#release(running) };
  }

  #release(running: RunningTask): void {
    if (!this.#running.delete(running)) return;
    const next = this.#ordered()[0];
    if (next === undefined) return;
    this.#waiting = this.#waiting.filter((each) => each !== next);
    next.resolve(this.#admit(next.task));
  }

  #preempt(task: Task): void {
    const { preemptFactor = 4 } = this.#settings;
    let weakest: RunningTask | undefined;
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

  #aged({ task, sinceMs }: Waiting): number {
    return densityOf(task) * (1 + ((this.#settings.agingPerSecond ?? 0.1) * (this.#clock.monotonicMs() - sinceMs)) / 1000);
  }

  #ordered(): Waiting[] {
    return [...this.#waiting].sort((a, b) => this.#aged(b) - this.#aged(a));
  }
}
