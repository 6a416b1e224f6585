/**
 * A Tandem gateway elsewhere, as a runtime for the provider: requests go over HTTP through the `openai` engine. Policy and recipe
 * knobs travel as the `tandem` object of the body; the gateway checks them.
 */
import { fail } from '../errors.ts';
import { configSchema, samplingExtensions } from '../config.ts';
import type { Part, Received } from '../exchange.ts';
import { systemClock } from '../system/clock.ts';
import { systemRandom } from '../system/random.ts';
import { openOpenAiModel } from '../models/openai/index.ts';
import type { OpenAiCompatible, OpenAiSettings } from '../models/openai/index.ts';
import type { ModelPart } from '../models/port.ts';
import type { RuntimeView, TraceView } from './language-model.ts';

/** Where the gateway is. */
export interface RemoteSettings {
  /** Address up to and including /v1, such as http://127.0.0.1:8484/v1. */
  readonly baseURL: string;
  /** Key of the gateway. Default: the variable TANDEM_API_KEY, else none. */
  readonly apiKey?: string;
  /** More headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A runtime that asks a gateway. @throws {TandemError} config_invalid */
export function remoteRuntime({ baseURL, apiKey = process.env['TANDEM_API_KEY'], headers = {} }: RemoteSettings): RuntimeView {
  const opened = new Map<string, Promise<OpenAiCompatible>>();
  const open = (model: string): Promise<OpenAiCompatible> => {
    let known = opened.get(model);
    if (known === undefined) opened.set(model, (known = openOpenAiModel(model, settingsFor(baseURL, model, headers), { baseDir: '.', env: { TANDEM_API_KEY: apiKey }, clock: systemClock, random: systemRandom })));
    return known;
  };
  const settingsFor = (baseUrl: string, model: string, extra: Readonly<Record<string, string>>): OpenAiSettings => {
    const member = { engine: 'openai' as const, baseUrl, model, place: 'edge' as const, headers: { ...extra }, embeddings: true, attachments: true, logprobs: true, extensions: [...samplingExtensions], retriesMax: 0, ...(apiKey === undefined ? {} : { apiKeyEnv: 'TANDEM_API_KEY' }) };
    return configSchema.shape.members.parse({ remote: member })['remote'] as OpenAiSettings;
  };
  if (!URL.canParse(baseURL)) fail('config_invalid', { message: 'baseURL: expected the address of a Tandem gateway.', param: 'baseURL' });
  return {
    async handle(received, signal) {
      const model = await open(received.model);
      const trace = new RemoteTrace();
      return { trace, parts: labelled(model.generate({ prompt: received.prompt, sampling: received.sampling, ...tandemField(received) }, { signal, whole: received.whole === true }), received, trace) };
    },
    async embed({ model, texts, dimensions }, signal) {
      const { vectors, usage } = await (await open(model)).embed!({ texts, ...(dimensions === undefined ? {} : { dimensions }) }, { signal });
      return { vectors, usage };
    },
    async close() {
      await Promise.all([...opened.values()].map(async (model) => (await model).close()));
    },
  };
}

/** The body's `tandem` object, in the words of HTTP; nothing where the request asks for nothing. */
function tandemField({ policy: { privacyClass, ...policy }, knobs }: Received): { readonly more?: Readonly<Record<string, unknown>> } {
  const tandem = { ...policy, ...(privacyClass === undefined ? {} : { privacy: privacyClass }), ...(Object.keys(knobs).length === 0 ? {} : { knobs }) };
  return Object.keys(tandem).length === 0 ? {} : { more: { tandem } };
}

/** What is known of a trace that another machine keeps. */
class RemoteTrace implements TraceView {
  readonly id = '';
  readonly recipe = '';
  readonly shares = {};
  #usage: ReturnType<TraceView['usage']> = { promptTokens: 0, cachedPromptTokens: 0, completionTokens: 0, costUsd: 0 };

  usage(): ReturnType<TraceView['usage']> {
    return this.#usage;
  }
  count({ usage }: Extract<ModelPart, { type: 'finish' }>): void {
    this.#usage = { ...this.#usage, promptTokens: usage.promptTokens, cachedPromptTokens: usage.cachedPromptTokens ?? 0, completionTokens: usage.completionTokens, ...(usage.reasoningTokens === undefined ? {} : { reasoningTokens: usage.reasoningTokens }) };
  }
}

async function* labelled(parts: AsyncIterable<ModelPart>, received: Received, trace: RemoteTrace): AsyncGenerator<Part, void, undefined> {
  for await (const part of parts) {
    if (part.type === 'finish') {
      trace.count(part);
      yield { type: 'finish', answer: 0, member: received.model, reason: part.reason };
    } else {
      yield { ...part, answer: 0, member: received.model };
    }
  }
}
