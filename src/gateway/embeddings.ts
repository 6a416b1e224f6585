/** POST /v1/embeddings: parameters, and vectors as numbers or base64. */
import { fail } from '../errors.ts';
import type { EmbeddingRequest } from '../embedding.ts';
import { newTraceId } from '../trace/trace-id.ts';
import { dollars } from './endpoint.ts';
import type { Handler } from './http/router.ts';
import { compileTable, honoured, readParameters, type ParameterTable } from './parameters/parameter.ts';
import { integerAt, listAt, oneOf, textAt, unsupported, wrong, type JsonObject } from './parameters/reading.ts';
import { endUser } from './parameters/sampling.ts';
import type { GatewayRuntime } from './runtime.ts';

/** An embeddings request while its body is being read. */
export interface EmbeddingDraft {
  model: string | undefined;
  texts: readonly string[];
  dimensions: number | undefined;
  base64: boolean;
  user: string | undefined;
}

/** The table of the embeddings endpoint. */
export const embeddingsTable: ParameterTable<EmbeddingDraft> = {
  model: honoured('a member id, or tandem/auto for the first member that offers vectors', (value, path, draft) => void (draft.model = textAt(value, path, 1, 256))),
  input: honoured('a text, or 1 to 2048 texts', (value, path, draft) => void (draft.texts = textsAt(value, path))),
  dimensions: honoured('keep only this many; at least 1', (value, path, draft) => void (draft.dimensions = integerAt(value, path, 1, 65_536))),
  encoding_format: honoured('float (default) or base64', (value, path, draft) => void (draft.base64 = oneOf(value, path, ['float', 'base64']) === 'base64')),
  user: honoured(endUser, (value, path, draft) => void (draft.user = textAt(value, path, 0, 512))),
};

const parameters = compileTable(embeddingsTable);

function textsAt(value: unknown, path: string): readonly string[] {
  if (typeof value === 'string') return [textAt(value, path, 1)];
  const list = listAt(value, path, 1, 2_048);
  if (list.every((entry) => typeof entry === 'number' || Array.isArray(entry))) unsupported(path, 'token ids differ between members; send text');
  return list.map((entry, index) => (typeof entry === 'string' ? textAt(entry, `${path}[${index}]`, 1) : wrong(`${path}[${index}]`, 'a text', entry)));
}

function readEmbedding(body: JsonObject): EmbeddingDraft {
  if (body.input === undefined || body.input === null) fail('parameter_missing', { message: 'input is required.', param: 'input' });
  const draft: EmbeddingDraft = { model: undefined, texts: [], dimensions: undefined, base64: false, user: undefined };
  readParameters(body, parameters, draft);
  return draft;
}

/** The handler of the endpoint. */
export function embeddingsHandler(runtime: GatewayRuntime): Handler {
  return async (call) => {
    const draft = readEmbedding(await call.readJson());
    const id = newTraceId(runtime.clock.wallMs(), runtime.random);
    call.traceId = id;
    call.untraced = undefined;
    const model = draft.model ?? runtime.config.defaultModel;
    const request: EmbeddingRequest = {
      model,
      texts: draft.texts,
      key: call.key,
      ...(draft.dimensions === undefined ? {} : { dimensions: draft.dimensions }),
      ...(draft.user === undefined ? {} : { user: draft.user }),
    };
    const { vectors, usage, traceId, costUsd, member } = await runtime.embed(request, call.signal, id);
    const data = vectors.map((vector, index) => ({ object: 'embedding', index, embedding: draft.base64 ? base64Of(vector) : Array.from(vector) }));
    const body = { object: 'list', data, model: member, usage: { prompt_tokens: usage.promptTokens, total_tokens: usage.promptTokens } };
    call.json(200, body, ['x-tandem-trace', traceId, 'x-tandem-recipe', 'embed', 'x-tandem-cost-usd', dollars(costUsd)]);
  };
}

/** Little-endian 32-bit floats in base64, as OpenAI's clients decode them. */
function base64Of(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
}
