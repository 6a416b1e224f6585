/** What `weights/manifest.json`, which the trainer writes, says of the bundled models. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The card of a bundled model, as far as the manifest fills it in. */
export interface BundledCard {
  readonly id: string;
  /** Absolute path of the GGUF file. */
  readonly file: string;
  /** Number of weights. */
  readonly parameters?: number;
  readonly licence?: string;
  readonly quantization?: string;
  /** Size of the file. Bytes. */
  readonly bytes?: number;
  readonly sha256?: string;
  /** Tasks it was trained for, and its share of right answers on held-out items of each, 0 to 1. */
  readonly tasks: readonly { readonly name: string; readonly accuracy: number }[];
}

/** Said wherever the bundled pair is shown. */
export const bundledNote = 'The bundled models are small and narrow: good at the tasks on their cards (weights/*/README.md) and at nothing else.';

/** Folder of the bundled models. */
export const weightsFolder = fileURLToPath(new URL('../../weights/', import.meta.url));

/** The card of the bundled static embedder, which answers for `tandem/embed`. */
export interface EmbedderCard {
  /** Name and version of the table. */
  readonly id: string;
  /** Numbers in the table. */
  readonly parameters: number;
  /** Size of the file. Bytes. */
  readonly bytes: number;
  /** Length of its vectors. */
  readonly dimensions: number;
  readonly licence: string;
  /** What it was distilled from. */
  readonly teacher: string;
  /** Spearman's rank correlation of its cosines with the teacher's, by set of held-out pairs. */
  readonly spearman: Readonly<Record<string, number>>;
  /** Share of questions whose passage is among the first 1, 5, 10 (`@1`, `@5`, `@10`), by set. */
  readonly recall: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

interface Manifest {
  readonly embedder?: EmbedderCard;
  readonly members: readonly {
    readonly id: string;
    readonly parameters: number;
    readonly licence: string;
    readonly quantization: string;
    readonly bytes: number;
    readonly sha256: string;
    /** By `task/grade`. */
    readonly accuracy: Readonly<Record<string, { readonly n: number; readonly accuracy: number }>>;
  }[];
}

/**
 * The card of a bundled model; undefined when there is no such model.
 * @param folder with a slash at its end
 */
export function bundledCard(id: string, folder: string = weightsFolder): BundledCard | undefined {
  const file = `${folder}${id}/model.gguf`;
  if (!existsSync(file)) return undefined;
  const manifest = `${folder}manifest.json`;
  const entry = existsSync(manifest) ? (JSON.parse(readFileSync(manifest, 'utf8')) as Manifest).members.find((each) => each.id === id) : undefined;
  if (entry === undefined) return { id, file, tasks: [] };
  const { parameters, licence, quantization, bytes, sha256, accuracy } = entry;
  return { id, file, parameters, licence, quantization, bytes, sha256, tasks: byTask(accuracy) };
}

/** The card of the bundled embedder; undefined when it is not there. @param folder with a slash at its end */
export function embedderCard(folder: string = weightsFolder): EmbedderCard | undefined {
  const manifest = `${folder}manifest.json`;
  return existsSync(manifest) && existsSync(`${folder}embedder/table.bin`) ? (JSON.parse(readFileSync(manifest, 'utf8')) as Manifest).embedder : undefined;
}

/** Ids of the bundled models that are there, smallest first. */
export function bundledIds(folder: string = weightsFolder): readonly string[] {
  return ['nano', 'small', 'large'].filter((id) => existsSync(`${folder}${id}/model.gguf`));
}

/** Joins the grades of each task, each item counting once. */
function byTask(cells: Manifest['members'][number]['accuracy']): BundledCard['tasks'] {
  const tasks = new Map<string, { n: number; right: number }>();
  for (const [cell, { n, accuracy }] of Object.entries(cells)) {
    const name = cell.split('/')[0] ?? cell;
    const task = tasks.get(name) ?? { n: 0, right: 0 };
    tasks.set(name, { n: task.n + n, right: task.right + n * accuracy });
  }
  return [...tasks].map(([name, { n, right }]) => ({ name, accuracy: n === 0 ? 0 : right / n }));
}
