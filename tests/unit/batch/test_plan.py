"""The status of a document by its previous result."""

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
def test_status_depends_on_the_previous_result(left, is_known, retry_failed, stands):
    earlier = left and PreviousResult(left, "job-1")
    assert document_status(earlier, is_known=is_known, retry_failed=retry_failed) is stands


@pytest.mark.parametrize("kind", ["quota", "unauthorised", "unsupported"])
def test_after_an_endpoint_failure_a_document_is_asked_again(kind):
    earlier = PreviousResult(JobState.FAILED, "job-1", kind)
    assert document_status(earlier, is_known=True, retry_failed=False) is DocumentStatus.AGAIN
