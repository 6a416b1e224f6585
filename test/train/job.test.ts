/** The job file: the jobs of `trainer/tests/jobs.json`, which the trainer's own tests read too, and what a mistake says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { TandemError } from '../../src/errors.ts';
import { jobMistakes, readJob } from '../../src/train/job.ts';
import { folder, root } from '../cli/tandem.ts';

const jobs = JSON.parse(readFileSync(join(root, 'trainer/tests/jobs.json'), 'utf8')) as { good: { name: string }[]; bad: { path: string; job: unknown }[] };

test('the jobs that the trainer takes are taken', () => {
  assert.ok(jobs.good.length >= 10);
  for (const job of jobs.good) assert.deepEqual(jobMistakes(job), [], job.name);
});

test('the jobs that the trainer refuses are refused, by the same field', () => {
  assert.ok(jobs.bad.length >= 40);
  for (const { path, job } of jobs.bad) {
    assert.equal(jobMistakes(job)[0]?.path, path, JSON.stringify(job));
  }
});

test('a mistake in a file names the field and never the text', (t) => {
  const cwd = folder(t, { 'bad.json': '{"name": "n", "shape": {}, "rows": "r", "output": "o", "steps": 0}', 'broken.json': '{', 'good.json': JSON.stringify(jobs.good[0]) });
  const thrown = (name: string): TandemError => {
    try {
      readJob(join(cwd, name));
    } catch (error) {
      return TandemError.from(error);
    }
    throw new assert.AssertionError({ message: `${name} was taken` });
  };
  assert.deepEqual([thrown('bad.json').code, thrown('bad.json').param], ['job_invalid', 'steps']);
  assert.match(thrown('bad.json').message, /^The job has a mistake: steps: /);
  assert.match(thrown('broken.json').message, /not valid JSON/);
  assert.match(thrown('none.json').message, /cannot be read/);
  assert.equal(readJob(join(cwd, 'good.json')).steps, 1);
});
