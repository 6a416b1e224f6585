/**
 * How many tokens to draft before the target checks them: as long as the next one is worth its cost.
 *
 * Costs are in steps of the target. Drafting one more token costs a draft step and a little more checking; it saves a target
 * step if it and all before it are accepted. How likely that is, the draft model says itself: the product of the probabilities of its likeliest
 * tokens so far. The first draft must also pay for turning a step into a check of several tokens. When drafting did not
 * pay, the next rounds go without it, four times as many each time, until it pays again: whoever asks the draft model again has to let
 * it read all that was written meanwhile.
 *
 * Deciding by the draft's law before a token is drawn keeps the output law exact (see `speculate.ts`).
 * Drafting by confidence: Mamou et al. 2024 (arXiv:2405.04304); expected saving: Leviathan et al. 2023, section 3.
 */
import type { Law } from './program.ts';

/** How to draft. */
export interface DraftSettings {
  /** Tokens at most, 1 to 32. Default 24. */
  readonly tokensMax: number;
  /** 0 to 1: a first draft below this confidence is not worth a check. 0 drafts always. Default 0.6. */
  readonly confidenceMin: number;
  /** 0 to 1: draft on while all drafts together are at least this likely to be accepted. Default 0.5. */
  readonly togetherMin: number;
  /** Rounds without drafts at most, after drafting did not pay. Default 256. */
  readonly pauseMax: number;
}

/** How much longer each pause is than the one before. */
const pauseGrowth = 4;

/** The defaults of `DraftSettings`. */
export const draftDefaults: DraftSettings = { tokensMax: 24, confidenceMin: 0.6, togetherMin: 0.5, pauseMax: 256 };

/** Decides, round by round of one answer, how far to draft. */
export class DraftLength {
  readonly #settings: DraftSettings;
  #together = 1;
  #pause = 0;
  #pauseNext = 1;

  /** @param settings what differs from the defaults */
  constructor(settings: Partial<DraftSettings> = {}) {
    this.#settings = { ...draftDefaults, ...settings };
  }

  /** Begins a round. @returns tokens to draft at most; 0 in a round without drafts */
  begin(): number {
    this.#together = 1;
    if (this.#pause === 0) return this.#settings.tokensMax;
    this.#pause--;
    return 0;
  }

  /** Whether to draft a token at this position, where the draft model's likeliest token has this probability. */
  take(position: number, confidence: number): boolean {
    const { confidenceMin, togetherMin } = this.#settings;
    if (confidenceMin === 0) return true;
    this.#together *= confidence;
    return this.#together >= (position === 0 ? confidenceMin : Math.min(togetherMin, confidenceMin));
  }

  /** Whether it pays to ask the draft model for one more token. */
  goOn(): boolean {
    return this.#settings.confidenceMin === 0 || this.#together >= this.#settings.togetherMin;
  }

  /** Learns from a round with drafts. */
  learn(accepted: number): void {
    if (accepted > 0) {
      this.#pauseNext = 1;
      return;
    }
    if (this.#settings.confidenceMin === 0) return;
    this.#pause = this.#pauseNext;
    this.#pauseNext = Math.min(this.#settings.pauseMax, pauseGrowth * this.#pauseNext);
  }
}

/** Probability of a law's likeliest token, within a few percent: tokens far below it are not looked at. */
export function confidenceOf(law: Law, likeliest: number): number {
  const top = law[likeliest] as number;
  const floor = top - 12;
  let total = 0;
  for (let id = 0; id < law.length; id++) {
    const logit = law[id] as number;
    if (logit > floor) total += Math.exp(logit - top);
  }
  return 1 / total;
}
