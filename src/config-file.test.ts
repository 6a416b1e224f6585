/** Finding and reading configuration files. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { findConfigFile, loadConfig, readConfig } from './config-file.ts';
import { TandemError } from './errors.ts';

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'tandem-config-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

const coded = (code: string, pattern: RegExp) => (error: unknown): boolean => TandemError.is(error) && error.code === code && pattern.test(error.message);

test('the nearest file upwards is found, TypeScript before JSON', (t) => {
  const top = folder(t, { 'tandem.config.json': '{}' });
  const inner = join(top, 'a', 'b');
  mkdirSync(inner, { recursive: true });
  assert.equal(findConfigFile(inner), join(top, 'tandem.config.json'));
  writeFileSync(join(top, 'tandem.config.ts'), '');
  assert.equal(findConfigFile(inner), join(top, 'tandem.config.ts'));
  writeFileSync(join(top, 'a', 'tandem.config.mjs'), '');
  assert.equal(findConfigFile(inner), join(top, 'a', 'tandem.config.mjs'));
});

test('each form is read, relative to its own folder, beside any package.json', async (t) => {
  const source = "import { defineConfig } from 'tandem/config';\nexport default defineConfig({ gateway: { port: 4321 } });\n";
  const forms: [string, string, string?][] = [
    ['tandem.config.ts', source],
    ['tandem.config.ts', source.replace('4321', '4321 as number'), '{"type": "commonjs"}'],
    ['tandem.config.mts', source, '{}'],
    ['tandem.config.js', source, '{"type": "module"}'],
    ['tandem.config.js', 'module.exports = { gateway: { port: 4321 } };', '{"type": "commonjs"}'],
    ['tandem.config.mjs', source.replace('defineConfig({', 'Promise.resolve({')],
    ['tandem.config.json', '{"gateway": {"port": 4321}}'],
  ];
  for (const [name, text, manifest] of forms) {
    const top = folder(t, { [name]: text, ...(manifest === undefined ? {} : { 'package.json': manifest }) });
    const { config, file, baseDir } = await loadConfig(join(top));
    assert.deepEqual([config.gateway.port, file, baseDir], [4321, join(top, name), top], `${name} ${manifest ?? ''}`);
  }
});

test('no file means the bundled pair', async () => {
  const { file, config } = await loadConfig('/');
  assert.equal(file, undefined);
  assert.deepEqual(Object.keys(config.members), ['small', 'large']);
});

test('what is missing, broken or wrong is told', async (t) => {
  const top = folder(t, {
    'syntax.ts': 'export default {',
    'comma.ts': 'export default {\n  members: {},\n  gateway: { port: 1 }\n  store: {},\n};',
    'late.ts': 'export default Promise.reject(new Error("later"));',
    'throws.ts': 'throw new Error("first line\\nsecond line");',
    'bare.ts': 'export const a = 1;',
    'broken.json': '{"a":',
    'wrong.json': '{"gateway": {"port": "x"}, "prot": 1, "members": {"a": {"engine": "openai", "baseUrl": "http://x/v1", "model": ""}}}',
    'import.ts': "import 'tandem/no-such-part'; export default {};",
  });
  mkdirSync(join(top, 'folder.ts'));
  await assert.rejects(loadConfig(top, 'nowhere.ts'), coded('config_missing', /no configuration file at .*nowhere\.ts/));
  await assert.rejects(loadConfig(top, 'folder.ts'), coded('config_missing', /is a folder/));
  await assert.rejects(loadConfig(top, 'syntax.ts'), coded('config_invalid', /syntax\.ts:1 could not be run/));
  await assert.rejects(loadConfig(top, 'comma.ts'), coded('config_invalid', /comma\.ts:[34] could not be run/));
  await assert.rejects(loadConfig(top, 'late.ts'), coded('config_invalid', /late\.ts could not be run: later$/));
  await assert.rejects(loadConfig(top, 'throws.ts'), coded('config_invalid', /could not be run: first line$/));
  await assert.rejects(loadConfig(top, 'bare.ts'), coded('config_invalid', /no default export/));
  await assert.rejects(loadConfig(top, 'broken.json'), coded('config_invalid', /is not JSON/));
  await assert.rejects(loadConfig(top, 'import.ts'), coded('config_invalid', /could not be run/));
  await assert.rejects(loadConfig(top, 'wrong.json'), coded('config_invalid', /3 mistakes:\n {2}members\.a\.model.*\n {2}gateway\.port: expected a number, got "x"\n {2}prot: expected no such setting/));
});

test('a file that is read is not checked by readConfig', async (t) => {
  const top = folder(t, { 'tandem.config.json': '{"whatever": 1}' });
  assert.deepEqual((await readConfig(top)).input, { whatever: 1 });
});

test('what a configuration in TypeScript imports is TypeScript too, whatever package.json says', async (t) => {
  const top = folder(t, {
    'package.json': '{"type": "commonjs"}',
    'tandem.config.ts': "import { members } from './team.ts';\nexport default { members };",
    'team.ts': "import { file } from './file.ts';\nexport const members = { small: { engine: 'llama' as const, file } };",
    'file.ts': "export const file: string = 'bundled:small';",
  });
  assert.deepEqual(Object.keys((await loadConfig(top)).config.members), ['small']);
});
