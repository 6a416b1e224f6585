/** Vectors of Tandem for the AI SDK (specification v4). */
import type { EmbeddingModelV4, EmbeddingModelV4CallOptions, EmbeddingModelV4Result } from '@ai-sdk/provider';
import { fail } from '../errors.ts';
import { forCaller, resolveModel } from './language-model.ts';
import type { RuntimeView } from './language-model.ts';

/** A member that offers vectors as an AI SDK embedding model. */
export class TandemEmbeddingModel implements EmbeddingModelV4 {
  readonly specificationVersion = 'v4';
  readonly provider = 'tandem';
  readonly modelId: string;
  readonly maxEmbeddingsPerCall = 2_048;
  readonly supportsParallelCalls = true;
  readonly #runtime: () => Promise<RuntimeView>;

  constructor(modelId: string, runtime: () => Promise<RuntimeView>) {
    this.modelId = modelId;
    this.#runtime = runtime;
  }

  async doEmbed({ values, dimensions, abortSignal, providerOptions }: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result> {
    try {
      const [option] = Object.keys(providerOptions?.['tandem'] ?? {});
      if (option !== undefined) fail('parameter_unsupported', { message: 'Vectors take no options of a request; name a member of the place that you want as the model.', param: `providerOptions.tandem.${option.slice(0, 64)}` });
      const runtime = await this.#runtime();
      if (runtime.embed === undefined) fail('ability_missing', 'This runtime gives no vectors.');
      const request = { model: resolveModel(this.modelId, runtime), texts: values, key: undefined, ...(dimensions === undefined ? {} : { dimensions }) };
      const { vectors, usage } = await runtime.embed(request, abortSignal ?? new AbortController().signal);
      return { embeddings: vectors.map((vector) => [...vector]), usage: { tokens: usage.promptTokens }, warnings: [] };
    } catch (error) {
      throw await forCaller(error, this.modelId, abortSignal);
    }
  }
}
