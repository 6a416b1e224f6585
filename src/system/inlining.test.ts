/** The flags that `inlineMore` sets are known to this V8: an unknown one is complained of on standard error. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';

/** What a process says on standard error that runs this. */
function complaints(code: string): string {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '--disable-warning=ExperimentalWarning', '-e', code], { env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stderr;
}

test('this V8 knows the flags', () => {
  assert.match(complaints(`import { setFlagsFromString } from 'node:v8'; setFlagsFromString('--no-such-flag-of-v8=1');`), /no-such-flag-of-v8/);
  assert.equal(complaints(`import { inlineMore } from ${JSON.stringify(new URL('./inlining.ts', import.meta.url).href)}; inlineMore();`), '');
});
