/**
 * Every setting: what it is, unit, range, default. `tandem.config.ts` exports `defineConfig({...})`.
 *
 * Secrets never stand here: fields ending in `Env` name an environment variable. `parseConfig` names every mistake with
 * its path, what was expected and what came. `docs/configuration.md` is made from this file (`npm run docs`).
 */
import { z } from 'zod';
import { mistakesOf } from './config-mistakes.ts';
import { fail } from './errors.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9._:-]{0,63}$/i, 'letters, digits, ".", "_", ":", "-", at most 64');
const role = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'lower-case letters, digits and "-"');
const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable: letters, digits, "_"');
const place = z.enum(['device', 'edge', 'cloud']);
const ms = (fallback: number, about: string): z.ZodDefault<z.ZodNumber> => z.number().int().min(1).max(86_400_000).default(fallback).describe(`${about} Milliseconds.`);

/** Parameters beyond OpenAI's that a server can honour; a Tandem gateway honours all. */
export const samplingExtensions = ['top_k', 'min_p', 'repetition_penalty', 'grammar'] as const;

const price = z
  .strictObject({
    inputUsdPerMillionTokens: z.number().min(0).describe('Dollars a million prompt tokens.'),
    cachedInputUsdPerMillionTokens: z.number().min(0).optional().describe('Dollars a million prompt tokens that the server had cached. Default: the input price.'),
    outputUsdPerMillionTokens: z.number().min(0).describe('Dollars a million answer tokens.'),
    asOf: z.iso.date().describe('Date on which the price was read.'),
  })
  .describe('Price of the member. Default: free on device and edge; in the cloud the built-in list price of its model name, and not known where that is not listed. A member whose price is not known is refused where dollars are limited.');

const energy = z
  .strictObject({
    joulePerInputToken: z.number().min(0).describe('Joules a prompt token.'),
    joulePerOutputToken: z.number().min(0).describe('Joules an answer token.'),
    source: z.string().min(1).describe('Where the figures come from.'),
  })
  .describe('Energy profile, used where energy cannot be measured. Default: a stated profile by place.');

const attachmentTokensMax = z
  .number()
  .int()
  .min(1)
  .max(100_000_000)
  .optional()
  .describe('Prompt tokens that one picture, sound or file comes to at most; set aside for each where dollars are limited. Default: 49152 for a picture; sounds and files have no bound, and are refused where dollars are limited.');

const common = {
  roles: z.array(role).min(1).optional().describe('Roles that the member fills. Default: its own name.'),
  price: price.optional(),
  energy: energy.optional(),
};

const adapters = z.record(name, z.strictObject({ file: z.string().min(1).describe('Path of a GGUF LoRA adapter.'), scale: z.number().min(-10).max(10).default(1).describe('Strength.') })).default({}).describe('LoRA adapters that requests may name.');

/** What `adaptersFile` of a member holds: adapters, and which of them to apply; `null` for none, absent for what the configuration says. */
export const adaptersFileSchema = z.strictObject({ adapters, adapter: name.nullable().optional().describe('Adapter that is applied when a request names none.') });

/** The content of an `adaptersFile`. */
export type AdaptersFile = z.infer<typeof adaptersFileSchema>;

const llama = z
  .strictObject({
    engine: z.literal('llama'),
    file: z.string().min(1).describe('Path of a GGUF file, relative to the configuration; or the name of a pulled model; or `bundled:<id>`.'),
    place: z.literal('device').default('device').describe('In process, so always `device`.'),
    contextTokensMax: z.number().int().min(64).max(1_048_576).optional().describe('Tokens of context for each request. Default: what the file was trained for, at most 8192.'),
    sequencesMax: z.number().int().min(1).max(64).default(4).describe('Prompts held at once; more requests wait their turn.'),
    threads: z.number().int().min(1).max(512).optional().describe('CPU threads for computing. Default: the physical cores, at most 8; for files below 96 MiB 1, since the threads of small models mostly wait for each other and suffer from whatever else runs (on two idle cores 2 wrote 1.7 times the tokens a second).'),
    gpuLayers: z.number().int().min(0).max(1000).default(0).describe('Layers to put on a GPU, with a GPU build of the engine.'),
    embeddings: z.boolean().default(false).describe('Offer vectors (level Emb).'),
    adapters,
    adapter: name.optional().describe('Adapter that is applied when a request names none.'),
    adaptersFile: z.string().min(1).optional().describe('JSON file with further adapters and the one to apply ({"adapters": {...}, "adapter": "..."}), read again whenever it changes (docs/training.md).'),
    ...common,
  })
  .describe('A GGUF model in this process (llama.cpp).');

const openai = z
  .strictObject({
    engine: z.literal('openai'),
    baseUrl: z.url({ protocol: /^https?$/ }).refine(isPlainAddress, 'an address without user name, password, query and fragment').describe('Address of the server up to and including /v1. Keys go into apiKeyEnv.'),
    model: z.string().min(1).describe('Model name that the server knows.'),
    place: place.default('cloud').describe('Who can read what reaches the server.'),
    apiKeyEnv: variable.optional().describe('Environment variable that holds the API key.'),
    headers: z.record(z.string(), z.string()).default({}).describe('Headers to send with each request. Not for secrets.'),
    contextTokensMax: z.number().int().min(64).optional().describe('Prompt and answer tokens together. Default: unknown, the server decides.'),
    logprobs: z.boolean().default(false).describe('The server reports log-probabilities (level L1).'),
    topLogprobsMax: z.number().int().min(0).max(20).default(20).describe('Alternatives a token that the server can report.'),
    promptLogprobs: z.enum(['none', 'vllm', 'echo']).default('none').describe('How the server scores given text (level L2): vLLM\'s prompt_logprobs, or echo on /completions.'),
    embeddings: z.boolean().default(false).describe('The server offers /embeddings (level Emb).'),
    tools: z.boolean().default(true).describe('The model takes tools.'),
    jsonSchema: z.boolean().default(true).describe('The server enforces response_format json_schema.'),
    continuesPrefix: z.enum(['none', 'vllm', 'last-assistant']).default('none').describe('How the server continues a given prefix: vLLM\'s continue_final_message, or by ending the messages with an assistant message.'),
    extensions: z.array(z.enum(samplingExtensions)).default([]).describe('Parameters beyond OpenAI\'s that the server honours under these names: vLLM the first three (known from the two settings above, too), llama.cpp all but repetition_penalty, another Tandem all four. Others are refused.'),
    attachments: z.boolean().default(false).describe('The model takes pictures, sound or files.'),
    attachmentTokensMax,
    tokensMaxField: z.enum(['max_completion_tokens', 'max_tokens']).default('max_tokens').describe('Name of the field for the length limit.'),
    connectionsMax: z.number().int().min(1).max(4096).default(128).describe('Connections to the server.'),
    connectTimeoutMs: ms(5_000, 'Time to connect.'),
    firstTokenTimeoutMs: ms(60_000, 'Time to the first byte of the answer.'),
    betweenTokensTimeoutMs: ms(30_000, 'Time between two pieces of a streamed answer.'),
    totalTimeoutMs: ms(600_000, 'Time to the end of the answer.'),
    retriesMax: z.number().int().min(0).max(10).default(2).describe('Retries, with jitter, where the server did nothing for the request: no connection, 408, 429, 5xx. A request that was sent and whose connection was lost is not sent again: it may have been read, and charged for.'),
    retryAfterMsMax: ms(10_000, 'Time that a call waits at most because the server asks for it (Retry-After), all retries together. Where it asks for longer, or where another member can take over and it asks for more than a quarter of a second, the failure is handed on at once, with the time.'),
    ...common,
  })
  .describe('Any OpenAI-compatible server.');

const aiSdk = z
  .strictObject({
    engine: z.literal('ai-sdk'),
    model: z.custom<object>((value) => typeof value === 'object' && value !== null && 'doStream' in value, 'an AI SDK language model').describe('An AI SDK language model object, such as `openai("gpt-4.1-mini")`.'),
    place: place.default('cloud').describe('Who can read what reaches the model.'),
    contextTokensMax: z.number().int().min(64).optional().describe('Prompt and answer tokens together. Default: unknown.'),
    tools: z.boolean().default(true).describe('The model takes tools.'),
    attachmentTokensMax,
    ...common,
  })
  .describe('A language model of the AI SDK.');

const recorded = z
  .strictObject({
    engine: z.literal('recorded'),
    file: z.string().min(1).describe('JSON Lines: {"prompt", "answer", "correct"?, "promptTokens"?, "completionTokens"?, "tokens"?}, see docs/levels.md.'),
    member: z.string().optional().describe('Which member of a file with several to replay.'),
    place: place.default('cloud').describe('Where the answers came from.'),
    tokensPerSecond: z.number().min(0).default(0).describe('Pace of the replay; 0 is at once.'),
    ...common,
  })
  .describe('Answers that a real model gave, replayed.');

const staticTable = z
  .strictObject({
    engine: z.literal('static'),
    file: z.string().min(1).default('bundled:embedder').describe('Path of a table that the trainer wrote, relative to the configuration; or `bundled:embedder`.'),
    place: z.literal('device').default('device').describe('In process, so always `device`.'),
    ...common,
  })
  .describe('Vectors from a table of pieces, without a model call (level Emb only; docs/embedder.md).');

const member = z.discriminatedUnion('engine', [llama, openai, aiSdk, recorded, staticTable]);

const key = z.strictObject({
  name: name.describe('Name that traces and metrics show.'),
  keyEnv: variable.optional().describe('Environment variable that holds the key.'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 hex digits').optional().describe('SHA-256 of the key, instead of keyEnv.'),
  models: z.array(z.string()).optional().describe('Model ids that the key may use. Default: all.'),
  requestsPerMinute: z.number().int().min(1).optional().describe('Requests in any 60 seconds. Kept by each process for all of its threads. Default: unlimited.'),
  tokensPerMinute: z.number().int().min(1).optional().describe('Prompt and answer tokens in any 60 seconds. A running request counts with its prompt, estimated, and with its answer once it has ended, so the answers of requests that run at the same time can pass the limit together; further requests are then refused (rate_limited) until there is room. Kept by each process for all of its threads. Default: unlimited.'),
  costUsdPerDay: z.number().min(0).optional().describe('Dollars a day (UTC). Each call sets its worst case aside before it starts, so requests that run at the same time, in whichever threads, cannot overspend together: a prompt token for each byte and all answer tokens; where less is left, what is left, with fewer answer tokens, as long as it pays for a prompt token for three bytes and one answer token; else it is refused (budget_exhausted). Kept by each process: it reads once what the store knows of the day and then counts its own requests, so several processes that share a store can spend up to this much each. Default: unlimited.'),
  admin: z.boolean().default(false).describe('May read the traces of every key.'),
});

const gateway = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on.'),
    port: z.number().int().min(0).max(65_535).default(8484).describe('Port to listen on; 0 picks a free one.'),
    keys: z.array(key).default([]).describe('Keys that callers may show. Empty: no key is asked for, which is allowed on a loopback address only.'),
    bodyBytesMax: z.number().int().min(1_024).max(268_435_456).default(8_388_608).describe('Size of a request body. Bytes.'),
    headerBytesMax: z.number().int().min(1_024).max(1_048_576).default(16_384).describe('Size of the request headers. Bytes.'),
    requestTimeoutMs: ms(30_000, 'Time for the client to finish sending its request.'),
    writeTimeoutMs: ms(30_000, 'Time that a client may take nothing of its answer before it is disconnected.'),
    idleTimeoutMs: ms(72_000, 'Time that an idle connection is kept.'),
    shutdownTimeoutMs: ms(30_000, 'Time for running answers to finish and be taken by their clients when the gateway stops.'),
    concurrentMax: z.number().int().min(1).max(100_000).default(1_024).describe('Requests in flight; more are answered `overloaded`.'),
    threads: z
      .union([z.literal('auto'), z.number().int().min(1).max(64)])
      .default(1)
      .describe('Threads that answer requests, all on one port (Linux; no member may run in this process, nor the store lie in memory). Each takes some 100 MB under load. `auto`: one a core, at most 4, or 1 where several cannot work.'),
    hosts: z
      .array(z.string().min(1))
      .default([])
      .describe('Names (header Host, without port) under which a gateway without keys may be called, beside localhost, 127.0.0.1, [::1] and gateway.host; "*" for any. Others are refused, so that no web page reaches it under a name of its own (DNS rebinding).'),
    corsOrigins: z.array(z.string()).default([]).describe('Origins of browsers that may call; "*" for any.'),
  })
  .describe('The HTTP server.');

const policy = z
  .strictObject({
    objective: z.enum(['quality', 'balanced', 'cost', 'latency', 'private']).default('balanced').describe('What `tandem/auto` favours.'),
    privacyClass: z.enum(['open', 'standard', 'confidential']).default('standard').describe('`open` masks nothing, `standard` masks before any cloud member, `confidential` uses no cloud member.'),
    costUsdMaxPerRequest: z.number().min(0).optional().describe('Dollars that a request may cost. Default: unlimited.'),
    totalMsMax: ms(600_000, 'Time that a request may take.'),
    costUsdPerDay: z.number().min(0).optional().describe('Dollars that all requests together may cost a day (UTC), over all replicas that share a store. Default: unlimited.'),
    costUsdPerMonth: z.number().min(0).optional().describe('Dollars that all requests together may cost a month (UTC), over all replicas that share a store. Default: unlimited.'),
    paidFirst: z
      .enum(['value', 'arrival'])
      .default('value')
      .describe('Who gets the dollars of costUsdPerDay and costUsdPerMonth while they are short: `value`: those requests to `tandem/auto` that are expected to gain most for a dollar (needs pilot.learn; docs/pilot.md); `arrival`: whoever comes first.'),
    answerTokensMax: z.number().int().min(1).default(4_096).describe('Answer tokens that a request may ask for.'),
    answerTokensDefault: z.number().int().min(1).default(512).describe('Answer tokens when the request says nothing.'),
  })
  .describe('Limits that hold for every request; a request may tighten, never loosen them.');

const pilot = z
  .strictObject({
    learn: z.boolean().default(true).describe('Whether `tandem/auto` learns from rewards. Where no rewards come in, its rules decide alone either way.'),
    explore: z.number().min(0).max(0.5).default(0.05).describe('Share of requests that try other ways once rewards come in, 0 to 0.5.'),
    holdout: z.number().min(0.01).max(0.5).default(0.05).describe('Share of requests that the rules keep while the learned policy is in force, 0.01 to 0.5.'),
    rewardsMin: z.number().int().min(1).max(100_000).default(20).describe('Rewards under an objective before anything is tried.'),
    rewardDaysMax: z.number().int().min(1).max(365).default(7).describe('Days after which a judgement of an answer no longer teaches.'),
  })
  .describe('How `tandem/auto` learns; see docs/pilot.md.');

const guard = z
  .strictObject({
    messageCharactersMax: z.number().int().min(1).default(1_000_000).describe('Characters of one message.'),
    messagesMax: z.number().int().min(1).default(2_048).describe('Messages of one request.'),
    controlCharacters: z.enum(['refuse', 'strip', 'allow']).default('strip').describe('What happens to control characters other than tab and line ends.'),
    answerCharactersMax: z.number().int().min(1).default(4_000_000).describe('Characters of one answer; a longer one is cut off with finish reason content_filter.'),
  })
  .describe('First guards of input and output.');

const privacy = z
  .strictObject({
    detect: z.array(z.enum(['email', 'phone', 'card', 'iban', 'key'])).default(['email', 'phone', 'card', 'iban', 'key']).describe('Kinds of private values to mask before cloud members.'),
  })
  .describe('What is masked.');

const store = z
  .strictObject({
    path: z.string().min(1).default('.tandem/tandem.sqlite').describe('File of the embedded store, relative to the configuration; `:memory:` keeps nothing.'),
    flushMs: z.number().int().min(5).max(1_000).default(50).describe('Traces are written at least this often. Milliseconds.'),
    traceDaysMax: z.number().int().min(1).max(3_650).default(30).describe('Days that traces are kept.'),
  })
  .describe('Where traces and records are kept.');

const telemetry = z
  .strictObject({
    otlpUrl: z.url({ protocol: /^https?$/ }).optional().describe('OTLP/HTTP endpoint for traces, such as http://127.0.0.1:4318/v1/traces. Default: the variable OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, else OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces, else off.'),
    serviceName: z.string().min(1).default('tandem').describe('service.name of the exported spans.'),
  })
  .describe('Where traces are sent.');

/** The schema of `tandem.config.ts`. */
export const configSchema = z.strictObject({
  members: z.record(name, member).default({}).describe('The team, by member id. Default: the bundled pair. Where `small` and `large` are the bundled models, `cascade` begins with the threshold that was chosen on their development tasks (min-probability, 0.78).'),
  defaultModel: z.string().default('tandem/auto').describe('Model id for requests that name no model.'),
  aliases: z.record(z.string(), z.string()).default({}).describe('Other model ids, such as "gpt-4o", and the id that answers for them. Not ids of recipes or members.'),
  recipes: z.record(name, z.record(z.string(), z.unknown())).default({}).describe('Defaults of recipe knobs, by recipe.'),
  routers: z.record(name, z.string()).default({}).describe('Trained routers for the recipe "route": a name and the path of a file by `tandem train router`, relative to the configuration.'),
  cascades: z.record(name, z.string()).default({}).describe('Files of the recipe "cascade" (trained cascades, scorers, detectors, stages): a name and the path of a file by `tandem bench cascade`, relative to the configuration.'),
  gateway: gateway.prefault({}),
  policy: policy.prefault({}),
  pilot: pilot.prefault({}),
  guard: guard.prefault({}),
  privacy: privacy.prefault({}),
  store: store.prefault({}),
  telemetry: telemetry.prefault({}),
});

/** A configuration as it is written. */
export type ConfigInput = z.input<typeof configSchema>;
/** A configuration with every default filled in. */
export type Config = z.output<typeof configSchema>;
/** Settings of one member. */
export type MemberConfig = Config['members'][string];

/** The bundled pair: what runs when no configuration exists; `bundled:nano` is there to be added. Two prompts at once, not four, since each keeps some 18 MB of cache. */
export const bundledMembers: NonNullable<ConfigInput['members']> = {
  small: { engine: 'llama', file: 'bundled:small', roles: ['small', 'draft'], embeddings: true, sequencesMax: 2 },
  large: { engine: 'llama', file: 'bundled:large', roles: ['large'], sequencesMax: 2 },
};

/** Recipe defaults that come with the bundled pair: chosen on the trainer's development tasks (`trainer/tandem_trainer/evaluate.py`), not on the held-out ones. */
export const bundledRecipes: NonNullable<ConfigInput['recipes']> = { cascade: { test: 'min-probability', threshold: 0.78 } };

export { pathText } from './config-mistakes.ts';

/** Gives the configuration back, typed. For `tandem.config.ts`. */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

/** Whether a host is this machine by its own name or number, an IPv6 one without brackets. */
export function isLoopback(host: string): boolean {
  return /^(127\.\d+\.\d+\.\d+|localhost|::1)$/.test(host);
}

/** Whether an address says where something is and nothing more: what else it might hold is not sent, and is often a secret. True for what is none. */
export function isPlainAddress(address: string): boolean {
  if (!URL.canParse(address)) return true;
  const { username, password, search, hash } = new URL(address);
  return username === '' && password === '' && search === '' && hash === '';
}

/** One mistake in a configuration. */
export interface ConfigMistake {
  /** Where, such as `members.large.baseUrl`. */
  readonly path: string;
  /** What was expected. */
  readonly expected: string;
  /** What came, shortened; never the value of a field that may hold a secret. */
  readonly got: string;
}

/** Every mistake of a configuration, and the configuration if there is none. */
export function checkConfig(input: unknown): { readonly config?: Config; readonly mistakes: readonly ConfigMistake[] } {
  const result = configSchema.safeParse(input);
  if (!result.success) return { mistakes: result.error.issues.flatMap((issue) => mistakesOf(issue, input)) };
  const config = withBundledPair(result.data);
  const mistakes = rules(config);
  return mistakes.length === 0 ? { config, mistakes } : { mistakes };
}

/** The pair where no members are given, and what was chosen for it, where it is the pair, whoever wrote its members down. */
function withBundledPair(config: Config): Config {
  const members = Object.keys(config.members).length === 0 ? configSchema.parse({ members: bundledMembers }).members : config.members;
  const { small, large } = members;
  const isPair = small?.engine === 'llama' && small.file === 'bundled:small' && large?.engine === 'llama' && large.file === 'bundled:large';
  return isPair ? { ...config, members, recipes: { ...bundledRecipes, ...config.recipes } } : config;
}

/** The configuration with its defaults. @throws {TandemError} config_invalid, with every mistake in the message */
export function parseConfig(input: unknown): Config {
  const { config, mistakes } = checkConfig(input);
  if (config === undefined) {
    const lines = mistakes.map((mistake) => `${mistake.path || '(top)'}: expected ${mistake.expected}, got ${mistake.got}`);
    fail('config_invalid', { message: `The configuration has ${mistakes.length} mistake(s): ${lines.join('; ')}.`, ...(mistakes[0] === undefined ? {} : { param: mistakes[0].path }) });
  }
  return config;
}

function rules(config: Config): ConfigMistake[] {
  const mistakes: ConfigMistake[] = [];
  if (!isLoopback(config.gateway.host) && config.gateway.keys.length === 0) {
    mistakes.push({ path: 'gateway.keys', expected: 'at least one key, since gateway.host is not a loopback address', got: 'none' });
  }
  config.gateway.keys.forEach((entry, index, all) => {
    const namesake = all.findIndex(({ name }) => name === entry.name);
    if (namesake !== index) mistakes.push({ path: `gateway.keys[${index}].name`, expected: 'a name of its own', got: `that of gateway.keys[${namesake}]` });
    if ((entry.keyEnv === undefined) === (entry.sha256 === undefined)) {
      mistakes.push({ path: `gateway.keys[${index}]`, expected: 'either keyEnv or sha256', got: entry.keyEnv === undefined ? 'neither' : 'both' });
    }
  });
  for (const [id, settings] of Object.entries(config.members)) {
    if (settings.engine === 'llama' && settings.adapter !== undefined && settings.adaptersFile === undefined && !(settings.adapter in settings.adapters)) {
      mistakes.push({ path: `members.${id}.adapter`, expected: `one of ${Object.keys(settings.adapters).join(', ') || '(no adapters given)'}`, got: settings.adapter });
    }
  }
  if (config.policy.answerTokensDefault > config.policy.answerTokensMax) {
    mistakes.push({ path: 'policy.answerTokensDefault', expected: `at most policy.answerTokensMax (${config.policy.answerTokensMax})`, got: String(config.policy.answerTokensDefault) });
  }
  return mistakes;
}
