/** Writes numbered traces until it is killed; tells on stdout when each was written. Arguments: path of the store; `one` for a single trace. */
import { writeSync } from 'node:fs';
import { openStore } from '../../src/store/index.ts';
import { systemClock } from '../../src/system/clock.ts';
import { sampleTrace } from './contract.ts';

const store = await openStore({ path: process.argv[2] ?? ':memory:', flushMs: 50, traceDaysMax: 30 }, { baseDir: '.', clock: systemClock, env: {} });
let n = 0;
const single = process.argv[3] === 'one';
if (single) {
  store.writeTrace(sampleTrace(n++));
  writeSync(1, `${n}\n`);
}
setInterval(() => {
  if (single) return;
  for (let k = 0; k < 4; k++) store.writeTrace(sampleTrace(n++, { startedAtMs: systemClock.wallMs() }));
  writeSync(1, `${n}\n`);
}, 2);
