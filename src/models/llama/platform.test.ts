/** Machines for which there is no engine, or not yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findNativeFiles } from './platform.ts';

test('a machine without a prebuilt engine, and one whose package is not installed, are told so: engine_unavailable', () => {
  assert.throws(() => findNativeFiles(false, 'sunos', 'mips'), { code: 'engine_unavailable', message: /sunos-mips/ });
  // The packages of other systems are never installed here.
  const [platform, arch, name] = process.platform === 'win32' ? ['darwin', 'x64', 'mac-x64'] : ['win32', 'arm64', 'win-arm64'];
  for (const gpu of [false, true]) assert.throws(() => findNativeFiles(gpu, platform, arch), { code: 'engine_unavailable', message: new RegExp(`npm install @node-llama-cpp/${name}@`) });
});
