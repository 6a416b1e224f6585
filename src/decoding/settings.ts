/**
 * Sampling settings with every default filled in, in the form that the arithmetic wants.
 *
 * Does not know models: their own defaults come in as `defaults`.
 */
import type { Sampling } from '../exchange.ts';

/** How a law is shaped before a token is drawn. Plain data, so that it crosses threads. */
export interface ShapeSettings {
  /** 0 means greedy. */
  readonly temperature: number;
  /** 0 means no limit. */
  readonly topK: number;
  /** 1 means no limit. */
  readonly topP: number;
  /** 0 means no limit. */
  readonly minP: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 means none. */
  readonly repetitionPenalty: number;
  /** Pairs of token id and what is added to its logit. */
  readonly logitBias: readonly (readonly [number, number])[];
}

/** The settings of plain sampling from the model's own law. */
export const plainSettings: ShapeSettings = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
};

/** Whether what occurred before changes the law. */
export function penalises({ presencePenalty, frequencyPenalty, repetitionPenalty }: ShapeSettings): boolean {
  return presencePenalty !== 0 || frequencyPenalty !== 0 || repetitionPenalty !== 1;
}

/**
 * Fills in what a request leaves open.
 * @param sampling the request's fields
 * @param defaults the model's own; default `plainSettings`
 */
export function shapeSettings(sampling: Sampling, defaults: ShapeSettings = plainSettings): ShapeSettings {
  return {
    temperature: sampling.temperature ?? defaults.temperature,
    topK: sampling.topK ?? defaults.topK,
    topP: sampling.topP ?? defaults.topP,
    minP: sampling.minP ?? defaults.minP,
    presencePenalty: sampling.presencePenalty ?? defaults.presencePenalty,
    frequencyPenalty: sampling.frequencyPenalty ?? defaults.frequencyPenalty,
    repetitionPenalty: sampling.repetitionPenalty ?? defaults.repetitionPenalty,
    logitBias: sampling.logitBias === undefined ? defaults.logitBias : Object.entries(sampling.logitBias).map(([id, bias]) => [Number(id), bias] as const),
  };
}
