/** `tandem doctor`: checks everything that a working Tandem needs, and says for each mistake what to do. */
import { checkConfig, type ConfigInput } from '../config.ts';
import { mistakeText, readConfig, type FoundConfig } from '../config-file.ts';
import { TandemError } from '../errors.ts';
import { bundledCheck, environmentCheck, nativeCheck, nodeCheck, portCheck, storeCheck, type Finding } from './checks.ts';
import { checkMembers } from './member-checks.ts';
import { examples, type DefineCommand } from './help.ts';
import { configOption, number } from './request-options.ts';
import { exitCodes, print, printJson, type Terminal } from './terminal.ts';

interface DoctorOptions {
  readonly config?: string;
  readonly timeout: number;
  readonly json?: boolean;
}

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  configOption(command)
    .option('--timeout <seconds>', 'time that each member may take to answer', number(0.1, 600), 15)
    .option('-j, --json', 'print JSON')
    .addHelpText('after', doctorHelp)
    .action((options: DoctorOptions) => doctor(terminal, options));
};

const doctorHelp = [
  examples(['tandem doctor', 'check the configuration nearby'], ['tandem doctor -c prod/tandem.config.ts --json', 'for a script; see the exit code']),
  '',
  'Checked: Node, the native library, the bundled weights, every mistake of the configuration, environment variables that',
  'it names, each member (opened and asked), recipes and their knobs, trained files, model ids, keys, threads, whether all',
  'of it works together, the store, the port. Exit code 1 when anything is wrong.',
].join('\n');

async function doctor(terminal: Terminal, options: DoctorOptions): Promise<void> {
  const findings: Finding[] = [];
  const report = (finding: Finding): void => {
    findings.push(finding);
    if (options.json !== true) printFinding(terminal, finding);
  };
  report(nodeCheck());
  report(await nativeCheck());
  for (const finding of await bundledCheck()) report(finding);
  const found = await configuration(terminal, options.config, report);
  const faults = (): number => findings.filter(({ state }) => state === 'wrong').length;
  if (found !== undefined) await checkConfigured(terminal, found, options, report, faults);
  const wrong = faults();
  if (options.json === true) printJson(terminal, { ok: wrong === 0, findings });
  else print(terminal, '', wrong === 0 ? terminal.colours.green('Nothing is wrong.') : terminal.colours.red(`${wrong} thing${wrong === 1 ? ' is' : 's are'} wrong.`));
  if (wrong > 0) terminal.exit.code = exitCodes.failed;
}

async function configuration(terminal: Terminal, file: string | undefined, report: (finding: Finding) => void): Promise<FoundConfig | undefined> {
  try {
    const found = await readConfig(terminal.cwd, file);
    const { mistakes } = checkConfig(found.input);
    for (const mistake of mistakes) report({ check: 'configuration', state: 'wrong', message: mistakeText(mistake), code: 'config_invalid', mistake });
    if (mistakes.length > 0) return undefined;
    report({ check: 'configuration', state: 'ok', message: found.file ?? 'none here; the bundled pair runs' });
    return found;
  } catch (thrown) {
    const error = TandemError.from(thrown);
    report({ check: 'configuration', state: 'wrong', message: error.message, code: error.code, remedy: error.remedy });
    return undefined;
  }
}

async function checkConfigured(terminal: Terminal, found: FoundConfig, options: DoctorOptions, report: (finding: Finding) => void, faults: () => number): Promise<void> {
  const { config } = checkConfig(found.input);
  if (config === undefined) return;
  for (const finding of environmentCheck(config, terminal.env)) report(finding);
  const { findings, team } = await checkMembers(config, { baseDir: found.baseDir, env: terminal.env, timeoutMs: options.timeout * 1000 });
  for (const finding of findings) report(finding);
  const setup = { input: found.input as ConfigInput, config, baseDir: found.baseDir, env: terminal.env, team };
  const { setupChecks, togetherCheck } = await import('./setup-checks.ts');
  for (const finding of await setupChecks(setup)) report(finding);
  if (faults() > 0) await team.close();
  else for (const finding of await togetherCheck(setup)) report(finding);
  report(await storeCheck(config, found.baseDir, terminal.env));
  report(await portCheck(config));
}

function printFinding(terminal: Terminal, { check, state, message, remedy }: Finding): void {
  const { green, yellow, red, dim } = terminal.colours;
  const mark = { ok: green('ok   '), note: yellow('note '), wrong: red('wrong') }[state];
  print(terminal, `${mark}  ${check.padEnd(14)}  ${message}`);
  if (state !== 'ok' && remedy !== undefined) print(terminal, dim(`       ${' '.repeat(14)}  ${remedy}`));
}
