/** Shows how far a benchmark is, with the time left: one line redrawn on a terminal, a line every tenth elsewhere. */
import type { Clock } from '../system/clock.ts';
import { note, type Terminal } from './terminal.ts';

const redrawMs = 200;

/** Progress of a run that counts cells. */
export class RunProgress {
  readonly #terminal: Terminal;
  readonly #quiet: boolean;
  readonly #clock: Clock;
  #startedMs = 0;
  #before = 0;
  #drawnMs = -Infinity;
  #tenth = 0;
  #open = false;

  /** @param quiet show nothing but the first line */
  constructor(terminal: Terminal, quiet: boolean, clock: Clock) {
    this.#terminal = terminal;
    this.#quiet = quiet;
    this.#clock = clock;
  }

  /** Says what begins. @param done cells of an earlier run */
  begin(what: string, done: number, total: number): void {
    this.#startedMs = this.#clock.monotonicMs();
    this.#before = done;
    this.#tenth = Math.floor((10 * done) / Math.max(1, total));
    note(this.#terminal, done === 0 ? what : `${what}; ${done} of ${total} measured before`);
  }

  /** Takes how many cells are finished, the earlier ones included. */
  show(finished: number, total: number): void {
    if (this.#quiet) return;
    const nowMs = this.#clock.monotonicMs();
    const text = `${progressText(finished, total, finished - this.#before, nowMs - this.#startedMs)}`;
    if (this.#terminal.error.isTTY === true) {
      if (finished < total && nowMs - this.#drawnMs < redrawMs) return;
      this.#drawnMs = nowMs;
      this.#open = true;
      this.#terminal.error.write(`\r\u001b[2K${text}`);
      return;
    }
    const tenth = Math.floor((10 * finished) / total);
    if (tenth <= this.#tenth) return;
    this.#tenth = tenth;
    note(this.#terminal, text);
  }

  /** Leaves the line as it is. */
  end(): void {
    if (this.#open) this.#terminal.error.write('\n');
    this.#open = false;
  }
}

/** ` 40 %  48 of 120 requests  2.1/s  35 s left`. @param measured in this process, over `elapsedMs` */
export function progressText(finished: number, total: number, measured: number, elapsedMs: number): string {
  const perSecond = elapsedMs > 0 ? (1000 * measured) / elapsedMs : 0;
  const left = perSecond > 0 && finished < total ? [`${timeText((total - finished) / perSecond)} left`] : [];
  return [`${String(Math.floor((100 * finished) / Math.max(1, total))).padStart(3)} %`, `${finished} of ${total} requests`, ...(perSecond > 0 ? [`${perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0)}/s`] : []), ...left].join('  ');
}

function timeText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
