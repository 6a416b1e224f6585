/** The learners by name, and restoring of predictors. */
import { fail } from '../../errors.ts';
import { embeddedLearners, loadEmbedded } from './embedded.ts';
import { ensemble, loadEnsemble } from './ensemble.ts';
import type { Learner, Predictor, SavedPredictor } from './learner.ts';
import { difficultyRouter, linear, loadLinear, qualityGap } from './linear.ts';
import { loadNeighbours, modelCard, neighbours } from './neighbours.ts';
import { loadSemantic, semantic } from './semantic.ts';
import { loadMultiMetric, multiMetric } from './multi-metric.ts';
import { labelFree, loadProbed } from './teaching.ts';

/** Every learner. */
export const learners: ReadonlyMap<string, Learner> = new Map([ensemble, linear, qualityGap, difficultyRouter, ...embeddedLearners, neighbours, semantic, modelCard, labelFree, multiMetric].map((learner) => [learner.kind, learner]));

/** The predictor that a saved one stands for. @throws {TandemError} router_file_invalid */
export function restore(saved: SavedPredictor): Predictor {
  switch (saved.kind) {
    case 'linear':
    case 'quality-gap':
    case 'difficulty':
      return loadLinear(saved);
    case 'factorisation':
    case 'reward-distilled':
    case 'contrastive':
    case 'sparse-gate':
      return loadEmbedded(saved);
    case 'semantic':
      return loadSemantic(saved);
    case 'neighbours':
    case 'model-card':
      return loadNeighbours(saved);
    case 'ensemble':
      return loadEnsemble(saved, (saved.parts ?? []).map(restore));
    case 'multi-metric':
      return loadMultiMetric(saved, (saved.parts ?? []).map(restore));
    case 'probed':
      return loadProbed(saved, restore(saved.parts?.[0] ?? fail('router_file_invalid', 'A part of the router is missing.')));
    default:
      return fail('router_file_invalid', 'The file holds a kind of router that this version does not know.');
  }
}
