/**
 * What the gateway needs of a running Tandem. `src/tandem.ts` gives all of it; tests give a fake.
 *
 * The gateway knows HTTP and the OpenAI interface. It does not know recipes, guards or privacy.
 */
import type { Runtime } from '../tandem.ts';

/** The part of a runtime that the gateway uses. */
export type GatewayRuntime = Pick<Runtime, 'config' | 'team' | 'store' | 'admission' | 'clock' | 'random' | 'models' | 'onTrace' | 'begin' | 'refused' | 'embed'> & Partial<Pick<Runtime, 'reward'>>;
