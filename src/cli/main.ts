/** The entry of the command line, which `bin/tandem.js` imports once Node is new enough: settings of the process, then `program.ts`. */
import { enableCompileCache } from 'node:module';
import { inlineMore } from '../system/inlining.ts';
import { fixThreadsYoungGeneration } from '../system/memory.ts';

fixThreadsYoungGeneration();
inlineMore();
// Compiled (and stripped) modules are kept in the system's temporary folder: a second start takes half the time, and less memory.
const { directory } = enableCompileCache();
if (directory !== undefined) process.env.NODE_COMPILE_CACHE ??= directory; // for threads
const { main } = await import('./program.ts');
process.exitCode = await main(process.argv.slice(2));
// Whatever still holds the process open (a server's idle connection, say) is not worth waiting for.
setTimeout(() => process.exit(), 2_000).unref();
