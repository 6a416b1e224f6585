/** The command line as such: help on everything, mistakes with exit code 2, errors in words, colours, a fast start. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { commands } from '../../src/cli/program.ts';
import { call, folder, tandem } from './tandem.ts';


test('tandem without arguments, --help and help print the commands', async () => {
  const [bare, flag, word] = await Promise.all([tandem([]), tandem(['--help']), tandem(['help'])]);
  assert.equal(bare.code, 0);
  assert.equal(flag.code, 0);
  assert.equal(word.code, 0);
  assert.equal(bare.stdout, flag.stdout);
  for (const { name, summary } of commands) assert.ok(flag.stdout.includes(name) && flag.stdout.replaceAll(/\s+/g, ' ').includes(summary), name);
  assert.match(flag.stdout, /Exit codes: 0 done, 1 failed, 2 mistake/);
  for (const args of [['help', 'bench', 'run'], ['bench', 'help', 'run']]) assert.match((await call(args)).stdout, /^Usage: tandem bench run/);
});

for (const { name } of commands) {
  test(`tandem ${name} --help tells its options and gives examples`, async () => {
    const { code, stdout, stderr } = await call([name, '--help']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^Usage: tandem ${name}`));
    assert.match(stdout, new RegExp(`Examples:\\n {2}\\$ tandem ${name}`));
    assert.match(stdout, /-h, --help/);
  });

  test(`tandem ${name} refuses an unknown option with exit code 2`, async () => {
    const { code, stdout, stderr } = await call([name, '--no-such-option']);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /unknown option '--no-such-option'/);
  });
}

test('mistakes in the command line end with exit code 2 and say what was expected', async () => {
  const cases: [string[], RegExp][] = [
    [['sevre'], /unknown command 'sevre'[\s\S]*Did you mean serve/],
    [['help', 'nope'], /unknown command 'nope'/],
    [['help', 'bench', 'nope'], /unknown command 'nope'/],
    [['bench', 'help', 'nope'], /unknown command 'nope'/],
    [['run', ...Array<string[]>(5).fill(['--stop', 'x']).flat(), 'x'], /at most 4/],
    [['serve', '--port', '99999'], /whole number from 0 to 65535/],
    [['serve', 'extra'], /too many arguments/],
    [['run', '--temperature', 'hot', 'x'], /number from 0 to 2/],
    [['run', '--recipe', 'small', '--member', 'small', 'x'], /cannot be used with/],
    [['run', '--knob', 'threshold', 'x'], /name=value/],
    [['run', '--objective', 'fame', 'x'], /quality, balanced, cost, latency, private/],
    [['run', '--places', 'moon', 'x'], /device, edge or cloud/],
    [['run', '   '], /The prompt is empty/],
    [['run', '--schema', 'no-such-file.json', 'x'], /--schema: .* could not be read/],
    [['trace', '--limit', '0'], /whole number from 1 to 1000/],
  ];
  for (const [args, expected] of cases) {
    const { code, stderr } = await call(args);
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
    assert.match(stderr, expected);
  }
});

test('a configuration that is missing or wrong is told in words, or as JSON, with exit code 1', async (t) => {
  const cwd = folder(t, { 'wrong.json': '{"members": {"small": {"engine": "openai", "baseUrl": "ftp://x"}}, "prot": 1}', 'broken.json': '{', 'bare.mjs': 'export const x = 1;' });
  const missing = await tandem(['run', '-c', 'nowhere.ts', 'x'], { cwd });
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /There is no configuration file at .*nowhere\.ts\. \(config_missing\)/);
  const wrong = await tandem(['run', '-c', 'wrong.json', 'x'], { cwd });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /members\.small\.baseUrl/);
  assert.match(wrong.stderr, /members\.small\.model/);
  assert.match(wrong.stderr, /prot: expected no such setting/);
  for (const flag of ['--json', '-j']) {
    const broken = await tandem(['run', '-c', 'broken.json', flag, 'x'], { cwd });
    assert.equal(broken.code, 1);
    assert.equal((JSON.parse(broken.stderr) as { error: { code: string } }).error.code, 'config_invalid');
  }
  const bare = await tandem(['models', '-c', 'bare.mjs'], { cwd });
  assert.match(bare.stderr, /no default export/);
});

test('colours: none on a pipe, some when forced, none with NO_COLOR or --no-color', async (t) => {
  const cwd = folder(t);
  const args = ['run', '-c', 'nowhere.ts', 'x'];
  const coloured = async (extra: readonly string[], env: Readonly<Record<string, string>>): Promise<boolean> => (await tandem([...args, ...extra], { cwd, env })).stderr.includes('\u001b[');
  assert.equal(await coloured([], {}), false);
  assert.equal(await coloured([], { FORCE_COLOR: '1' }), true);
  assert.equal(await coloured(['--no-color'], { FORCE_COLOR: '1' }), false);
  assert.equal(await coloured([], { FORCE_COLOR: '1', NO_COLOR: '1' }), false);
});

test('--version prints the version of the package', async () => {
  const { code, stdout } = await tandem(['--version']);
  assert.equal(code, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});
