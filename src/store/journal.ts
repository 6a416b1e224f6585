/**
 * The pilot's journal and the ledger of leases in the store's database. Both stand on single statements that either change a
 * row or do not, so that any number of replicas may use them at the same time and none of their updates is lost.
 */
import type { SpendLedger } from '../policy/purse.ts';
import type { Journal, JournalEntry, RewardedEntry } from '../recipes/pilot/journal.ts';
import type { Driver, Row, SqlValue } from './driver.ts';

const columns = ['trace_id', 'at_ms', 'caller', 'rule', 'arm', 'held', 'learned', 'propensity', 'target', 'modelled', 'modelled_target', 'quality_usd', 'features', 'cost_usd', 'latency_ms'];
const insertDecision = `INSERT INTO pilot_journal (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')}) ON CONFLICT (trace_id) DO NOTHING`;
const all = `SELECT ${columns.join(', ')}, reward, reward_at_ms, source FROM pilot_journal`;

/** Decisions that wait to be written at most this long, in milliseconds. */
const flushMs = 50;
/** Decisions that are kept while the database refuses them; the oldest go first. */
const waitingMax = 10_000;
/** How long a reward waits for a decision that another replica has not written yet, in milliseconds. */
const overtakenMs = 3 * flushMs;

/** The journal, and what it needs at the end. */
export interface StoredJournal extends Journal {
  /** Resolves when every decision is written. @throws {TandemError} store_failed */
  flush(): Promise<void>;
}

/** The journal on a database. */
export function journalOn(driver: Driver): StoredJournal {
  let waiting: SqlValue[][] = [];
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> = Promise.resolve();
  const later = (): void => void (timer ??= setTimeout(() => void flush().catch(() => undefined), flushMs).unref());
  const write = async (): Promise<void> => {
    const batch = waiting;
    waiting = [];
    if (batch.length === 0) return;
    try {
      await driver.insert(insertDecision, batch);
    } catch (error) {
      waiting = [...batch, ...waiting].slice(-waitingMax);
      later();
      throw error;
    }
  };
  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    return (underWay = underWay.catch(() => undefined).then(write));
  };
  const give = async (traceId: string, reward: number, source: string, atMs: number): Promise<RewardedEntry | 'repeated' | undefined> => {
    const changed = await driver.change({ sql: 'UPDATE pilot_journal SET reward = ?, reward_at_ms = ?, source = ? WHERE trace_id = ? AND reward IS NULL', values: [reward, Math.round(atMs), source, traceId] });
    const [row] = await driver.read({ sql: `${all} WHERE trace_id = ?`, values: [traceId] });
    if (row === undefined) return undefined;
    return changed === 1 ? entryOf(row) : 'repeated';
  };
  return {
    flush,
    decided: (entry) => {
      waiting.push(valuesOf(entry));
      later();
      return Promise.resolve();
    },
    rewarded: async (traceId, reward, source, atMs) => {
      await flush();
      const fate = await give(traceId, reward, source, atMs);
      if (fate !== undefined) return fate;
      await new Promise((resolve) => setTimeout(resolve, overtakenMs));
      return give(traceId, reward, source, atMs);
    },
    since: async (ms, limit, after = '') => {
      await flush();
      const values = [Math.floor(ms), Math.floor(ms), after, limit];
      return (await driver.read({ sql: `${all} WHERE reward_at_ms >= ? AND (reward_at_ms > ? OR trace_id > ?) ORDER BY reward_at_ms, trace_id LIMIT ?`, values })).map(entryOf);
    },
    latest: async (limit) => {
      await flush();
      return (await driver.read({ sql: `${all} WHERE reward IS NOT NULL ORDER BY reward_at_ms DESC, trace_id DESC LIMIT ?`, values: [limit] })).map(entryOf).reverse();
    },
  };
}

function valuesOf(entry: JournalEntry): SqlValue[] {
  return [
    entry.traceId, Math.round(entry.atMs), entry.caller, entry.rule, entry.arm, Number(entry.held), Number(entry.learned), entry.propensity, entry.target, entry.modelled, entry.modelledTarget,
    Math.min(entry.qualityUsd, 1e300), JSON.stringify(entry.features), entry.costUsd ?? null, entry.latencyMs ?? null,
  ];
}

function entryOf(row: Row): RewardedEntry {
  const number = (name: string): number => Number(row[name]);
  const [cost, latency] = [row['cost_usd'], row['latency_ms']];
  return {
    traceId: String(row['trace_id']), atMs: number('at_ms'), caller: String(row['caller']), rule: String(row['rule']), arm: String(row['arm']), held: number('held') === 1, learned: number('learned') === 1,
    propensity: number('propensity'), target: number('target'), modelled: number('modelled'), modelledTarget: number('modelled_target'), qualityUsd: number('quality_usd'), features: JSON.parse(String(row['features'])) as number[],
    ...(cost === null || cost === undefined ? {} : { costUsd: Number(cost) }),
    ...(latency === null || latency === undefined ? {} : { latencyMs: Number(latency) }),
    reward: number('reward'), rewardAtMs: number('reward_at_ms'), source: String(row['source']),
  };
}

/** The ledger of leases on a database. Every grant is one conditional UPDATE, so the sum of grants never passes the cap. */
export function ledgerOn(driver: Driver): SpendLedger {
  const granted = async (period: string): Promise<number> => Number((await driver.read({ sql: 'SELECT granted_usd FROM spend_leases WHERE period = ?', values: [period] }))[0]?.['granted_usd'] ?? 0);
  return {
    lease: async (period, wantUsd, capUsd) => {
      await driver.insert('INSERT INTO spend_leases (period, granted_usd) VALUES (?, ?) ON CONFLICT (period) DO NOTHING', [[period, 0]]);
      let want = wantUsd;
      for (let attempt = 0; attempt < 8 && want > 0; attempt++) {
        const changed = await driver.change({ sql: 'UPDATE spend_leases SET granted_usd = granted_usd + ? WHERE period = ? AND granted_usd + ? <= ?', values: [want, period, want, capUsd] });
        if (changed === 1) return want;
        // A hair less than what is left, since adding rounds.
        want = Math.min(want, (capUsd - (await granted(period))) * (1 - 1e-12));
        if (want <= 1e-12 * capUsd) return 0;
      }
      return 0;
    },
    granted,
    giveBack: async (period, usd) => {
      await driver.change({ sql: 'UPDATE spend_leases SET granted_usd = CASE WHEN granted_usd > ? THEN granted_usd - ? ELSE 0 END WHERE period = ?', values: [usd, usd, period] });
    },
  };
}
