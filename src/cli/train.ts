/**
 * `tandem train`: runs a job of the trainer and shows how far it is; `--setup` makes the Python that it needs; `tool` calls the trainer's
 * other commands; `router` trains a router in this process, without Python.
 */
import { setupHint } from '../train/place.ts';
import { fail } from '../errors.ts';
import { examples, type DefineCommand } from './help.ts';
import { define as defineRouter } from './train/router.ts';
import { runJob, type JobOptions } from './train/run-job.ts';
import { runLaws, type LawsOptions } from './train/laws.ts';
import { runSetup, type SetupCommandOptions } from './train/set-up.ts';
import { runTool } from './train/tool.ts';

/** Defines the command. */
export const define: DefineCommand = (command, terminal) => {
  command
    .enablePositionalOptions()
    .argument('[job]', 'job file (JSON; trainer/job.schema.json describes its fields)')
    .option('--resume', 'go on from the checkpoint in the job\'s output folder')
    .option('-j, --json', 'pass the events of the trainer on, one JSON object a line')
    .option('--setup', 'make the virtual environment of the trainer, then leave')
    .option('--python <file>', 'with --setup: the Python to build on (default: the first in the path that is new enough)')
    .option('--index <url>', 'with --setup: a package index to use besides pip\'s own, such as PyTorch\'s for builds without CUDA')
    .addHelpText('after', trainHelp)
    .action((job: string | undefined, options: JobOptions & SetupCommandOptions & { readonly setup?: boolean }) => {
      if (options.setup === true) return runSetup(terminal, options);
      return runJob(terminal, job ?? fail('usage', `tandem train needs a job file (or --setup: ${setupHint}).`), options);
    });
  command
    .command('laws')
    .summary('next-token laws of a GGUF, for checks against PyTorch')
    .description('Compute next-token laws of a GGUF file in 32 bits and tokens of texts; the trainer compares them with its own.')
    .requiredOption('--model <file>', 'GGUF file')
    .requiredOption('--questions <file>', 'JSON: sequences (token ids), ends (lengths after which a law is wanted), texts')
    .requiredOption('--out <file>', 'receives the logits, float32, one row a position')
    .option('--adapter <file>', 'GGUF adapter to apply')
    .helpOption('-h, --help', 'print help')
    .action((options: LawsOptions) => runLaws(terminal, options));
  command
    .command('tool')
    .summary('call another command of the trainer')
    .description('Call another command of the trainer, such as pack, grow, merge, prune, quantize or export. What stands after it is passed on.')
    .argument('<command>', 'name of the command; "help" lists them')
    .argument('[arguments...]', 'its arguments')
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption('-h, --help', 'print help')
    .addHelpText('after', examples(['tandem train tool help', 'list the commands'], ['tandem train tool grow --help', 'the options of one']))
    .action((name: string, rest: readonly string[]) => runTool(terminal, name, rest));
  defineRouter(command, terminal);
};

const trainHelp = [
  examples(
    ['tandem train --setup', 'once: make the Python environment'],
    ['tandem train job.json', 'run a job'],
    ['tandem train job.json --resume', 'go on from its last checkpoint'],
    ['tandem train router --data rows.jsonl --out router.bin', 'train a router; needs no Python'],
  ),
  '',
  'Ctrl-C ends a run after the step under way, with a checkpoint; a second Ctrl-C does not wait for it.',
  'Variables: TANDEM_TRAINER_PYTHON (a Python that has the packages), TANDEM_CACHE (folder of the environment). See docs/training.md.',
].join('\n');
