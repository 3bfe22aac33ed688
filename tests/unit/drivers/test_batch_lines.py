"""The lines of a remote batch's file, as the provider answers them."""

import json

import pytest

from threadmill.secrets.redaction import REDACTOR
from threadmill_worker.drivers.batch_api import _answered, _entry


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_an_error_holds_no_secret(ensure_ascii):
    REDACTOR.register('sk-"secret"-ä')
    error = {"message": 'no access with sk-"secret"-ä'}
    line = {"custom_id": "job_1", "response": {"status_code": 401, "body": {"error": error}}}
    answered = _answered(_entry(json.dumps(line, ensure_ascii=ensure_ascii).encode()))

    assert answered.custom_id == "job_1"
    assert "no access with [key]" in repr(answered)
