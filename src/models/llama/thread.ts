/**
 * Entry of the engine thread. While there is work it computes batch after batch and looks for messages in between, so a cancelled
 * request ends before the next batch; without work it sleeps in the event loop.
 */
import { performance } from 'node:perf_hooks';
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { tidyThread } from '../../system/memory.ts';
import { loadNative } from './bindings.ts';
import { Engine } from './engine.ts';
import { packError, sharedWords, type FromEngine, type ToEngine } from './protocol.ts';

const { port, shared, gpu } = workerData as { port: MessagePort; shared: SharedArrayBuffer; gpu: boolean };
const words = new Int32Array(shared);
const send = (message: FromEngine): void => port.postMessage(message);

try {
  const engine = new Engine(await loadNative(gpu), words, send, () => performance.now());
  let seen = 0;
  /** Takes what has come. */
  const look = (): void => {
    const sent = Atomics.load(words, sharedWords.sent);
    if (sent === seen) return;
    seen = sent;
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) engine.take(next.message as ToEngine);
  };
  const work = (message: ToEngine): void => {
    engine.take(message);
    do {
      look();
      engine.advance();
    } while (engine.busy);
  };
  port.on('message', work);
  send({ type: 'ready' });
  tidyThread();
} catch (error) {
  send({ type: 'unavailable', error: packError(error) });
}
