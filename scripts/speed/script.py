"""A bare script: AsyncOpenAI and a semaphore. Nothing that it does survives its end.

python -m speed.script URL WIRE SLOTS
"""

import asyncio
import sys
import time

from openai import AsyncOpenAI, DefaultAioHttpClient

from speed.pipe import Answer, serve
from speed.plain import ASK


def main(base_url: str, wire: str, slots: int) -> None:
    # the SDK's own transport searches all connections for a free one: it takes three times the CPU time with 200
    client = AsyncOpenAI(base_url=base_url, api_key="none", http_client=DefaultAioHttpClient())

    async def answer(prompts: list[str]) -> list[Answer]:
        free = asyncio.Semaphore(slots)

        async def one(prompt: str) -> Answer:
            async with free:
                late_s = await ASK[wire](client, prompt)
                return Answer(time.time(), late_s)

        return await asyncio.gather(*(one(prompt) for prompt in prompts))

    with asyncio.Runner() as runner:
        serve(lambda prompts: runner.run(answer(prompts)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
