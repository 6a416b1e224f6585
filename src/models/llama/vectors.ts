/**
 * Vectors of texts: the model's own pooling where its file names one, else the mean over the tokens' final states. Unit length.
 *
 * Has a context of its own, since writing and embedding want different outputs. One portion is computed at a time, so that
 * other work goes on in between. Lives in the engine thread.
 */
import { fail } from '../../errors.ts';
import type { Native, Pointer } from './bindings.ts';
import { batchTokensMax, LlamaContext } from './context.ts';
import type { Weights } from './weights.ts';

const pooling = { none: 0 } as const;

/** Embeds token lists with one model. */
export class LlamaVectors {
  readonly tokensMax: number;
  readonly #native: Native;
  readonly #context: LlamaContext;
  readonly #dimensions: number;
  readonly #encoder: boolean;
  readonly #pooled: boolean;

  /** @throws {TandemError} engine_out_of_memory */
  constructor(native: Native, weights: Weights, settings: { readonly threads: number; readonly pool: Pointer; readonly stop: Pointer; readonly tokensMax: number }) {
    this.#native = native;
    this.#encoder = !native.hasDecoder(weights.pointer) || weights.header.metadata.get(`${weights.text('general.architecture')}.attention.causal`) === false;
    this.#dimensions = native.embeddingSize(weights.pointer);
    this.#context = new LlamaContext(native, weights, { ...settings, cells: settings.tokensMax, layout: 'apart', sequences: 1, embeddings: true });
    this.#pooled = native.poolingType(this.#context.pointer) > pooling.none;
    // what looks at all tokens at once must have them in one batch
    this.tokensMax = this.#encoder || this.#pooled ? Math.min(settings.tokensMax, batchTokensMax) : settings.tokensMax;
  }

  /** Applies an adapter to what is embedded from now on; 0n for none. Not while a text is embedded. */
  useAdapter(adapter: Pointer, scale: number): void {
    this.#context.useAdapter(adapter, scale);
  }

  /** Embeds one text in portions: each `next()` computes one. @throws {TandemError} context_too_long, parameter_invalid, engine_failed */
  *embed(tokens: readonly number[]): Generator<undefined, Float32Array> {
    if (tokens.length === 0) fail('parameter_invalid', { message: 'A text to embed has no tokens.', param: 'input' });
    if (tokens.length > this.tokensMax) fail('context_too_long', { message: `A text to embed has ${tokens.length} tokens, more than ${this.tokensMax}.`, param: 'input' });
    const sum = new Float64Array(this.#dimensions);
    this.#native.memoryClear(this.#context.memory, false);
    for (let at = 0; at < tokens.length; ) {
      const count = Math.min(batchTokensMax, tokens.length - at);
      // outputs are bounded by the context's, except that pooling needs them all
      const portion = this.#pooled || this.#encoder ? count : Math.min(count, this.#context.outputsMax);
      for (let n = 0; n < portion; n++) this.#context.add(tokens[at + n] as number, at + n, 0, true);
      if (this.#decode() !== 'done') fail('engine_failed', 'The engine could not embed a text.');
      if (this.#pooled) this.#add(sum, this.#native.embeddingOfSequence(this.#context.pointer, 0));
      else for (let n = 0; n < portion; n++) this.#add(sum, this.#native.embeddingAt(this.#context.pointer, n));
      at += portion;
      if (at < tokens.length) yield undefined;
    }
    return unit(sum);
  }

  /** Frees the context. */
  free(): void {
    this.#context.free();
  }

  #decode(): string {
    return this.#encoder && !this.#context.memory ? this.#context.encode() : this.#context.compute();
  }

  #add(sum: Float64Array, pointer: Pointer | null): void {
    if (pointer === null) fail('engine_failed', 'The engine gave no vector.');
    const vector = new Float32Array(this.#native.view(pointer, 4 * this.#dimensions));
    for (let n = 0; n < vector.length; n++) sum[n] = (sum[n] as number) + (vector[n] as number);
  }
}

function unit(sum: Float64Array): Float32Array {
  let square = 0;
  for (const x of sum) square += x * x;
  const length = Math.sqrt(square);
  if (!(length > 0) || !Number.isFinite(length)) fail('engine_failed', 'The engine gave a vector without a length.');
  return Float32Array.from(sum, (x) => x / length);
}
