#!/usr/bin/env node
/**
 * The command `tandem`: the compiled sources in the package, the sources themselves in the repository. It is JavaScript that
 * an old Node can read too, so that it can say what is needed.
 */
import { existsSync } from 'node:fs';

const source = new URL('../src/cli/main.ts', import.meta.url);
const inRepository = existsSync(source);
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  const brings = inRepository ? 'after npm ci, npx tandem runs on the one of the repository' : 'let npm bring one: npx -p node@24 -p tandem tandem';
  process.stderr.write(`error Tandem needs Node 22.18 or newer; this is ${process.versions.node}.\n  Install a newer Node, or ${brings}.\n`);
  process.exitCode = 1;
} else {
  await import(inRepository ? source.href : '../dist/cli/main.js');
}
