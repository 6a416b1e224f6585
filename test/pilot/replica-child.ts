/** One of several processes on one store: leases money until there is none, and tries to reward every decision. Prints what it got. */
import { openStore } from '../../src/store/index.ts';
import { clockAt, nowMs, settings } from '../store/contract.ts';

const [path = '', url = '', decisions = '0'] = process.argv.slice(2);
const store = await openStore(settings(path), { baseDir: '.', clock: clockAt(nowMs), env: url === '' ? {} : { DATABASE_URL: url } });
let [granted, rewarded] = [0, 0];
for (let n = 0; n < 60; n++) granted += (await store.ledger?.lease('day:x', 0.037, 1)) ?? 0;
for (let n = 0; n < Number(decisions); n++) {
  const fate = await store.journal?.rewarded(`t${n}`, 1, 'thumb', nowMs + n);
  if (typeof fate === 'object') rewarded++;
}
await store.close();
console.log(JSON.stringify({ granted, rewarded }));
