"""What a run does about a document, by what earlier runs left of it."""

import pytest

from threadmill.batch.plan import Standing, standing
from threadmill.batch.results import Earlier
from threadmill.result import JobState


@pytest.mark.parametrize(
    ("left", "is_known", "retry_failed", "stands"),
    [
        (None, False, False, Standing.NEW),
        (None, True, False, Standing.CHANGED),
        (JobState.SUCCEEDED, True, False, Standing.ANSWERED),
        (JobState.SUCCEEDED, True, True, Standing.ANSWERED),
        (JobState.FAILED, True, False, Standing.FAILED),
        (JobState.FAILED, True, True, Standing.AGAIN),
        (JobState.CANCELLED, True, False, Standing.AGAIN),
    ],
)
def test_only_what_is_missing_changed_or_to_be_retried_is_asked(left, is_known, retry_failed, stands):
    earlier = left and Earlier(left, "job-1")
    assert standing(earlier, is_known=is_known, retry_failed=retry_failed) is stands


@pytest.mark.parametrize("kind", ["quota", "unauthorised", "unsupported"])
def test_a_document_that_the_endpoint_failed_counts_as_not_asked(kind):
    earlier = Earlier(JobState.FAILED, "job-1", kind)
    assert standing(earlier, is_known=True, retry_failed=False) is Standing.AGAIN
