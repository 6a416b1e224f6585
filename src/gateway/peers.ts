/** Other gateways of the same process: threads that listen on the same port. Together they keep one limit and give one set of metrics. */
import type { GatewayCounts } from './metrics.ts';

/** What a gateway shares with those in other threads. */
export interface Peers {
  /** How many requests all of them are answering; one number, in shared memory. */
  readonly inFlight: Int32Array;
  /** What the others have counted. */
  counts(): Promise<readonly GatewayCounts[]>;
}
