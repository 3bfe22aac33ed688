"""What a program without threadmill does for a job: the calls of a plain worker, with the SDK as its docs show it.

Each function returns how late the answer came, in seconds after the end of the run.
"""

import asyncio
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping

from openai import AsyncOpenAI, OpenAI

from speed.replies import ended_at

warnings.filterwarnings("ignore", category=DeprecationWarning, message="The Assistants API is deprecated")

_POLL_S = 1.0  #: as the SDK's create_and_poll


async def ask_assistant(client: AsyncOpenAI, prompt: str) -> float:
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": prompt}])
    run = await client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_emulator")
    messages = await client.beta.threads.messages.list(thread.id, run_id=run.id)
    late_s = time.time() - ended_at(messages.data[0].content[0].text.value)  # type: ignore[union-attr]
    await client.beta.threads.delete(thread.id)
    return late_s


async def ask_responses(client: AsyncOpenAI, prompt: str) -> float:
    response = await client.responses.create(model="emulator-1", input=prompt, background=True)
    while True:
        response = await client.responses.retrieve(response.id)
        if response.status not in ("queued", "in_progress"):
            break
        await asyncio.sleep(_POLL_S)
    late_s = time.time() - ended_at(response.output_text)
    await client.responses.delete(response.id)
    return late_s


async def ask_chat(client: AsyncOpenAI, prompt: str) -> float:
    completion = await client.chat.completions.create(
        model="emulator-1", messages=[{"role": "user", "content": prompt}]
    )
    return time.time() - ended_at(completion.choices[0].message.content or "")


ASK: Mapping[str, Callable[[AsyncOpenAI, str], Awaitable[float]]] = {
    "assistants": ask_assistant,
    "responses": ask_responses,
    "chat": ask_chat,
}


def ask_in_thread(client: OpenAI, prompt: str) -> float:
    """As `ask_assistant`, for a thread of Celery's pool."""
    thread = client.beta.threads.create(messages=[{"role": "user", "content": prompt}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_emulator")
    messages = client.beta.threads.messages.list(thread.id, run_id=run.id)
    late_s = time.time() - ended_at(messages.data[0].content[0].text.value)  # type: ignore[union-attr]
    client.beta.threads.delete(thread.id)
    return late_s
