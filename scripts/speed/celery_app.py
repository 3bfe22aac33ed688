"""Celery with a pool of threads and the SDK: what a service would write by hand. As a program, it sends the tasks."""

import os
import time

from celery import Celery
from openai import OpenAI

from speed.pipe import Answer, serve
from speed.plain import ask_in_thread

app = Celery("plain", broker=os.environ["PLAIN_REDIS_URL"], backend=os.environ["PLAIN_REDIS_URL"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, task_default_queue="plain")
_client = OpenAI(base_url=os.environ["PLAIN_BASE_URL"], api_key="none")


@app.task(name="plain.ask")  # type: ignore[untyped-decorator]
def ask(prompt: str) -> Answer:
    late_s = ask_in_thread(_client, prompt)
    return Answer(time.time(), late_s)


def send(prompts: list[str]) -> list[Answer]:
    sent = [ask.delay(prompt) for prompt in prompts]
    return [each.get(timeout=600) for each in sent]


if __name__ == "__main__":
    serve(send)
