"""The round trip of `threadmill doctor` leaves no job behind, and says what it waited for."""

import pytest

from threadmill import JobState
from threadmill_cli.commands.set_up.doctor import round_trip

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch):
    monkeypatch.setattr(round_trip, "GRACE_S", 0.0)


def test_a_job_that_no_worker_takes_is_cancelled(client):
    with pytest.raises(round_trip.NoAnswer, match=r"^no answer in 0.01 s: no worker that serves 'emulator' is running"):
        round_trip.round_trip(client, "emulator", timeout_s=0.01)
    assert [job.state for job in client.jobs()] == [JobState.CANCELLED]


def test_a_job_is_cancelled_when_the_command_is_interrupted(client, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(client.store, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        round_trip.round_trip(client, "emulator", timeout_s=60)
    assert [job.state for job in client.jobs()] == [JobState.CANCELLED]
