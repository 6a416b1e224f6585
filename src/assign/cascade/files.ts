/** What a file of the recipe `cascade` can be: a trained cascade, a scorer of answers, a detector of unusual requests, or the stages of a task. */
import { fail } from '../../errors.ts';
import { AnswerScorer, scorerSchema, type Answered, type SavedScorer } from '../answers/scorer.ts';
import { Detector, detectorSchema } from '../risk/detector.ts';
import { scaled } from '../trained.ts';
import { decodePlan, type CascadePlan } from './plan.ts';
import { stagesOf, type StagesFile } from './stages.ts';

/** Gives the probability that an answer is right. */
export interface LoadedScorer {
  readonly member: string;
  readonly rows: number;
  readonly date: string;
  probability(answered: Answered): number;
}

/** A file that was read. */
export type CascadeFile = { readonly type: 'plan'; readonly plan: CascadePlan } | { readonly type: 'scorer'; readonly scorer: LoadedScorer } | { readonly type: 'detector'; readonly detector: Detector } | { readonly type: 'stages'; readonly stages: StagesFile };

/** Reads a file's text. @throws {TandemError} router_file_invalid */
export function decodeCascadeFile(text: string): CascadeFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail('router_file_invalid', { message: 'The file is not JSON.', cause });
  }
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
  if (kind === 'tandem-cascade') return { type: 'plan', plan: decodePlan(text) };
  if (kind === 'tandem-stages') return { type: 'stages', stages: stagesOf(value) };
  if (kind === 'tandem-scorer') {
    const read = scorerSchema.safeParse(value);
    if (read.success) return { type: 'scorer', scorer: loadedScorer(read.data) };
  } else if (kind === 'tandem-detector') {
    const read = detectorSchema.safeParse(value);
    if (read.success) return { type: 'detector', detector: new Detector(read.data) };
  } else return fail('router_file_invalid', 'The file is no trained cascade, scorer, detector or list of stages.');
  return fail('router_file_invalid', 'The file is damaged or of another version.');
}

function loadedScorer(saved: SavedScorer): LoadedScorer {
  const scorer = AnswerScorer.load(saved);
  return { member: saved.member, rows: saved.rows, date: saved.date, probability: (answered) => scaled(-scorer.score(answered), saved.calibration) };
}
