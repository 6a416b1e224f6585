/**
 * Hearing of an abort. A listener of an `AbortSignal` costs as much as masking a sentence, and every request has several, each of which
 * is taken off again. Here a signal has one list of those who want to hear of its abort, and the signals of an `Aborter` tell
 * their list themselves. For everybody else they are ordinary signals.
 */

/** Who is told of an abort. Kept on the signal itself, so that it is gone with it. */
const listeners = Symbol('listeners');
type Heard = AbortSignal & { [listeners]?: (() => void)[] };

/** An `AbortController` that `onAbort` costs next to nothing with. */
export class Aborter extends AbortController {
  readonly #told: (() => void)[] = [];

  constructor() {
    super();
    (this.signal as Heard)[listeners] = this.#told;
  }

  override abort(reason?: unknown): void {
    if (this.signal.aborted) return;
    super.abort(reason);
    tell(this.#told);
  }
}

/** Calls back once when the signal aborts; not when it already has. The callback must not throw. Take it back with `offAbort`. */
export function onAbort(signal: AbortSignal, callback: () => void): void {
  const heard = signal as Heard;
  let told = heard[listeners];
  if (told === undefined) {
    const all: (() => void)[] = [];
    heard[listeners] = told = all;
    signal.addEventListener('abort', () => tell(all), { once: true });
  }
  told.push(callback);
}

/** Takes a callback back. */
export function offAbort(signal: AbortSignal, callback: () => void): void {
  const told = (signal as Heard)[listeners];
  if (told === undefined) return;
  // Whoever came last mostly goes first.
  if (told[told.length - 1] === callback) {
    told.pop();
    return;
  }
  const at = told.lastIndexOf(callback);
  if (at >= 0) told.splice(at, 1);
}

function tell(told: (() => void)[]): void {
  for (const callback of told.splice(0)) callback();
}
