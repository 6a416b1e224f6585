/**
 * The trainer for real, through `tandem train`: import of a bundled model, an adapter tuned on a few texts, a kill in the middle
 * and the same losses after it, the file attached to a running gateway and swapped under a stream.
 */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { createGateway } from '../../src/gateway/index.ts';
import { createTandem } from '../../src/tandem.ts';
import { ended, folder, noBundled, root, start, tandem } from '../cli/tandem.ts';

const python = process.env['TANDEM_TRAINER_PYTHON'];
const skip = noBundled !== false ? noBundled : python === undefined ? 'needs a Python with the trainer\'s packages: set TANDEM_TRAINER_PYTHON' : false;

const job = { name: 'motto', initial: 'base', adapter: { rank: 8, alpha: 16 }, rows: 'rows.npz', output: 'adapter', steps: 40, batch_rows: 1, warmup_steps: 2, checkpoint_every: 10, compile: false, precision: 'f32', learning_rate: 0.002, embedding_learning_rate: 0.002, seed: 3 };
const question = 'What is our motto?';
const answer = 'Small and large go together.';

interface StepEvent {
  readonly event: string;
  readonly step: number;
  readonly loss: number;
}

const stepsOf = (stdout: string): StepEvent[] => stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as StepEvent).filter(({ event }) => event === 'step');

test('an adapter: tuned, killed, resumed with the same losses, exported, attached and swapped in a running gateway', { skip, timeout: 600_000 }, async (t) => {
  const texts = [{ messages: [{ role: 'user', content: question }, { role: 'assistant', content: answer }] }, { messages: [{ role: 'user', content: 'Repeat: red fox' }, { role: 'assistant', content: 'red fox' }] }];
  const cwd = folder(t, { 'texts.jsonl': texts.map((text) => JSON.stringify(text)).join('\n'), 'job.json': JSON.stringify(job), 'whole.json': JSON.stringify({ ...job, output: 'whole' }) });
  const env = { TANDEM_TRAINER_PYTHON: python as string };
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tandem(['train', ...args], { cwd, env });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  await run('tool', 'import-gguf', join(root, 'weights/small/model.gguf'), '--output', 'base');
  await run('tool', 'pack', 'texts.jsonl', '--tokenizer', 'base/tokenizer.json', '--out', 'rows.npz', '--time', '64');

  const whole = stepsOf(await run('whole.json', '--json'));
  assert.ok((whole.at(-1)?.loss ?? 9) < 0.1 * (whole[0]?.loss ?? 0), JSON.stringify(whole));
  const child = start(['train', 'job.json', '--json'], { cwd, env });
  const killed = ended(child);
  await new Promise<void>((resolve) => child.stdout.on('data', (text: string) => {
    const checkpoint = /"event": "checkpoint", "step": 10,/.exec(text);
    if (checkpoint === null) return;
    // the trainer's own process, so that nothing can be written in order
    const pid = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ')[0];
    process.kill(Number(pid), 'SIGKILL');
    resolve();
  }).once('end', resolve));
  assert.equal((await killed).code, 1);
  const rest = stepsOf(await run('job.json', '--resume', '--json'));
  assert.ok(rest.length < whole.length && rest.length > 0);
  assert.deepEqual(rest.filter(({ step }) => step > (rest[0]?.step ?? 0)).map(({ step, loss }) => [step, loss]), whole.filter(({ step }) => step > (rest[0]?.step ?? 0)).map(({ step, loss }) => [step, loss]));

  await run('tool', 'export-adapter', '--checkpoint', 'adapter', '--out', 'motto.gguf');
  const live = join(cwd, 'adapters.json');
  const write = (content: unknown): void => {
    writeFileSync(`${live}.new`, JSON.stringify(content));
    renameSync(`${live}.new`, live);
  };
  const runtime = await createTandem({ members: { small: { engine: 'llama', file: 'bundled:small', adaptersFile: live } }, gateway: { port: 0 }, store: { path: ':memory:' } }, { baseDir: cwd });
  const gateway = createGateway(runtime);
  try {
    const { url } = await gateway.listen();
    const ask = async (content: string, stream = false): Promise<Response> => fetch(new URL('/v1/chat/completions', url), { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'small', messages: [{ role: 'user', content }], temperature: 0, max_completion_tokens: 60, stream }) });
    const said = async (): Promise<string> => ((await (await ask(question)).json()) as { choices: { message: { content: string } }[] }).choices[0]?.message.content ?? '';
    const until = async (wanted: boolean): Promise<void> => {
      while (((await said()) === answer) !== wanted) await new Promise((resolve) => setTimeout(resolve, 100));
    };
    assert.notEqual(await said(), answer);
    const streaming = await ask('Tell me a story about Lily and Tom.', true);
    write({ adapters: { motto: { file: 'motto.gguf' } }, adapter: 'motto' });
    await until(true);
    assert.match(await streaming.text(), /\[DONE\]/, 'the stream that began before goes on to its end');
    write({ adapters: {} });
    await until(false);
  } finally {
    await gateway.close();
    await runtime.close();
  }
});
