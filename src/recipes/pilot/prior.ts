/**
 * What the pilot believes before it has seen a reward. For the bundled pair: the mean accuracy on the held-out tasks of its card
 * (weights/manifest.json), read once. For other teams: only that a large model is better than a small one, more so on hard
 * requests. Worth a dozen rewards, so that a deployment's own rewards soon outweigh it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ArmSettings } from '../../assign/online/arm-model.ts';
import { featureNames } from './features.ts';

/** Quality, 0 to 1, that is expected of each side. */
export interface SideQuality {
  readonly small: number;
  readonly large: number;
  /** Where the figures come from, for the trace. */
  readonly source: 'bundled card' | 'assumed';
}

/** For teams of which nothing is known. */
export const assumed: SideQuality = { small: 0.6, large: 0.8, source: 'assumed' };

/** Of the bundled pair's card; `assumed` where the card is not there. */
export function bundledQuality(path: string = fileURLToPath(new URL('../../../weights/manifest.json', import.meta.url))): SideQuality {
  if (!existsSync(path)) return assumed;
  const { members } = JSON.parse(readFileSync(path, 'utf8')) as { members: readonly { id: string; accuracy?: Readonly<Record<string, { n: number; accuracy: number }>> }[] };
  const mean = (id: string): number | undefined => {
    const tasks = Object.values(members.find((member) => member.id === id)?.accuracy ?? {});
    const rows = tasks.reduce((sum, { n }) => sum + n, 0);
    return rows === 0 ? undefined : tasks.reduce((sum, { n, accuracy }) => sum + n * accuracy, 0) / rows;
  };
  const [small, large] = [mean('small'), mean('large')];
  return small === undefined || large === undefined ? assumed : { small, large, source: 'bundled card' };
}

/** Where an arm stands between the small side (0) and the large one (1). */
const largeness: Readonly<Record<string, number>> = { small: 0, failover: 0.3, race: 0.4, route: 0.7, cascade: 0.9, speculate: 1, large: 1 };

/** Rewards that the prior is worth. */
const worth = 12;

/** How an arm begins. @param costUsd expected before it was tried */
export function armPrior(id: string, { small, large }: SideQuality, costUsd?: number): ArmSettings {
  const share = largeness[id.split(':')[0] ?? ''] ?? 0.5;
  const size = featureNames.length;
  const mean = new Float64Array(size);
  mean[0] = small + share * (large - small);
  mean[1] = -0.2 * (1 - share); // hard requests are where a small model falls behind
  mean[featureNames.indexOf('router')] = -0.5 * (1 - share); // and those of which a trained router says so
  const precision = new Float64Array(size).fill(worth);
  return { size, quality: { mean, precision }, ...(costUsd === undefined ? {} : { costUsd }), discount: 0.9995 };
}
