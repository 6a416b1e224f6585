/** `tandem train <job>` over a stand-in for Python: bar, events, exit codes, cancelling, resuming, failures, set-up. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { stepText } from '../../src/cli/train/bar.ts';
import { call, ended, folder, start } from '../cli/tandem.ts';
import { fakePython } from './fake-python.ts';

const job = { name: 'tiny', shape: {}, rows: 'rows.npz', output: 'out', steps: 40 };
const begun = { event: 'start', name: 'tiny', parameters: 1_200_000, steps: 40, fromStep: 0 };
const step = (n: number): object => ({ event: 'step', step: n, loss: 3 - n / 40, tokensPerSecond: 7512, etaS: 80 - n });
const done = [{ event: 'checkpoint', step: 40, path: 'out/checkpoint.pt' }, { event: 'end', step: 40, seconds: 12.5 }];
const files = { 'job.json': JSON.stringify(job) };

test('a run is shown by lines where no terminal is, and its result is printed', async (t) => {
  const cwd = folder(t, files);
  const { code, stdout, stderr } = await call(['train', 'job.json'], { cwd, env: fakePython(cwd, { events: [begun, step(10), step(11), step(40), ...done], notes: ['a warning of a library'] }) });
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^tiny, 1\.2 M parameters: 40 steps$/m);
  assert.match(stderr, /^ 25 %  step 10 of 40  loss 2\.750  7\.5k tok\/s  2 min left$/m);
  assert.doesNotMatch(stderr, /step 11 /, 'a line every tenth');
  assert.match(stderr, /a warning of a library/);
  assert.equal(stdout, 'tiny: 40 of 40 steps, loss 2.0000, 13 s. out/checkpoint.pt\n');
});

test('--json passes every line on as it came', async (t) => {
  const cwd = folder(t, files);
  const { stdout, stderr } = await call(['train', 'job.json', '--json'], { cwd, env: fakePython(cwd, { events: [begun, { event: 'receipt', anything: 1 }, ...done] }) });
  const events = stdout.trim().split('\n').map((line) => JSON.parse(line) as { event: string; args?: string[] });
  assert.deepEqual(events.map(({ event }) => event), ['start', 'receipt', 'checkpoint', 'end', 'called']);
  assert.deepEqual(events.at(-1)?.args, ['-u', '-m', 'tandem_trainer', 'train', join(cwd, 'job.json')]);
  assert.equal(stderr, '');
});

test('the bar has room for its figures, or leaves the bar out', () => {
  const event = { event: 'step', step: 10, loss: 2.75, tokensPerSecond: 480, etaS: 4000 } as const;
  assert.equal(stepText(event, 40, 120), `[${'#'.repeat(10)}${'.'.repeat(30)}]  25 %  step 10 of 40  loss 2.750  480 tok/s  1 h 7 min left`);
  assert.equal(stepText(event, 40, 30), ' 25 %  step 10 of 40  loss 2.750  480 tok/s  1 h 7 min left');
});

test('what the trainer refuses is an error of the catalogue, with its message', async (t) => {
  const cwd = folder(t, files);
  const refused = { event: 'error', code: 'file_missing', message: 'rows: expected a file at rows.npz, found nothing', remedy: 'Check the path.' };
  const { code, stderr } = await call(['train', 'job.json'], { cwd, env: fakePython(cwd, { events: [refused], notes: ['tandem_trainer: rows: expected a file'], status: 2 }) });
  assert.equal(code, 1);
  assert.match(stderr, /^error rows: expected a file at rows\.npz, found nothing \(file_missing\)\. Check the path\. \(job_invalid\)$/m);
  assert.equal(stderr.match(/rows: expected/g)?.length, 1, 'said once');
  const nan = { event: 'error', code: 'loss_not_finite', message: 'loss: expected a number at step 8, got nan' };
  const json = await call(['train', 'job.json', '--json'], { cwd, env: fakePython(cwd, { events: [nan], status: 2 }) });
  assert.equal((JSON.parse(json.stderr) as { error: { code: string } }).error.code, 'training_failed');
});

test('a crash says the last line, and that the checkpoint is kept', async (t) => {
  const cwd = folder(t, files);
  mkdirSync(join(cwd, 'out'));
  writeFileSync(join(cwd, 'out', 'checkpoint.pt'), '');
  const { code, stderr } = await call(['train', 'job.json', '--resume'], { cwd, env: fakePython(cwd, { notes: ['Traceback', 'MemoryError'], status: 1 }) });
  assert.equal(code, 1);
  assert.match(stderr, /The trainer ended with status 1: MemoryError\. The last checkpoint is kept; --resume goes on from it\. \(training_failed\)/);
});

test('a checkpoint of an earlier run is never taken up or overwritten in silence', async (t) => {
  const cwd = folder(t, files);
  mkdirSync(join(cwd, 'out'));
  writeFileSync(join(cwd, 'out', 'checkpoint.pt'), '');
  const { code, stderr } = await call(['train', 'job.json'], { cwd, env: fakePython(cwd, { events: [begun, ...done] }) });
  assert.equal(code, 1);
  assert.match(stderr, /--resume goes on from it/);
  const resumed = await call(['train', 'job.json', '--resume'], { cwd, env: fakePython(cwd, { events: [{ ...begun, fromStep: 20 }, ...done] }) });
  assert.match(resumed.stderr, /step 20 to 40/);
  assert.equal(resumed.code, 0);
});

test('without Python the message says how to set it up; a bad job is said before that', async (t) => {
  const cwd = folder(t, { ...files, 'bad.json': '{"name": "n"}' });
  const none = { TANDEM_TRAINER_PYTHON: join(cwd, 'no-python') };
  const { code, stderr } = await call(['train', 'job.json'], { cwd, env: none });
  assert.equal(code, 1);
  assert.match(stderr, /cannot be started .*tandem train --setup makes a virtual environment/);
  assert.match(stderr, /\(trainer_missing\)/);
  assert.match((await call(['train', 'bad.json'], { cwd, env: none })).stderr, /job_invalid/);
  const bare = await call(['train', 'job.json'], { cwd, env: fakePython(cwd, { notes: ['/usr/bin/python3: No module named torch'], status: 1 }) });
  assert.match(bare.stderr, /lacks torch; tandem train --setup/);
  assert.equal((await call(['train'], { cwd })).code, 2);
});

test('Ctrl-C ends the run with a checkpoint and the exit code 130', { timeout: 30_000 }, async (t) => {
  const cwd = folder(t, files);
  const child = start(['train', 'job.json'], { cwd, env: fakePython(cwd, { events: [begun, step(10)], onInterrupt: [{ event: 'checkpoint', step: 12, path: 'out/checkpoint.pt' }, { event: 'stopped', step: 12 }] }) });
  const end = ended(child);
  await new Promise<void>((resolve) => child.stderr.on('data', (text: string) => text.includes('step 10') && resolve()).once('end', resolve));
  child.kill('SIGINT');
  const { code, stdout, stderr } = await end;
  assert.equal(code, 130, stderr);
  assert.match(stderr, /Stopping after this step/);
  assert.match(stderr, /Stopped: 12 of 40 steps, loss 2\.7500\. Go on with: tandem train job\.json --resume/);
  assert.equal(stdout, '');
});

test('tool passes a command on, with its output and its status', async (t) => {
  const cwd = folder(t);
  const { code, stdout } = await call(['train', 'tool', 'grow', '--from', 'small', '--json'], { cwd, env: fakePython(cwd) });
  assert.equal(code, 0);
  assert.deepEqual((JSON.parse(stdout) as { args: string[] }).args.slice(-4), ['grow', '--from', 'small', '--json']);
  assert.equal((await call(['train', 'tool', 'grow'], { cwd, env: fakePython(cwd, { status: 2 }) })).code, 2);
});

test('--setup builds on a Python that is new enough, says each step, and names what fails', async (t) => {
  const cwd = folder(t);
  const python = join(cwd, 'python');
  const fake = (version: string, pip: number): void => {
    writeFileSync(python, `#!/bin/sh
case "$*" in
  *version_info*) echo ${version} ;;
  *venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  *"pip install"*) echo "Collecting torch"; [ ${pip} = 0 ] || echo "ERROR: No matching distribution" >&2; exit ${pip} ;;
  *torch.__version__*) echo 2.13.0 ;;
esac
`);
    chmodSync(python, 0o755);
  };
  const env = { TANDEM_CACHE: join(cwd, 'cache'), PATH: process.env['PATH'] ?? '' };
  fake('3.9', 0);
  const old = await call(['train', '--setup', '--python', python], { cwd, env });
  assert.match(old.stderr, /needs Python 3\.11 or newer: .*python is 3\.9/);
  fake('3.12', 1);
  const offline = await call(['train', '--setup', '--python', python], { cwd, env });
  assert.match(offline.stderr, /pip could not install .*ERROR: No matching distribution \(trainer_missing\)/);
  fake('3.12', 0);
  const made = await call(['train', '--setup', '--python', python], { cwd, env });
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stderr, /^Making a virtual environment with Python 3\.12\.\nFetching the packages of the trainer; PyTorch is large\.\nChecking that the trainer starts\.$/m);
  assert.match(made.stdout, /The trainer is ready: PyTorch 2\.13\.0 in .*trainer-venv/);
});
