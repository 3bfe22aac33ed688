"""What a run does about a document, by what earlier runs left of it."""

import pytest

from threadmill.batch.plan import DocumentStatus, document_status
from threadmill.batch.results import PreviousResult
from threadmill.job.result import JobState


@pytest.mark.parametrize(
    ("left", "is_known", "retry_failed", "stands"),
    [
        (None, False, False, DocumentStatus.NEW),
        (None, True, False, DocumentStatus.CHANGED),
        (JobState.SUCCEEDED, True, False, DocumentStatus.ANSWERED),
        (JobState.SUCCEEDED, True, True, DocumentStatus.ANSWERED),
        (JobState.FAILED, True, False, DocumentStatus.FAILED),
        (JobState.FAILED, True, True, DocumentStatus.AGAIN),
        (JobState.CANCELLED, True, False, DocumentStatus.AGAIN),
    ],
)
def test_only_what_is_missing_changed_or_to_be_retried_is_asked(left, is_known, retry_failed, stands):
    earlier = left and PreviousResult(left, "job-1")
    assert document_status(earlier, is_known=is_known, retry_failed=retry_failed) is stands


@pytest.mark.parametrize("kind", ["quota", "unauthorised", "unsupported"])
def test_a_document_that_the_endpoint_failed_counts_as_not_asked(kind):
    earlier = PreviousResult(JobState.FAILED, "job-1", kind)
    assert document_status(earlier, is_known=True, retry_failed=False) is DocumentStatus.AGAIN
