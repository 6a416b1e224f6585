/**
 * The schema, as steps that are applied once and in order. Plain SQL that SQLite and Postgres read alike: text, bigint and
 * double precision, no driver's own types. JSON is kept as text, so that both give back the same bytes.
 *
 * A step is never changed after a release; a change of the schema is a new step.
 */

/** One step of the schema. */
export interface Migration {
  /** 1, 2, 3, … */
  readonly version: number;
  readonly about: string;
  readonly statements: readonly string[];
}

/** Creates the table that remembers which steps were applied. */
export const migrationsTable = 'CREATE TABLE IF NOT EXISTS tandem_migrations (version BIGINT PRIMARY KEY, about TEXT NOT NULL, applied_at_ms BIGINT NOT NULL)';

/** Every step so far. */
export const migrations: readonly Migration[] = [
  {
    version: 1,
    about: 'traces and feedback',
    statements: [
      `CREATE TABLE traces (
        id TEXT NOT NULL,
        started_at_ms BIGINT NOT NULL,
        duration_ms DOUBLE PRECISION NOT NULL,
        surface TEXT NOT NULL,
        requested_model TEXT NOT NULL,
        recipe TEXT NOT NULL,
        caller TEXT NOT NULL,
        outcome TEXT NOT NULL,
        prompt_tokens BIGINT NOT NULL,
        cached_prompt_tokens BIGINT NOT NULL,
        completion_tokens BIGINT NOT NULL,
        cost_usd DOUBLE PRECISION NOT NULL,
        price_known BIGINT NOT NULL,
        energy_j DOUBLE PRECISION NOT NULL,
        energy_source TEXT NOT NULL,
        bytes_up BIGINT NOT NULL,
        bytes_down BIGINT NOT NULL,
        shares TEXT NOT NULL,
        hidden TEXT NOT NULL,
        spans TEXT NOT NULL,
        PRIMARY KEY (id, started_at_ms)
      )`,
      'CREATE INDEX traces_started ON traces (started_at_ms)',
      'CREATE INDEX traces_caller ON traces (caller, started_at_ms, cost_usd)',
      `CREATE TABLE feedback (
        trace_id TEXT NOT NULL,
        at_ms BIGINT NOT NULL,
        caller TEXT NOT NULL,
        score DOUBLE PRECISION NOT NULL,
        source TEXT NOT NULL
      )`,
      'CREATE INDEX feedback_trace ON feedback (trace_id, at_ms)',
      'CREATE INDEX feedback_at ON feedback (at_ms)',
    ],
  },
  {
    version: 2,
    about: "the pilot's journal and leases of the budget",
    statements: [
      `CREATE TABLE pilot_journal (
        trace_id TEXT PRIMARY KEY,
        at_ms BIGINT NOT NULL,
        caller TEXT NOT NULL,
        rule TEXT NOT NULL,
        arm TEXT NOT NULL,
        held BIGINT NOT NULL,
        learned BIGINT NOT NULL,
        propensity DOUBLE PRECISION NOT NULL,
        target DOUBLE PRECISION NOT NULL,
        modelled DOUBLE PRECISION NOT NULL,
        modelled_target DOUBLE PRECISION NOT NULL,
        quality_usd DOUBLE PRECISION NOT NULL,
        features TEXT NOT NULL,
        cost_usd DOUBLE PRECISION,
        latency_ms DOUBLE PRECISION,
        reward DOUBLE PRECISION,
        reward_at_ms BIGINT,
        source TEXT
      )`,
      'CREATE INDEX pilot_journal_reward ON pilot_journal (reward_at_ms)',
      'CREATE INDEX pilot_journal_at ON pilot_journal (at_ms)',
      'CREATE TABLE spend_leases (period TEXT PRIMARY KEY, granted_usd DOUBLE PRECISION NOT NULL)',
    ],
  },
  {
    version: 3,
    about: 'requests by hour, for the pace of the budget',
    statements: ['CREATE TABLE traffic_hours (at_ms BIGINT PRIMARY KEY, requests BIGINT NOT NULL)'],
  },
];

/** The step that this version of Tandem writes. */
export const schemaVersion = migrations.reduce((highest, { version }) => Math.max(highest, version), 0);
