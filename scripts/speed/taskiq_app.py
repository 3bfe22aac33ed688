"""taskiq with a stream in Redis, which delivers again what was not acknowledged, and the asynchronous SDK.

As a program, it sends the tasks.
"""

import asyncio
import os
import time

from openai import AsyncOpenAI, DefaultAioHttpClient
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from speed.pipe import Answer, serve
from speed.plain import ask_assistant

_url = os.environ["PLAIN_REDIS_URL"]
# from the first message on, also if that is older than the worker
broker = RedisStreamBroker(_url, consumer_id="0").with_result_backend(RedisAsyncResultBackend(_url))
_client = AsyncOpenAI(base_url=os.environ["PLAIN_BASE_URL"], api_key="none", http_client=DefaultAioHttpClient())


async def answer(prompt: str) -> Answer:
    late_s = await ask_assistant(_client, prompt)
    return Answer(time.time(), late_s)


ask = broker.task(task_name="plain.ask")(answer)


async def send(prompts: list[str]) -> list[Answer]:
    sent = [await ask.kiq(prompt) for prompt in prompts]
    results = [await each.wait_result(check_interval=0.05, timeout=600) for each in sent]
    for result in results:
        result.raise_for_error()
    return [result.return_value for result in results]


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(broker.startup())
        serve(lambda prompts: runner.run(send(prompts)))
