/**
 * The command `tandem`: which commands there are, how the command line is read, and which exit code an outcome gives.
 *
 * Each command stands in its own file and is imported only when it is called, so that `tandem --help` starts fast.
 */
import { Command, CommanderError } from 'commander';
import { TandemError } from '../errors.ts';
import { packageVersion, type DefineCommand } from './help.ts';
import { exitCodes, printError, processTerminal, type Terminal } from './terminal.ts';

interface Entry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<{ readonly define: DefineCommand }>;
}

/** Every command, in the order of the help. */
export const commands: readonly Entry[] = [
  { name: 'serve', summary: 'start the gateway: an OpenAI-compatible server over the team', load: () => import('./serve.ts') },
  { name: 'chat', summary: 'talk with the team, and see which model writes what', load: () => import('./chat.ts') },
  { name: 'run', summary: 'answer one prompt and leave', load: () => import('./run.ts') },
  { name: 'recipes', summary: 'list the ways of collaborating, and which of them this team can run', load: () => import('./recipes.ts') },
  { name: 'models', summary: 'list the members of the team and the model files at hand', load: () => import('./models.ts') },
  { name: 'pull', summary: 'fetch a GGUF model file from the hub or a URL', load: () => import('./pull.ts') },
  { name: 'trace', summary: 'show who did what in a past request', load: () => import('./trace.ts') },
  { name: 'doctor', summary: 'check everything that a working Tandem needs', load: () => import('./doctor.ts') },
  { name: 'bench', summary: 'measure recipes on a live team, and routers on recorded answers', load: () => import('./bench.ts') },
  { name: 'train', summary: 'train models (a job file) and routers (recorded answers)', load: () => import('./train.ts') },
  { name: 'init', summary: 'find models on this machine and write tandem.config.ts', load: () => import('./init.ts') },
];

/**
 * Reads a command line and runs it.
 * @param argv the arguments after `tandem`
 * @returns the exit code
 */
export async function main(argv: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
  let json = argv.includes('--json');
  try {
    const program = await buildProgram(terminal, (name) => argv.includes(name));
    program.hook('preAction', (_program, command) => void (json ||= command.opts()['json'] === true));
    await program.parseAsync(argv.length === 0 ? ['--help'] : argv, { from: 'user' });
    return terminal.exit.code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    printError(terminal, thrown, json);
    const { code } = TandemError.from(thrown);
    return code === 'usage' ? exitCodes.usage : code === 'cancelled' ? exitCodes.interrupted : exitCodes.failed;
  }
}

/**
 * The program with its commands.
 * @param wanted which commands need their options and actions; the others are only named
 */
export async function buildProgram(terminal: Terminal, wanted: (name: string) => boolean): Promise<Command> {
  const program = quiet(new Command('tandem'), terminal)
    .description('Small and large language models work on the same request together.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--no-color', 'print without colours (also: NO_COLOR=1)')
    .helpOption('-h, --help', 'print help')
    .showHelpAfterError('(tandem --help lists the commands)')
    .addHelpText('after', firstSteps);
  for (const { name, summary, load } of commands) {
    const command = quiet(new Command(name), terminal).summary(summary).description(sentence(summary)).helpOption('-h, --help', 'print help').showHelpAfterError(`(tandem ${name} --help lists the options)`);
    if (wanted(name)) {
      (await load()).define(command, terminal);
      if (command.commands.length > 0) addHelp(command, terminal);
    } else command.action(() => undefined);
    program.addCommand(command);
  }
  addHelp(program, terminal);
  // what stands after `train tool <command>` belongs to that command, also where an option of ours has the same name
  if (wanted('train') && wanted('tool')) program.enablePositionalOptions();
  program.addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 mistake in the command line, 130 ended by Ctrl-C (serve and a chat on a terminal: 0).');
  return program;
}

const firstSteps = `
Try:
  $ tandem serve                                        an OpenAI-compatible server on http://127.0.0.1:8484/v1
  $ tandem run "Compute, left to right: 12 + 30 - 5"    one answer
  $ tandem recipes                                      what this team can do
  $ tandem init                                         bring your own models`;

/** The command `help`. Commander's own prints the help of the whole for a command that does not exist, without a word. */
function addHelp(above: Command, terminal: Terminal): void {
  const help = quiet(new Command('help'), terminal).summary('print help for a command').description('Print help for a command.').argument('[command...]').helpOption('-h, --help', 'print help');
  above.helpCommand(false).addCommand(
    help.action((names: readonly string[]) => {
      let at = above;
      for (const name of names) at = at.commands.find((each) => each.name() === name) ?? at.error(`error: unknown command '${name}'`);
      at.outputHelp();
    }),
  );
}

function quiet(command: Command, terminal: Terminal): Command {
  return command
    .exitOverride()
    .configureOutput({ writeOut: (text) => void terminal.output.write(text), writeErr: (text) => void terminal.error.write(text) });
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`;
}
