/**
 * The `static` engine: vectors from a table of pieces, computed in this thread in some microseconds a text. It writes no text
 * (level Emb only). The table is read when the member is opened.
 */
import { resolve } from 'node:path';
import { bundledTable, openEmbedder } from '../../embed/bundled.ts';
import type { StaticEmbedder } from '../../embed/table.ts';
import { fail } from '../../errors.ts';
import type { MemberConfig } from '../../config.ts';
import type { Abilities, Call, Embedded, EmbedRequest, Model, ModelPart } from '../port.ts';
import { shortened } from '../shortened.ts';

/** Settings of a `static` member. */
export type StaticSettings = Extract<MemberConfig, { engine: 'static' }>;

/** Name of the bundled table in a configuration. */
export const bundledStatic = 'bundled:embedder';

/** Texts after which a long request looks whether it was cancelled and lets others in. */
const portion = 256;

/**
 * Opens a table as a model.
 * @throws {TandemError} model_file_missing, model_file_invalid
 */
export function openStaticModel(id: string, { file }: Pick<StaticSettings, 'file'>, { baseDir }: { readonly baseDir: string }): Model<'device'> {
  return new StaticModel(id, openEmbedder(file === bundledStatic ? bundledTable : resolve(baseDir, file)));
}

class StaticModel implements Model<'device'> {
  readonly id: string;
  readonly engine = 'static';
  readonly place = 'device';
  readonly abilities: Abilities;
  readonly parameters: number;
  readonly #embedder: StaticEmbedder;

  constructor(id: string, embedder: StaticEmbedder) {
    this.id = id;
    this.#embedder = embedder;
    this.parameters = embedder.parameters;
    this.abilities = { levels: ['Emb'], tools: false, formats: [], topLogprobsMax: 0, sampling: [], continuesPrefix: false, attachments: false, embeddingDimensions: embedder.size };
  }

  async *generate(): AsyncGenerator<ModelPart, void, undefined> {
    fail('ability_missing', { message: `The member "${this.id}" does not write text.`, member: this.id });
  }

  async embed({ texts, dimensions = this.#embedder.size }: EmbedRequest<'device'>, { signal }: Call): Promise<Embedded> {
    const { size } = this.#embedder;
    const member = this.id;
    if (dimensions < 1 || dimensions > size) fail('parameter_invalid', { message: `Expected 1 to ${size} dimensions, got ${dimensions}.`, param: 'dimensions', member });
    const vectors: Float32Array[] = [];
    let promptTokens = 0;
    for (const [index, text] of texts.entries()) {
      if (index % portion === portion - 1) await new Promise((done) => setImmediate(done));
      if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
      const vector = new Float32Array(size);
      const pieces = this.#embedder.embed(text, vector);
      if (pieces === 0) fail('parameter_invalid', { message: 'A text to embed has no tokens.', param: 'input', member });
      promptTokens += pieces;
      vectors.push(shortened(vector, dimensions)); // the table's dimensions stand in the order of what they tell
    }
    if (signal.aborted) fail('cancelled', { message: 'The request was cancelled.', cause: signal.reason });
    return { vectors, usage: { promptTokens, completionTokens: 0 } };
  }

  async check(): Promise<{ readonly latencyMs: number }> {
    return { latencyMs: 0 };
  }

  async close(): Promise<void> {}
}
