/** docs/cli.md, from the commands' own help. */
import { PassThrough } from 'node:stream';
import pc from 'picocolors';
import { buildProgram, commands } from '../../src/cli/program.ts';
import { exitCodes, type Terminal } from '../../src/cli/terminal.ts';
import { code, generated, table } from './markdown.ts';

const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  ok: 'The command did what it was asked.',
  failed: 'The command failed. Standard error names the code of [errors.md](errors.md) and what to do; with `--json` as one JSON object.',
  usage: 'The command line has a mistake.',
  interrupted: 'Ended by Ctrl-C.',
};

/** The document. */
export async function cliDocument(): Promise<string> {
  const program = await buildProgram(silent(), () => true);
  program.configureHelp({ helpWidth: 110 });
  const sections = commands.map(({ name }) => {
    const command = program.commands.find((each) => each.name() === name);
    if (command === undefined) throw new TypeError(`no command ${name}`);
    const under = command.commands.filter((each) => each.name() !== 'help').map((each) => `### tandem ${name} ${each.name()}\n\n\`\`\`text\n${fullHelp(each)}\n\`\`\`\n`);
    return [`## tandem ${name}\n\n\`\`\`text\n${fullHelp(command)}\n\`\`\`\n`, ...under].join('\n');
  });
  return `${generated("the commands' help")}
# The command line

\`npx tandem <command>\`, where the package is installed as in a clone after \`npm ci\` (there also \`npm start\` for \`serve\`). Results go to standard output, everything about them to
standard error. Colours and progress bars are shown on a terminal only; without one, long work (\`pull\`, \`bench run\`, \`train\`) prints a plain line every tenth of its way.
\`--no-color\` and \`NO_COLOR=1\` turn colours off on a terminal, too.

\`\`\`text
${fullHelp(program)}
\`\`\`

## Exit codes

${table(['code', 'when'], (Object.keys(exitCodes) as (keyof typeof exitCodes)[]).map((name) => [code(String(exitCodes[name])), meanings[name]]))}

${sections.join('\n')}`;
}

/** The help with what stands after it. */
function fullHelp(command: Awaited<ReturnType<typeof buildProgram>>): string {
  command.configureHelp({ helpWidth: 110 });
  let text = '';
  const write = (part: string): void => void (text += part);
  command.configureOutput({ writeOut: write, writeErr: write, getOutHelpWidth: () => 110, getOutHasColors: () => false });
  command.outputHelp();
  return text.trimEnd();
}

function silent(): Terminal {
  const colours = pc.createColors(false);
  const stream = new PassThrough() as unknown as NodeJS.WriteStream;
  return { input: new PassThrough() as unknown as NodeJS.ReadStream, output: stream, error: stream, env: {}, cwd: '/', interactive: false, colours, errorColours: colours, exit: { code: 0 } };
}
