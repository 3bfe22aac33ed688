"""LiteLLM's proxy: its chat completions, and its responses in three configurations."""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import redis

from servers import backends
from servers.backends import Backend
from servers.installed import installed
from servers.kind import START_S, Kind, Running, answers, in_front_of, process
from servers.own_redis import own_redis
from threadmill_cli.local.services import free_port

VERSION = "1.108.7"


@contextmanager
def _litellm(folder: Path, backend: Backend, settings: Mapping[str, Any]) -> Iterator[Running]:
    bin = installed(folder / "litellm", ">=3.11,<3.14", [f"litellm[proxy]=={VERSION}"])
    port, key = free_port(), f"sk-{secrets.token_urlsafe(24)}"
    config = folder / "litellm.json"  # JSON is YAML too
    common = {"general_settings": {"master_key": key}, "router_settings": {"num_retries": 0}}
    config.write_text(json.dumps({**common, **settings}))
    command = [str(bin / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else it fetches one, three times where it cannot
    with process("litellm", command, folder, environment) as started:
        started.wait_until(lambda: answers(f"http://127.0.0.1:{port}/health/liveliness"), START_S)
        yield Running(f"http://127.0.0.1:{port}/v1", key, backend.model, backend, backend.alive)


def _model(provider: str, backend: Backend) -> dict[str, Any]:
    parameters = {"model": f"{provider}/{backend.model}", "api_base": backend.url, "api_key": "none"}
    return {"model_list": [{"model_name": backend.model, "litellm_params": parameters}]}


def _bridge(folder: Path, backend: Backend) -> AbstractContextManager[Running]:
    """DeepSeek's API has chat completions alone: LiteLLM translates responses."""
    return _litellm(folder, backend, _model("deepseek", backend))


def _native(folder: Path, backend: Backend) -> AbstractContextManager[Running]:
    """OpenAI's API has responses and chat completions: LiteLLM passes them on."""
    return _litellm(folder, backend, _model("openai", backend))


@contextmanager
def _polling(folder: Path, backend: Backend) -> Iterator[Running]:
    """The bridge again, with its answers kept in Redis until they are fetched."""
    with own_redis(folder) as port, redis.Redis(port=port) as cache:
        background = {"background_mode": {"polling_via_cache": "all", "ttl": 3600}}
        store = {"type": "redis", "host": "127.0.0.1", "port": port}
        settings = {"cache": True, "cache_params": store | {"supported_call_types": []}, "responses": background}
        with _litellm(folder, backend, _model("deepseek", backend) | {"litellm_settings": settings}) as running:
            yield Running(running.url, running.key, running.model, backend, lambda: len(cache.keys("*polling*")))


_NAME = f"LiteLLM {VERSION}"
_RESPONSES = {"kind": "responses", "supports": {"files": False}}
KINDS = (
    Kind("litellm-chat", _NAME, in_front_of(backends.model, _native), {"kind": "chat"}, 1),
    Kind("litellm-bridge", _NAME, in_front_of(backends.model, _bridge), _RESPONSES, 2),
    Kind("litellm-polling", _NAME, in_front_of(backends.model, _polling), _RESPONSES, 3),
    Kind("litellm-native", _NAME, in_front_of(backends.emulator, _native), _RESPONSES, 3),
)
