#!/usr/bin/env node
/** The entry of the command `tandem`: refuses a Node that is too old in words, then hands over to `program.ts`. */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`error Tandem needs Node 22.18 or newer; this is ${process.versions.node}.\n  Install a newer Node, or let npm bring one: npx -p node@24 -p tandem tandem\n`);
  process.exitCode = 1;
} else {
  const { fixThreadsYoungGeneration } = await import('../system/memory.ts');
  fixThreadsYoungGeneration();
  const { inlineMore } = await import('../system/inlining.ts');
  inlineMore();
  // Compiled (and stripped) modules are kept in the system's temporary folder: a second start takes half the time, and less memory.
  const { enableCompileCache } = await import('node:module');
  const { directory } = enableCompileCache();
  if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory; // for threads
  const { main } = await import('./program.ts');
  process.exitCode = await main(process.argv.slice(2));
  // Whatever still holds the process open (a server's idle connection, say) is not worth waiting for.
  setTimeout(() => process.exit(), 2_000).unref();
}
export {};
