/**
 * Finds OpenAI-compatible servers that run on this machine, by asking the usual loopback ports for their models with a
 * short time-out. What a server can do is told by who it says owns the models.
 */
import type { ConfigInput } from '../config.ts';

/** Where to knock. */
export interface ServerPort {
  readonly name: string;
  readonly port: number;
}

/** A model that a running server offers. */
export interface ServedModel {
  /** Name of the server program. */
  readonly server: string;
  readonly baseUrl: string;
  readonly model: string;
}

/** The ports at which Ollama, llama.cpp, vLLM and LM Studio listen unless told otherwise. */
export const usualPorts: readonly ServerPort[] = [
  { name: 'Ollama', port: 11_434 },
  { name: 'llama.cpp', port: 8_080 },
  { name: 'vLLM', port: 8_000 },
  { name: 'LM Studio', port: 1_234 },
];

const owners: Readonly<Record<string, string>> = { library: 'Ollama', llamacpp: 'llama.cpp', vllm: 'vLLM', organization_owner: 'LM Studio' };
const bodyBytesMax = 1_048_576;

/**
 * The models of all servers that answer, embedders left out.
 * @param timeoutMs for each server, from connecting to the last byte
 */
export async function findServers(ports: readonly ServerPort[] = usualPorts, timeoutMs = 600): Promise<readonly ServedModel[]> {
  return (await Promise.all(ports.map((each) => modelsAt(each, timeoutMs)))).flat();
}

async function modelsAt({ name, port }: ServerPort, timeoutMs: number): Promise<readonly ServedModel[]> {
  const { request } = await import('undici');
  const baseUrl = `http://127.0.0.1:${port}/v1`;
  try {
    const { statusCode, headers, body } = await request(`${baseUrl}/models`, { signal: AbortSignal.timeout(timeoutMs) });
    if (statusCode !== 200 || Number(headers['content-length'] ?? 0) > bodyBytesMax) {
      await body.dump();
      return [];
    }
    const { data } = (await body.json()) as { data?: readonly { readonly id?: unknown; readonly owned_by?: unknown }[] };
    if (!Array.isArray(data)) return [];
    return data.flatMap(({ id, owned_by: owner }: { id?: unknown; owned_by?: unknown }) =>
      typeof id === 'string' && !/embed/i.test(id) ? [{ server: owners[String(owner)] ?? name, baseUrl, model: id }] : [],
    );
  } catch {
    return []; // nobody there, or not this protocol
  }
}

type Member = NonNullable<ConfigInput['members']>[string];

/** The settings of a member for a served model. Models that Ollama passes on to its cloud are at the place `cloud`. */
export function servedSettings({ server, baseUrl, model }: ServedModel): Member {
  const place = /[:-]cloud$/.test(model) ? ('cloud' as const) : ('device' as const);
  const common = { engine: 'openai' as const, baseUrl, model, place };
  if (server === 'vLLM') return { ...common, logprobs: true, promptLogprobs: 'vllm', continuesPrefix: 'vllm' };
  return server === 'llama.cpp' ? { ...common, logprobs: true, extensions: ['top_k', 'min_p', 'grammar'] } : common;
}

/** Billions of parameters, as far as a model's name tells: `qwen2.5:7b` is 7, `smollm-135m` is 0.135. */
export function billionsInName(model: string): number | undefined {
  const match = /(?:^|[^a-z0-9.])(\d+(?:\.\d+)?)\s*([bm])(?![a-z])/i.exec(model);
  return match === null ? undefined : Number(match[1]) / (match[2]?.toLowerCase() === 'm' ? 1000 : 1);
}
