/** Entry of a further thread of `tandem serve`: opens a gateway of its own on the port of the first one, and stops when it is told to. */
import { parentPort, workerData } from 'node:worker_threads';
import { TandemError, type ErrorCode } from '../../errors.ts';
import { failureLine } from './failure-line.ts';
import { loadServed, openServing, type Changes, type Shared } from './serving.ts';

/** What a thread is started with. */
export interface ThreadStart {
  readonly folder: string;
  readonly file: string | undefined;
  readonly changes: Changes;
  readonly shared: Shared;
  /** Of this thread; the first one has 0. */
  readonly number: number;
}

/** What a thread says. */
export type FromThread = { readonly type: 'ready' } | { readonly type: 'refused'; readonly code: ErrorCode; readonly message: string } | { readonly type: 'failure'; readonly line: string };
/** What a thread is told. */
export type ToThread = 'stop';

if (parentPort !== null) {
  const port = parentPort;
  const say = (message: FromThread): void => port.postMessage(message);
  const { folder, file, changes, shared, number } = workerData as ThreadStart;
  try {
    const serving = await openServing(await loadServed(folder, file, changes), process.env, (runtime) => (error, about) => say({ type: 'failure', line: failureLine(runtime, error, about) }), shared, number);
    port.once('message', () => void serving.close().finally(() => port.close()));
    await serving.gateway.listen();
    say({ type: 'ready' });
  } catch (thrown) {
    const { code, message } = TandemError.from(thrown);
    say({ type: 'refused', code, message });
    port.close();
  }
}
