/** `tandem init`: finds models on this machine, asks for the rest, and writes a configuration that loads. */
import { existsSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline/promises';
import { configFileNames, loadConfig } from '../config-file.ts';
import { bundledMembers, checkConfig, isLoopback, isPlainAddress, type ConfigInput } from '../config.ts';
import { TandemError, fail } from '../errors.ts';
import { modelFolder } from '../models/pull/cache.ts';
import { bundledIds } from './bundled-card.ts';
import { configText } from './config-text.ts';
import { findGguf, findOllama, isGguf, searchPlaces } from './find-gguf.ts';
import { billionsInName, findServers, servedSettings, usualPorts, type ServedModel } from './find-servers.ts';
import { examples, type DefineCommand } from './help.ts';
import { bytesText } from './member-row.ts';
import { whole } from './request-options.ts';
import { note, print, wrap, type Terminal } from './terminal.ts';

type Member = NonNullable<ConfigInput['members']>[string];

/** A model that could take a role. */
interface Candidate {
  readonly label: string;
  /** For ordering: bytes of a file, or a guess from the parameters in a name. */
  readonly size: number;
  readonly settings: Member;
}

interface InitOptions {
  readonly small?: string;
  readonly large?: string;
  readonly keyEnv?: string;
  readonly port?: number;
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly print?: boolean;
  readonly search: boolean;
  readonly probe: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  command
    .option('--small <model>', 'the small model: a GGUF file, bundled:small, or <base URL>#<model name>')
    .option('--large <model>', 'the large model, in the same way')
    .option('--key-env <name>', 'environment variable with the API key of a --large that is a URL')
    .option('-p, --port <n>', 'port of the gateway', whole(0, 65_535))
    .option('-y, --yes', 'ask nothing: take the smallest and the largest of what is found, else the bundled pair')
    .option('-f, --force', 'overwrite a configuration that exists')
    .option('--print', 'print the configuration instead of writing it')
    .option('--no-search', 'do not look for GGUF files')
    .option('--no-probe', 'do not look for running servers')
    .addHelpText('after', initHelp)
    .action((options: InitOptions) => init(terminal, options));
};

const initHelp = [
  examples(
    ['tandem init', 'look, ask, write tandem.config.ts'],
    ['tandem init --yes', 'look and write, without questions'],
    ['tandem init --small model.gguf --large https://api.openai.com/v1#gpt-4.1 --key-env OPENAI_API_KEY', ''],
  ),
  '',
  ...wrap(`It looks for GGUF files here, in ./models, in Tandem's cache and in those of llama.cpp, Hugging Face, LM Studio and Ollama, and asks 127.0.0.1 at the ports of ${usualPorts.map(({ name, port }) => `${name} (${port})`).join(', ')}.`, 100),
].join('\n');

async function init(terminal: Terminal, options: InitOptions): Promise<void> {
  const file = join(terminal.cwd, configFileNames[0]);
  const present = configFileNames.find((name) => existsSync(join(terminal.cwd, name)));
  if (present !== undefined && options.force !== true && options.print !== true) fail('usage', `${present} exists already; --force overwrites it, --print shows what would be written.`);
  const pair = await choosePair(terminal, options);
  const input: ConfigInput = { members: membersOf(pair), ...(options.port === undefined ? {} : { gateway: { port: options.port } }) };
  const { mistakes } = checkConfig(input);
  const [mistake] = mistakes;
  if (mistake !== undefined) fail('usage', `${mistake.path}: expected ${mistake.expected}, got ${mistake.got}.`);
  const text = configText(input);
  if (options.print === true) return print(terminal, text.trimEnd());
  if (present !== undefined && present !== configFileNames[0]) fail('usage', `${present} stands here and is another form of the same configuration; remove it first.`);
  write(file, text, options.force === true);
  await loadConfig(terminal.cwd, file);
  print(terminal, `Wrote ${relative(terminal.cwd, file)}: ${Object.entries(pair).map(([role, each]) => `${role} is ${each.label}`).join(', ')}.`, 'Next: `tandem doctor` checks it, `tandem serve` starts it.');
}

interface Pair {
  readonly small: Candidate;
  readonly large: Candidate;
}

async function choosePair(terminal: Terminal, options: InitOptions): Promise<Pair> {
  const named = { small: namedCandidate(terminal, options.small, undefined), large: namedCandidate(terminal, options.large, options.keyEnv) };
  if (named.small !== undefined && named.large !== undefined) return { small: named.small, large: named.large };
  const found = await findCandidates(terminal, options);
  const asks = options.yes !== true && terminal.interactive;
  if (asks) return askPair(terminal, found, named);
  const own = found.filter(({ settings }) => !isBundled(settings));
  const choices = own.length > 0 ? own : found;
  const small = named.small ?? choices[0] ?? named.large;
  const large = named.large ?? choices.at(-1) ?? named.small;
  if (small === undefined || large === undefined) fail('usage', 'No model was found. Name them with --small and --large, or fetch one with `tandem pull`.');
  return { small, large };
}

async function findCandidates(terminal: Terminal, options: InitOptions): Promise<readonly Candidate[]> {
  // nano is too weak to be anybody's small model; it drafts
  const bundled = bundledIds().filter((id) => id !== 'nano').map((id, index): Candidate => ({ label: `bundled:${id}`, size: index, settings: bundledSettings(`bundled:${id}`) }));
  const files = options.search ? [...findGguf(searchPlaces(terminal.cwd, modelFolder(terminal.env), terminal.env)), ...findOllama(terminal.env)] : [];
  const served = options.probe ? await findServers() : [];
  const own: Candidate[] = [
    ...files.map(({ name, path, bytes }) => ({ label: `${name} (${bytesText(bytes)} file)`, size: bytes, settings: llamaSettings(terminal, path) })),
    ...served.map(servedCandidate),
  ];
  return [...bundled, ...own.sort((a, b) => a.size - b.size)];
}

function servedCandidate(served: ServedModel): Candidate {
  const settings = servedSettings(served);
  const bytesGuess = (billionsInName(served.model) ?? 8) * 6e8;
  return { label: `${served.model} (${served.server} at ${served.baseUrl})`, size: 'place' in settings && settings.place === 'cloud' ? 1e15 : bytesGuess, settings };
}

function llamaSettings(terminal: Terminal, path: string): Member {
  const near = relative(terminal.cwd, path);
  return { engine: 'llama', file: near.startsWith('..') || isAbsolute(near) ? path : `./${near.replaceAll('\\', '/')}` };
}

/** A model that the user named: a GGUF file, `bundled:<id>`, or `<base URL>#<model>`. */
function namedCandidate(terminal: Terminal, name: string | undefined, keyEnv: string | undefined): Candidate | undefined {
  if (name === undefined) return undefined;
  if (/^bundled:/.test(name)) return { label: name, size: 0, settings: bundledSettings(name) };
  if (/^https?:\/\//.test(name)) {
    const [baseUrl = '', model = ''] = name.split('#');
    if (model === '') fail('usage', 'A server is named as <base URL>#<model name>, such as http://127.0.0.1:11434/v1#qwen3:4b.');
    if (!isPlainAddress(baseUrl)) fail('usage', 'Expected an address without user name, password and query. The variable that holds a key is named with --key-env.');
    const place = isLoopback(new URL(baseUrl).hostname.replace(/^\[|\]$/g, '')) ? ('device' as const) : ('cloud' as const);
    return { label: `${model} at ${baseUrl}`, size: 0, settings: { engine: 'openai', baseUrl, model, place, ...(keyEnv === undefined ? {} : { apiKeyEnv: keyEnv }) } };
  }
  const path = resolve(terminal.cwd, name);
  if (!existsSync(path)) fail('model_file_missing', `There is no file ${path}.`);
  if (!isGguf(path)) fail('model_file_invalid', `${path} is not a GGUF file.`);
  return { label: name, size: 0, settings: llamaSettings(terminal, path) };
}

async function askPair(terminal: Terminal, found: readonly Candidate[], named: { readonly small: Candidate | undefined; readonly large: Candidate | undefined }): Promise<Pair> {
  const lines = createInterface({ input: terminal.input, output: terminal.output });
  try {
    print(terminal, 'Models on this machine:', ...found.map(({ label }, index) => `  ${String(index + 1).padStart(2)}  ${label}`), '  or: a path of a GGUF file, or <base URL>#<model name>', '');
    const own = found.filter(({ settings }) => !isBundled(settings));
    const small = named.small ?? (await askOne(terminal, lines, 'Small model (near and cheap)', found, own[0] ?? found[0]));
    const large = named.large ?? (await askOne(terminal, lines, 'Large model (knows more)', found, own.at(-1) ?? found.at(-1)));
    return { small, large: await withKey(lines, large) };
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw new TandemError('cancelled', { message: 'Nothing was written.' });
    throw error;
  } finally {
    lines.close();
  }
}

async function askOne(terminal: Terminal, lines: Interface, question: string, found: readonly Candidate[], usual: Candidate | undefined): Promise<Candidate> {
  for (;;) {
    const answer = (await lines.question(`${question}${usual === undefined ? '' : ` [${found.indexOf(usual) + 1}]`}: `)).trim();
    if (answer === '' && usual !== undefined) return usual;
    const chosen = /^\d+$/.test(answer) ? found[Number(answer) - 1] : undefined;
    if (chosen !== undefined) return chosen;
    try {
      const named = answer === '' || /^\d+$/.test(answer) ? undefined : namedCandidate(terminal, answer, undefined);
      if (named !== undefined) return named;
      note(terminal, `Give a number from 1 to ${found.length}, a path, or <base URL>#<model name>.`);
    } catch (error) {
      note(terminal, TandemError.from(error).message);
    }
  }
}

async function withKey(lines: Interface, candidate: Candidate): Promise<Candidate> {
  const { settings } = candidate;
  if (settings.engine !== 'openai' || settings.place !== 'cloud' || settings.apiKeyEnv !== undefined) return candidate;
  const name = (await lines.question('Environment variable with its API key (empty: none): ')).trim();
  return name === '' ? candidate : { ...candidate, settings: { ...settings, apiKeyEnv: name } };
}

/** What the bundled pair is run with when there is no configuration. */
function bundledSettings(file: string): Member {
  return Object.values(bundledMembers).find((settings) => 'file' in settings && settings.file === file) ?? { engine: 'llama', file };
}

function isBundled(settings: Member): boolean {
  return settings.engine === 'llama' && settings.file.startsWith('bundled:');
}

function membersOf({ small, large }: Pair): NonNullable<ConfigInput['members']> {
  if (JSON.stringify(small.settings) === JSON.stringify(large.settings)) return { small: { ...small.settings, roles: ['small', 'draft', 'large'] } };
  return { small: { ...small.settings, roles: ['small', 'draft'] }, large: { ...large.settings, roles: ['large'] } };
}

function write(file: string, text: string, overwrite: boolean): void {
  try {
    writeFileSync(file, text, { flag: overwrite ? 'w' : 'wx' });
  } catch (error) {
    throw new TandemError('usage', { message: `${file} could not be written (${(error as { readonly code?: string }).code ?? 'unknown'}).`, cause: error });
  }
}
