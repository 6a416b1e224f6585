/**
 * Routers: decide before anything is generated. A router turns a request into a score from 0 (any model will do) to 1
 * (only the strongest will), and says which inputs led to it; `recipes/route.ts` compares the score with its threshold.
 * Learned routers are further implementations of the same contract.
 */
import type { Prompt, Sampling } from '../exchange.ts';

/** What a router may look at. Runs in this process, so it sees the raw text; it passes on numbers only. */
export interface RouterInput {
  readonly prompt: Prompt<string>;
  readonly sampling: Sampling;
}

/** What a router says. */
export interface Estimate {
  /** How much the request calls for the large model, 0 to 1. */
  readonly score: number;
  /** What the score was made of, for the trace: numbers and names, never text. */
  readonly inputs: Readonly<Record<string, number | string>>;
}

/** A way of estimating. */
export interface Router {
  /** Name in knobs and traces. */
  readonly id: string;
  estimate(input: RouterInput): Estimate | Promise<Estimate>;
  /** Expected quality of every member that the router knows, and what its rows say they cost; absent: it decides between two only. */
  members?(input: RouterInput): readonly { readonly member: string; readonly quality: number; readonly costUsd?: number | undefined; readonly latencyMs?: number | undefined }[];
}
