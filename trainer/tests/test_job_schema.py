"""The job schema: equal to the catalogue and to the dataclasses, and the same verdicts as the TypeScript side (``jobs.json``)."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from tandem_trainer.job import Job, JobError, parse_job
from tandem_trainer.job_schema import read_schema, with_objectives
from tandem_trainer.model import ModelShape
from tandem_trainer.schema import problem

JOBS = json.loads((Path(__file__).parent / "jobs.json").read_text())


def test_the_schema_holds_the_objectives_of_the_catalogue():
    assert with_objectives(read_schema()) == read_schema(), "run python -m tandem_trainer schema"


def test_fields_and_defaults_are_those_of_the_dataclasses():
    fields = read_schema()["properties"]
    for dataclass, schema in ((Job, fields), (ModelShape, fields["shape"]["properties"])):
        assert {one.name for one in dataclasses.fields(dataclass)} == set(schema)
        for one in dataclasses.fields(dataclass):
            default = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
            if "default" in schema[one.name]:
                assert schema[one.name]["default"] == (list(default) if isinstance(default, tuple) else default), one.name
            else:
                assert default is dataclasses.MISSING or one.name == "rows", one.name
            assert schema[one.name]["description"].endswith("."), one.name


@pytest.mark.parametrize("raw", JOBS["good"], ids=[job["name"] for job in JOBS["good"]])
def test_good_jobs_are_taken(raw):
    assert parse_job(raw).name == raw["name"]


@pytest.mark.parametrize("case", JOBS["bad"], ids=[f"{number}-{case['path'] or 'job'}" for number, case in enumerate(JOBS["bad"])])
def test_bad_jobs_are_refused_by_the_name_of_the_field(case):
    with pytest.raises(JobError, match=rf"^{re.escape(case['path'] or 'job')}: expected "):
        parse_job(case["job"])


def test_whole_numbers_become_integers():
    job = parse_job({"name": "n", "shape": {"width": 64.0, "heads": 2.0, "kv_heads": 1}, "rows": "r", "output": "o", "steps": 10.0})
    assert (type(job.steps), type(job.shape.width), type(job.shape.heads)) == (int, int, int)


def test_a_keyword_that_is_not_implemented_is_no_silent_pass():
    with pytest.raises(ValueError, match="patternProperties"):
        problem({}, {"type": "object", "patternProperties": {}})
