/** One of several gateway processes on one store: a whole runtime under a cap that asks and rewards. Prints what it spent and what it was told. */
import { TandemError } from '../../src/errors.ts';
import { seededRandom } from '../../src/system/random.ts';
import { systemClock } from '../../src/system/clock.ts';
import { asked, world } from './world.ts';
import { sharedConfig } from './shared-config.ts';

const [path = '', url = '', seed = '1', requests = '0'] = process.argv.slice(2);
const runtime = await world({ clock: Object.assign({ now: 0 }, systemClock), seed: Number(seed), storePath: path, env: url === '' ? {} : { DATABASE_URL: url }, config: sharedConfig, large: { answer: { text: 'L L L L L L L L' } } });
const random = seededRandom(Number(seed));
const fates: Record<string, number> = {};
const refused: Record<string, number> = {};
let spentUsd = 0;
for (let n = 0; n < Number(requests); n++) {
  try {
    const { traceId, usage } = await asked(runtime, `Question ${seed} ${n}: prove it.`, { policy: { objective: n % 2 === 0 ? 'quality' : 'balanced' } });
    spentUsd += usage.costUsd;
    // judged twice at once: one of the two must count
    const given = await Promise.all([runtime.reward(traceId, random.next() < 0.8 ? 1 : 0, 'thumb'), runtime.reward(traceId, 0, 'thumb')]);
    for (const fate of given) fates[String(fate)] = (fates[String(fate)] ?? 0) + 1;
  } catch (error) {
    const { code } = TandemError.from(error);
    refused[code] = (refused[code] ?? 0) + 1;
  }
}
await runtime.close();
console.log(JSON.stringify({ spentUsd, fates, refused }));
