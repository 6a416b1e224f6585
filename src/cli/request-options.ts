/** Options that `run` and `chat` share: which model answers, how it samples, and under which limits. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { TandemError, fail } from '../errors.ts';
import type { AskOptions } from '../ask.ts';
import type { JsonSchema, Place, Policy, Sampling } from '../exchange.ts';

/** What the options give. */
export interface RequestOptions {
  readonly config?: string;
  readonly recipe?: string;
  readonly member?: string;
  readonly model?: string;
  readonly system?: string;
  readonly knob?: Readonly<Record<string, unknown>>;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly repetitionPenalty?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly objective?: Policy['objective'];
  readonly privacy?: Policy['privacyClass'];
  readonly costMax?: number;
  readonly timeMax?: number;
  readonly places?: readonly Place[];
}

/** The option `--config`, the same for every command that needs a configuration. */
export function configOption(command: Command): Command {
  return command.option('-c, --config <file>', 'configuration file (default: tandem.config.* here or in a parent folder, else the bundled pair)');
}

/** Adds the options. */
export function requestOptions(command: Command): Command {
  return configOption(command)
    .addOption(new Option('-r, --recipe <id>', 'answer with this recipe, such as cascade (default: the configuration\'s defaultModel)').conflicts(['member', 'model']))
    .addOption(new Option('-m, --member <id>', 'answer with this member alone, such as small').conflicts(['recipe', 'model']))
    .addOption(new Option('--model <id>', 'answer with any model id of the gateway, such as tandem/auto or an alias').conflicts(['recipe', 'member']))
    .option('-s, --system <text>', 'system message')
    .option('-k, --knob <name=value>', 'set a knob of the recipe; may be repeated', collectKnob)
    .option('-n, --max-tokens <n>', 'tokens of the answer at most', whole(1))
    .option('-t, --temperature <x>', '0 (greedy) to 2', number(0, 2))
    .option('--top-p <x>', '0 to 1: smallest set of tokens with this probability', number(0, 1))
    .option('--top-k <n>', 'only the n most likely tokens', whole(1))
    .option('--min-p <x>', '0 to 1: only tokens at least this fraction as likely as the likeliest', number(0, 1))
    .option('--presence-penalty <x>', '-2 to 2', number(-2, 2))
    .option('--frequency-penalty <x>', '-2 to 2', number(-2, 2))
    .option('--repetition-penalty <x>', 'above 0, 1 is none', number(0.01, 100))
    .option('--seed <n>', 'same seed, same answer, where the engine can', whole(-2_147_483_648))
    .option('--stop <text>', 'end the answer before this text; may be repeated, at most 4 times', collectStop)
    .addOption(new Option('--objective <what>', 'what tandem/auto favours').choices(['quality', 'balanced', 'cost', 'latency', 'private']))
    .addOption(new Option('--privacy <class>', 'what members in the cloud may read').choices(['open', 'standard', 'confidential']))
    .option('--cost-max <usd>', 'dollars that the answer may cost', number(0, 1e6))
    .option('--time-max <seconds>', 'time that the answer may take', number(0.001, 86_400))
    .option('--places <list>', 'places whose members may be used: device,edge,cloud', places);
}

/**
 * What to ask of the library.
 * @throws {TandemError} usage when a schema file cannot be read
 */
export function askOptions(options: RequestOptions, schema?: { readonly file: string; readonly cwd: string }): AskOptions {
  const model = options.recipe === undefined ? (options.member ?? options.model) : `tandem/${options.recipe.replace(/^tandem\//, '')}`;
  const limits = {
    ...given('costUsdMax', options.costMax),
    ...given('totalMs', options.timeMax === undefined ? undefined : Math.round(options.timeMax * 1000)),
    ...given('places', options.places),
  };
  return {
    ...given('model', model),
    ...given('knobs', options.knob),
    sampling: { ...sampling(options), ...(schema === undefined ? {} : { format: { type: 'json-schema', name: 'answer', schema: readSchema(schema), strict: true } }) },
    policy: { ...given('objective', options.objective), ...given('privacyClass', options.privacy), ...(Object.keys(limits).length === 0 ? {} : { limits }) },
  };
}

function sampling(options: RequestOptions): Sampling {
  return {
    ...given('tokensMax', options.maxTokens),
    ...given('temperature', options.temperature),
    ...given('topP', options.topP),
    ...given('topK', options.topK),
    ...given('minP', options.minP),
    ...given('presencePenalty', options.presencePenalty),
    ...given('frequencyPenalty', options.frequencyPenalty),
    ...given('repetitionPenalty', options.repetitionPenalty),
    ...given('seed', options.seed),
    ...given('stop', options.stop),
  };
}

function given<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [P in K]: V });
}

function readSchema(schema: { readonly file: string; readonly cwd: string }): JsonSchema {
  const path = resolve(schema.cwd, schema.file);
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonSchema;
  } catch (error) {
    throw new TandemError('usage', { message: `--schema: ${path} could not be read as JSON.`, cause: error });
  }
  return fail('usage', `--schema: ${path} must hold a JSON object.`);
}

/** Parses a number within a range. */
export function number(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < least || value > most) throw new InvalidArgumentError(`Expected a number from ${least} to ${most}.`);
    return value;
  };
}

/** Parses a whole number of at least `least`. */
export function whole(least: number, most = 2_147_483_647): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most) throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
    return value;
  };
}

const stopsMax = 4;

/** Collects the texts of `--stop`. */
export function collectStop(text: string, before: readonly string[] = []): readonly string[] {
  if (before.length === stopsMax) throw new InvalidArgumentError(`Expected at most ${stopsMax} of them.`);
  return [...before, text];
}

/** Collects `name=value`, where the value is JSON if it can be read as such, else a text. */
export function collectKnob(text: string, before: Readonly<Record<string, unknown>> | undefined): Readonly<Record<string, unknown>> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Expected name=value.');
  return { ...before, [text.slice(0, at)]: jsonOrText(text.slice(at + 1)) };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function places(text: string): readonly Place[] {
  const names = text.split(',').map((name) => name.trim());
  if (!names.every((name): name is Place => name === 'device' || name === 'edge' || name === 'cloud')) throw new InvalidArgumentError('Expected device, edge or cloud, separated by commas.');
  return names;
}
