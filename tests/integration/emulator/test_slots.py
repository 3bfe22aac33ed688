"""A server that works on some chat completions at a time, while others wait or are refused."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from tests.integration.emulator.test_chat import stats, until, user

from threadmill_emulator.scripting.limits import Limits
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.testing import Running

pytestmark = pytest.mark.integration
OPTIONS = Options(run_s=0.05, limits=Limits(slots=4))


def limits(server: Running, **changes: Any) -> Any:
    return httpx.post(f"{server.url}/_limits", json=changes).json()


def ask(client: AsyncOpenAI, text: str, **more: Any) -> Any:
    return client.chat.completions.create(model="m", messages=[user(text)], **more)


@pytest.fixture
async def sdk(server: Running):
    server.emulator.reset()
    async with AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        yield client


async def read(stream: Any) -> int:
    return len([chunk async for chunk in stream])


async def test_the_others_wait_for_their_turn(sdk: AsyncOpenAI, server: Running):
    calls = [ask(sdk, f"{number}") for number in range(12)]
    streams = [ask(sdk, f"{number}", stream=True) for number in range(12)]
    await asyncio.gather(*calls, *[read(await stream) for stream in streams])
    seen = await asyncio.to_thread(stats, server)
    assert seen["completions"]["by_status"] == {"completed": 24}
    assert seen["completions"]["peak"] == 4
    assert (await asyncio.to_thread(limits, server))["slots"] == {"taken": 0, "waiting": 0}


async def test_a_client_that_hangs_up_frees_its_slot_and_its_turn(sdk: AsyncOpenAI, server: Running):
    stuck = [asyncio.create_task(ask(sdk, "[[scenario=stuck]] x")) for _ in range(6)]
    await asyncio.to_thread(until, lambda: limits(server)["slots"] == {"taken": 4, "waiting": 2})
    for task in stuck:
        task.cancel()
    await asyncio.to_thread(until, lambda: limits(server)["slots"] == {"taken": 0, "waiting": 0})
    assert (await ask(sdk, "x")).choices


async def test_a_full_queue_refuses(sdk: AsyncOpenAI, server: Running):
    await asyncio.to_thread(limits, server, queue=0)
    stuck = [asyncio.create_task(ask(sdk, "[[scenario=stuck]] x")) for _ in range(4)]
    await asyncio.to_thread(until, lambda: limits(server)["slots"]["taken"] == 4)
    with pytest.raises(openai.InternalServerError, match="server busy") as refused:
        await ask(sdk, "x")
    assert refused.value.status_code == 503
    for task in stuck:
        task.cancel()


async def test_a_refused_request_leaves_its_slot(sdk: AsyncOpenAI, server: Running):
    with pytest.raises(openai.BadRequestError):
        await ask(sdk, "[[scenario=unheard]] x")
    assert (await asyncio.to_thread(limits, server))["slots"] == {"taken": 0, "waiting": 0}
