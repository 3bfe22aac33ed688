"""Locks of files: who has them, and when they end."""

import os

from threadmill.locks import claim_file, lock_file


def test_a_claimed_file_names_its_process_until_it_is_closed(tmp_path):
    path = tmp_path / "lock"
    with path.open("a+") as mine:
        assert claim_file(mine) is None
        with path.open("a+") as other:
            assert claim_file(other) == str(os.getpid())
    with path.open("a+") as later:
        assert lock_file(later) is None


def test_a_claim_replaces_the_id_that_a_killed_process_left(tmp_path):
    path = tmp_path / "lock"
    path.write_text("999999999")
    with path.open("a+") as file:
        assert claim_file(file) is None
        assert path.read_text() == str(os.getpid())
