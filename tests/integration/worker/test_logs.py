"""What a worker logs of a job."""

import pytest
from structlog.testing import capture_logs

pytestmark = pytest.mark.integration


async def test_a_job_is_logged_from_its_claim_to_its_end(worker):
    with capture_logs() as lines:
        result = await worker.run()

    own = [line for line in lines if line.get("job_id") == result.job_id]
    assert own[0]["event"] == "job claimed"
    assert {line["event"] for line in own[1:-1]} == {"phase", "run status"}
    end = own[-1]
    assert (end["event"], end["state"], end["message"]) == ("job finished", "succeeded", None)
    assert 0 <= end["duration_s"] <= 60


async def test_the_end_of_a_failed_job_carries_the_message(worker):
    with capture_logs() as lines:
        result = await worker.run("[[scenario=invalid_prompt]]")

    assert lines[-1]["failure"] == "invalid_prompt"
    assert lines[-1]["message"] == result.failure.message


@pytest.mark.endpoint(max_reruns=1)
async def test_a_rerun_is_logged_with_its_reason(worker):
    with capture_logs() as lines:
        result = await worker.run("[[scenario=expired run_s=0]]")

    [rerun] = [line for line in lines if line["event"] == "rerun"]
    assert (rerun["reruns"], rerun["reason"]) == (1, f"expired: {result.failure.message}")


async def test_the_end_of_a_job_that_never_began_is_logged_too(worker):
    with capture_logs() as lines:
        result = await worker.process.run("a-job", {"prompt": "Well?", "endpoint": "elsewhere"})

    assert lines[-1]["event"] == "job finished"
    assert lines[-1]["message"] == result.failure.message
