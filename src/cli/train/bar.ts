/** Shows how far a training run is: a bar with loss, speed and time left on a terminal, a line every tenth elsewhere. */
import type { TrainerEvent } from '../../train/events.ts';
import { note, type Terminal } from '../terminal.ts';

type StepEvent = Extract<TrainerEvent, { event: 'step' }>;

/** The bar, or the lines. */
export class TrainingBar {
  readonly #terminal: Terminal;
  readonly #quiet: boolean;
  #steps = 0;
  #tenth = -1;
  #open = false;

  /** @param quiet show nothing */
  constructor(terminal: Terminal, quiet: boolean) {
    this.#terminal = terminal;
    this.#quiet = quiet;
  }

  /** Takes an event of the trainer. */
  show(event: TrainerEvent): void {
    if (event.event === 'start') {
      this.#steps = event.steps;
      this.say(startText(event));
    }
    if (event.event === 'step') this.#step(event);
  }

  /** A line above the bar. */
  say(text: string): void {
    if (this.#quiet) return;
    this.end();
    note(this.#terminal, text);
  }

  /** Leaves the bar as it is and begins a new line. */
  end(): void {
    if (this.#open) this.#terminal.error.write('\n');
    this.#open = false;
  }

  #step(event: StepEvent): void {
    if (this.#quiet) return;
    const { error } = this.#terminal;
    if (error.isTTY === true) {
      this.#open = true;
      error.write(`\r\u001b[2K${stepText(event, this.#steps, error.columns ?? 80)}`);
      return;
    }
    const tenth = Math.floor((10 * event.step) / Math.max(1, this.#steps));
    if (tenth <= this.#tenth) return;
    this.#tenth = tenth;
    note(this.#terminal, stepText(event, this.#steps, 0));
  }
}

function startText({ name, steps, fromStep, parameters }: Extract<TrainerEvent, { event: 'start' }>): string {
  const size = parameters === undefined ? '' : `, ${(parameters / 1e6).toFixed(1)} M parameters`;
  return `${name}${size}: ${fromStep > 0 ? `step ${fromStep} to ${steps}` : `${steps} steps`}`;
}

/** `[#####.....]  50 %  step 60 of 120  loss 2.310  7.5k tok/s  1 min left`; without the bar where there is no room. */
export function stepText({ step, loss, tokensPerSecond, etaS }: StepEvent, steps: number, columns: number): string {
  const share = steps === 0 ? 1 : Math.min(1, step / steps);
  const speed = tokensPerSecond >= 1000 ? `${(tokensPerSecond / 1000).toFixed(1)}k` : String(Math.round(tokensPerSecond));
  const left = share < 1 ? [`${timeText(etaS)} left`] : [];
  const text = [`${String(Math.floor(share * 100)).padStart(3)} %`, `step ${step} of ${steps}`, `loss ${loss.toFixed(3)}`, `${speed} tok/s`, ...left].join('  ');
  const room = Math.min(40, columns - text.length - 5);
  if (room < 10) return text;
  const filled = Math.round(share * room);
  return `[${'#'.repeat(filled)}${'.'.repeat(room - filled)}] ${text}`;
}

function timeText(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
