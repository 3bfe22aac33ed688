"""Results of a worker of tomorrow, and of yesterday, as a producer of today reads them."""

import json
import pickle
from datetime import UTC, datetime

import pytest

from threadmill import Failure, FailureKind, JobResult, JobState, Settings
from threadmill.batch.failures import advice, group_failures
from threadmill.batch.progress import is_endpoint_failure
from threadmill.batch.results import ResultsFile
from threadmill.job.result import TERMINAL, Usage
from threadmill.store.records.batch import BatchRecord, RemoteBatch
from threadmill.store.records.remote import LeftoverRecord
from threadmill.store.requests import celery_result, finish

NOW = datetime(2026, 11, 28, tzinfo=UTC).isoformat()

#: Each part has a field more, and the failure is of a kind that nobody knows today.
OF_TOMORROW = {
    "job_id": "job-1",
    "state": "failed",
    "mood": {"name": "gloomy"},
    "usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3, "cached_tokens": 2},
    "citations": [{"number": 1, "name": "a.pdf", "page": 7}],
    "files": [{"file_id": "file-1", "name": "plot.png", "width": 640}],
    "failure": {"kind": "out_of_poetry", "message": "no rhyme", "retryable": True, "retry_after_s": 60},
    "timings": {"created_at": NOW, "finished_at": NOW, "queued_s": 7},
}


@pytest.fixture
def result():
    return JobResult.model_validate_json(json.dumps(OF_TOMORROW))


def test_unknown_fields_are_kept_in_every_part_and_written_again(result):
    written = json.loads(result.model_dump_json())

    assert written["mood"] == {"name": "gloomy"}
    assert written["usage"]["cached_tokens"] == 2
    assert written["citations"][0]["page"] == 7
    assert written["files"][0]["width"] == 640
    assert written["failure"]["retry_after_s"] == 60
    assert written["timings"]["queued_s"] == 7
    assert JobResult.model_validate(written) == result
    assert json.loads(celery_result(result))["result"] == written


def test_an_unknown_failure_kind_is_kept_as_text(result):
    kind = result.failure.kind

    assert (kind, str(kind), f"{kind}", kind.value) == ("out_of_poetry",) * 4
    assert isinstance(kind, FailureKind)
    assert kind == FailureKind("out_of_poetry")
    assert kind not in list(FailureKind), "it does not join the kinds of this version"
    assert json.loads(result.model_dump_json())["failure"]["kind"] == "out_of_poetry"
    assert pickle.loads(pickle.dumps(result)) == result
    assert {kind: 1}["out_of_poetry"] == 1
    match kind:
        case FailureKind.QUOTA:
            pytest.fail("it is another kind")
        case _:
            pass


@pytest.mark.parametrize("kind", [7, None, ["quota"]])
def test_a_kind_that_is_not_text_is_damage(kind):
    with pytest.raises(ValueError, match="kind"):
        Failure.model_validate({"kind": kind, "message": ""})


def test_an_unknown_failure_is_grouped_counted_and_advised_on(result):
    other = JobResult.model_validate(OF_TOMORROW | {"failure": OF_TOMORROW["failure"] | {"message": "no rhyme on 7"}})

    [group, _] = group_failures([("a", result.failure), ("b", result.failure), ("c", other.failure)])
    assert (group.kind, group.documents, group.retryable) == ("out_of_poetry", ["a", "b"], True)
    assert not is_endpoint_failure(result)
    [line] = advice(["out_of_poetry"], 0)
    assert line.startswith("out_of_poetry: read the messages")

    counted = BatchRecord.counts(result)
    assert counted == {"usage:prompt_tokens::": 3, "usage:total_tokens::": 3, "failed:out_of_poetry": 1}
    fields = {field: str(number) for field, number in counted.items()}
    assert BatchRecord.read("notes", datetime.now(UTC), fields).failures == {"out_of_poetry": 1}
    assert "out_of_poetry" in finish(None, result, "", Settings())["result"]


def test_a_results_file_of_a_newer_version_is_read(tmp_path):
    line = {"path": "a.txt", "key": "key-a", "batch": "notes", **OF_TOMORROW}
    skipped = {"path": "b.txt", "key": "key-b", "batch": "notes", **OF_TOMORROW, "state": "skipped"}
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (line, skipped)))

    with ResultsFile(path, "notes") as file:
        failed, other = file.previous["key-a"], file.previous["key-b"]
        assert (failed.failure, failed.retryable) == ("out_of_poetry", True)
        assert other.state == "skipped"
        assert file.previous_usage[0].usage == Usage(prompt_tokens=6, total_tokens=6)
    assert [json.loads(each) for each in path.read_text().splitlines()] == [line, skipped]


def test_a_result_of_an_older_version_has_defaults_for_what_it_lacks():
    least = {"job_id": "job-1", "state": "succeeded", "timings": {"created_at": NOW, "finished_at": NOW}}
    result = JobResult.model_validate(least)
    assert result.ok
    assert (result.usage, result.citations, result.failure, result.calls) == (Usage(), (), None, 0)
    assert result.state in TERMINAL
    assert JobState.SUCCEEDED in TERMINAL


def test_what_workers_hand_to_each_other_keeps_its_unknown_fields():
    left = {"endpoint": "emulator", "kind": "file", "id": "file-1", "region": "eu"}
    assert LeftoverRecord.model_validate(left).to_json() == json.dumps(left, separators=(",", ":"))

    batch = RemoteBatch.model_validate({"name": "b", "endpoint": "emulator", "made_at": NOW, "region": "eu"})
    assert json.loads(batch.model_copy(update={"reason": "busy"}).model_dump_json())["region"] == "eu"
