/** The log of traffic in the store's database: every addition is one statement, so that none is lost when replicas add at the same time. */
import type { TrafficLog } from '../policy/pacing.ts';
import type { Driver } from './driver.ts';

const addRequests = 'INSERT INTO traffic_hours (at_ms, requests) VALUES (?, ?) ON CONFLICT (at_ms) DO UPDATE SET requests = traffic_hours.requests + excluded.requests';

/** The log on a database. */
export function trafficOn(driver: Driver): TrafficLog {
  return {
    add: (counts) => driver.insert(addRequests, [...counts]),
    since: async (ms) => new Map((await driver.read({ sql: 'SELECT at_ms, requests FROM traffic_hours WHERE at_ms >= ?', values: [Math.ceil(ms)] })).map((row) => [Number(row['at_ms']), Number(row['requests'])])),
  };
}
