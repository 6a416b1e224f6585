/**
 * What goes into a batch of a model. Short steps (writing, checking drafts) go first and whole; prompts share what is left. When others
 * wait, prompts are read in portions of about `portionMs`, so that writing goes on while a long prompt is read.
 */
import { batchTokensMax, type LlamaContext } from './context.ts';
import type { SequenceStore } from './sequences.ts';
import type { PendingStep } from './task.ts';

/** Steps of at most this many tokens are not split. */
const shortTokens = 32;
/** How long a batch may take while others wait. Milliseconds. */
const portionMs = 40;
/** The least that a prompt gets of a batch. */
export const portionMin = 16;

/** Where steps are computed: a context with its sequences, and adapters by name. */
export interface Lane {
  readonly context: LlamaContext;
  readonly store: SequenceStore;
  /** Whether a sequence can be cut back after a batch that was stopped. */
  readonly rollsBack: boolean;
  /** Applies an adapter by its name; empty for none. */
  useAdapter(name: string): void;
}

/** The steps that wait for a lane. */
export interface Queue {
  readonly lane: Lane;
  readonly steps: PendingStep[];
  /** Milliseconds a token, measured on batches of prompts. */
  msPerToken: number;
}

/**
 * Puts short steps and portions of prompts into the context's batch; all of them under one adapter.
 * @param batch gets the steps that are in it @param waited whether anybody waits for somebody else's batch
 */
export function fillBatch({ lane, steps, msPerToken }: Queue, batch: PendingStep[], waited: boolean): void {
  const { context } = lane;
  const { adapter } = (steps[0] as PendingStep).sequence;
  lane.useAdapter(adapter);
  if (steps.length === 1 && (steps[0] as PendingStep).remaining <= shortTokens) {
    // one request at a time is the common case, and a small model's step is short
    const step = steps[0] as PendingStep;
    step.choose(step.remaining);
    step.put(context);
    batch.push(step);
    return;
  }
  let tokensLeft = batchTokensMax;
  let rowsLeft = context.outputsMax;
  const choose = (step: PendingStep, portion: number): void => {
    tokensLeft -= portion;
    rowsLeft -= step.choose(portion);
    batch.push(step);
  };
  let prompts: PendingStep[] | undefined;
  for (let n = 0; n < steps.length; n++) {
    const step = steps[n] as PendingStep;
    if (step.sequence.adapter !== adapter) continue;
    const { remaining } = step;
    if (remaining > shortTokens) (prompts ??= []).push(step);
    else if (remaining <= tokensLeft && step.rowsOf(remaining) <= rowsLeft) choose(step, remaining);
  }
  if (prompts !== undefined) {
    let budget = Math.min(tokensLeft, batchTokensOf(msPerToken, waited) - (batchTokensMax - tokensLeft));
    for (let n = 0; n < prompts.length; n++) {
      const step = prompts[n] as PendingStep;
      const share = Math.max(portionMin, Math.floor(budget / (prompts.length - n)));
      let count = Math.min(step.remaining, share, tokensLeft);
      count -= Math.max(0, step.rowsOf(count) - rowsLeft);
      if (count <= 0) continue;
      choose(step, count);
      budget -= count;
    }
  }
  // where sequences lie apart, the library computes neighbours together, and everything else one after the other
  if (batch.length > 1) batch.sort((a, b) => a.sequence.id - b.sequence.id);
  for (let n = 0; n < batch.length; n++) (batch[n] as PendingStep).put(context);
}

/** Tokens that a batch may have: all, unless somebody waits for it. */
function batchTokensOf(msPerToken: number, waited: boolean): number {
  if (!waited) return batchTokensMax;
  return msPerToken === 0 ? batchTokensMax / 4 : Math.max(2 * shortTokens, Math.floor(portionMs / msPerToken));
}

/** Whether a batch takes so long that it must be possible to stop it. */
export function isLong(tokens: number, { msPerToken }: Queue): boolean {
  return tokens > shortTokens || tokens * msPerToken > portionMs / 2;
}
