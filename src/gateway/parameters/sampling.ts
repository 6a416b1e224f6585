/** Parameters that say how an answer is generated, as every text endpoint takes them. */
import type { Draft } from './draft.ts';
import { hint, honoured, refused, type ParameterTable } from './parameter.ts';
import { integerAt, listAt, numberAt, objectAt, textAt, wrong } from './reading.ts';

/** Longest `stop` list. */
export const stopsMax = 4;

/** A 64-bit seed folded to the 32 bits that engines take; seeds below 2^31 stay as they are. */
export function foldSeed(seed: number): number {
  return Math.abs(seed) < 2 ** 31 ? seed : (seed ^ Math.floor(seed / 2 ** 32)) | 0;
}

/** Texts of `stop`. @throws {TandemError} parameter_invalid */
export function stopsAt(value: unknown, path: string): readonly string[] {
  if (typeof value === 'string') return value === '' ? [] : [textAt(value, path, 1, 1024)];
  return listAt(value, path, 0, stopsMax).map((stop, index) => textAt(stop, `${path}[${index}]`, 1, 1024));
}

/** Biases by token id. @throws {TandemError} parameter_invalid */
export function logitBiasAt(value: unknown, path: string): Readonly<Record<string, number>> {
  const biases: Record<string, number> = {};
  const entries = Object.entries(objectAt(value, path));
  if (entries.length > 1024) wrong(path, 'at most 1024 entries', value);
  for (const [token, bias] of entries) {
    if (!/^\d{1,9}$/.test(token)) wrong(path, 'token ids as names', value);
    biases[token] = numberAt(bias, `${path}.${token}`, -100, 100);
  }
  return biases;
}

const tokensMax = (value: unknown, path: string, draft: Draft): void => {
  const tokens = integerAt(value, path, 1, Number.MAX_SAFE_INTEGER);
  if (draft.sampling.tokensMax !== undefined && draft.sampling.tokensMax !== tokens) wrong(path, `the same value as the other length limit (${draft.sampling.tokensMax})`, value);
  draft.sampling.tokensMax = tokens;
};

/** `max_tokens`, `max_completion_tokens`, `max_output_tokens`. */
export const answerLength = honoured<Draft>('at least 1; default policy.answerTokensDefault, at most policy.answerTokensMax', tokensMax);

/** Temperature and top-p: known to every text endpoint. */
export const basicSampling: ParameterTable<Draft> = {
  temperature: honoured('0 to 2; 0 is greedy', (value, path, draft) => void (draft.sampling.temperature = numberAt(value, path, 0, 2))),
  top_p: honoured('0 to 1', (value, path, draft) => void (draft.sampling.topP = numberAt(value, path, 0, 1))),
};

/** What OpenAI's chat and completions endpoints add. */
export const classicSampling: ParameterTable<Draft> = {
  presence_penalty: honoured('-2 to 2', (value, path, draft) => void (draft.sampling.presencePenalty = numberAt(value, path, -2, 2))),
  frequency_penalty: honoured('-2 to 2', (value, path, draft) => void (draft.sampling.frequencyPenalty = numberAt(value, path, -2, 2))),
  stop: honoured(`a text, or up to ${stopsMax}`, (value, path, draft) => void (draft.sampling.stop = stopsAt(value, path))),
  logit_bias: honoured('token id to -100 to 100', (value, path, draft) => void (draft.sampling.logitBias = logitBiasAt(value, path))),
  n: honoured('1 to 16 answers; default 1', (value, path, draft) => void (draft.answers = integerAt(value, path, 1, 16))),
};

/** What many servers take beyond OpenAI's interface. */
export const moreSampling: ParameterTable<Draft> = {
  seed: honoured('whole number; folded to 32 bits', (value, path, draft) => void (draft.sampling.seed = foldSeed(integerAt(value, path, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)))),
  top_k: honoured('extension: at least 1; 0 or -1 is off', (value, path, draft) => {
    const topK = integerAt(value, path, -1, 1_000_000);
    if (topK > 0) draft.sampling.topK = topK;
  }),
  min_p: honoured('extension: 0 to 1', (value, path, draft) => void (draft.sampling.minP = numberAt(value, path, 0, 1))),
  repetition_penalty: honoured('extension: above 0, at most 10; 1 is none', (value, path, draft) => void (draft.sampling.repetitionPenalty = numberAt(value, path, 0.01, 10))),
  grammar: honoured('extension: GBNF grammar that the answer must follow', (value, path, draft) => void (draft.grammar = textAt(value, path, 1, 262_144))),
};

/** Effort names that reasoning models know. */
export const efforts = ['none', 'minimal', 'low', 'medium', 'high', 'xhigh'] as const;

/** What happens to the id of an end user. */
export const endUser = 'end-user id; the trace keeps the first 12 hex digits of its SHA-256 (attribute endUser), and no member is told';

/** Who asks, for what, at which service level: what every endpoint takes. */
export const identity: ParameterTable<Draft> = {
  user: honoured(endUser, (value, path, draft) => void (draft.user = textAt(value, path, 0, 512))),
  safety_identifier: honoured('taken as user where user is absent', (value, path, draft) => void (draft.safetyIdentifier = textAt(value, path, 0, 512))),
  prompt_cache_key: hint('prefixes are reused without it', (value, path) => void textAt(value, path, 0, 1024)),
  prompt_cache_retention: refused('prefixes are kept in memory only', ['in_memory', 'in-memory']),
  prompt_cache_options: refused('prefixes are kept in memory only'),
  service_tier: refused('there is one service level', ['auto', 'default']),
};

/** `metadata`: up to 16 pairs of texts. @throws {TandemError} parameter_invalid */
export function metadataAt(value: unknown, path: string): { readonly [name: string]: string } {
  const entries = Object.entries(objectAt(value, path));
  if (entries.length > 16) wrong(path, 'at most 16 pairs', value);
  return Object.fromEntries(
    entries.map(([name, text]) => {
      if (name.length > 64) wrong(path, 'names of at most 64 characters', value);
      return [name, textAt(text, `${path}.${name}`, 0, 512)];
    }),
  );
}
