/**
 * Entry of the engine thread. While there is work it computes batch after batch and looks for messages in between, so a cancelled
 * request ends before the next batch; without work it sleeps in the event loop.
 */
import { receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads';
import { tidyThread } from '../../system/memory.ts';
import { loadNative } from './bindings.ts';
import { Engine } from './engine.ts';
import { packError, type FromEngine, type ToEngine } from './protocol.ts';

/** Messages are looked for at most this often while there is work. Milliseconds. */
const lookEveryMs = 0.5;

const { port, stop, gpu } = workerData as { port: MessagePort; stop: SharedArrayBuffer; gpu: boolean };
const send = (message: FromEngine): void => port.postMessage(message);

try {
  const engine = new Engine(await loadNative(gpu), new Int32Array(stop), send, () => performance.now());
  let lookedAt = 0;
  /** Takes what has come, but does not look again and again while steps take microseconds. */
  const look = (): void => {
    const now = performance.now();
    if (now - lookedAt < lookEveryMs) return;
    lookedAt = now;
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
