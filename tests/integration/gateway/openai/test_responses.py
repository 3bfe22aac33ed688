"""`/v1/responses` as OpenAI's SDK uses it: a response is created, awaited, followed, continued, cancelled, deleted."""

import asyncio

import openai
import pytest
from pydantic import BaseModel

from threadmill_gateway.openai.identifiers import RESPONSE, job_of

pytestmark = pytest.mark.integration

ASKED = "Why is the sky blue?"
SLOW = "[[scenario=echo run_s=60]] Slowly"


class City(BaseModel):
    name: str
    people: int


def test_a_response_is_awaited(sdk, model):
    response = sdk.responses.create(model=model, input=ASKED, metadata={"order": "4711"})

    assert response.status == "completed"
    assert "sky" in response.output_text
    assert response.model == model
    assert response.metadata == {"order": "4711"}
    assert response.usage.total_tokens > 0
    assert sdk.responses.retrieve(response.id) == response


def test_a_response_works_in_the_background(sdk, site, model):
    response = sdk.responses.create(model=model, input=ASKED, background=True)
    assert response.status in ("queued", "in_progress")

    site.client.wait(job_of(RESPONSE, response.id), timeout_s=60)

    assert sdk.responses.retrieve(response.id).status == "completed"


def test_instructions_and_messages_reach_the_server(sdk, model):
    messages = [
        {"role": "developer", "content": "Speak of Taipei."},
        {"role": "user", "content": "[[scenario=echo]] Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "input_text", "text": "[[scenario=echo]] And now?"}]},
    ]
    response = sdk.responses.create(model=model, instructions="Be brief.", input=messages)
    items = sdk.responses.input_items.list(response.id, order="asc", limit=2)

    assert "And now?" in response.output_text
    assert response.instructions == "Be brief."
    assert [item.role for item in items.data] == ["user", "assistant"]
    assert [item.content[0].text for item in items] == ["[[scenario=echo]] Hello", "Hi", "[[scenario=echo]] And now?"]


def test_a_profile_and_a_model_are_named_after_the_endpoint(sdk, site):
    of_profile = sdk.responses.create(model="responses/echo", input="Repeat this")
    of_model = sdk.responses.create(model="responses/emulator-echo", input="Repeat this")
    usual = sdk.responses.create(model="emulator-echo", input="Repeat this")

    assert [each.output_text for each in (of_profile, of_model, usual)] == ["Repeat this"] * 3
    assert [each.model for each in (of_profile, of_model, usual)] == [
        "responses/echo",
        "emulator-echo",
        "emulator-echo",
    ]
    assert site.client.get(job_of(RESPONSE, of_profile.id)).job.profile == "echo"


def test_structured_output_is_parsed(sdk, model):
    text = '{"name": "Taipei", "people": 2500000}'
    response = sdk.responses.parse(model=model, input=f"[[scenario=echo]]{text}", text_format=City)

    assert response.output_parsed == City(name="Taipei", people=2500000)
    assert response.text.format.type == "json_schema"


def test_a_tool_of_the_workers_is_called(sdk, model):
    tool = {"type": "function", "name": "multiply", "parameters": None, "strict": None}
    response = sdk.responses.create(model=model, input="[[scenario=tools]] 3 times 4?", tools=[tool])

    assert response.status == "completed"
    assert [each.name for each in response.tools] == ["multiply"]


async def test_text_is_streamed_while_it_is_written(async_sdk, model):
    text = "All work and no play makes Jack a dull boy. " * 4 + "So."
    stream = await async_sdk.responses.create(
        model=model, input=f"[[scenario=echo deltas=20 run_s=1.5]]{text}", stream=True
    )
    events = [event async for event in stream]

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == text
    assert [event.type for event in events if event.type in ("response.created", "response.completed")] == [
        "response.created",
        "response.completed",
    ]
    assert events[-1].response.output_text == text
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))


def test_the_helper_of_the_sdk_follows_a_stream(sdk, model):
    text = '{"name": "Taipei", "people": 1}'
    with sdk.responses.stream(model=model, input=f"[[scenario=echo]]{text}", text_format=City) as stream:
        final = stream.get_final_response()

    assert final.output_parsed == City(name="Taipei", people=1)


def test_a_stream_is_continued_after_an_event(sdk, model):
    text = "One two three four five"
    asked = f"[[scenario=echo deltas=5 run_s=1]]{text}"
    seen, response_id = [], ""
    with sdk.responses.create(model=model, input=asked, background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.type == "response.created":
                response_id = event.response.id
            if event.type == "response.output_text.delta":
                break

    rest = list(sdk.responses.retrieve(response_id, stream=True, starting_after=seen[-1].sequence_number))

    said = "".join(event.delta for event in (*seen, *rest) if event.type == "response.output_text.delta")
    assert said == text
    assert rest[-1].type == "response.completed"
    assert rest[0].sequence_number > seen[-1].sequence_number
    again = list(sdk.responses.retrieve(response_id, stream=True))
    assert [event.type for event in again if not event.type.endswith("delta")] == [
        event.type for event in (*seen, *rest) if not event.type.endswith("delta")
    ]


def test_a_response_is_cancelled(sdk, model):
    response = sdk.responses.create(model=model, input=SLOW, background=True)

    cancelled = sdk.responses.cancel(response.id)

    assert cancelled.status == "cancelled"
    assert sdk.responses.cancel(response.id).status == "cancelled"
    last = list(sdk.responses.retrieve(response.id, stream=True))[-1]
    assert (last.type, last.response.status) == ("response.failed", "cancelled")


def test_a_response_is_deleted_when_it_has_ended(sdk, model):
    response = sdk.responses.create(model=model, input=SLOW, background=True)
    with pytest.raises(openai.BadRequestError, match="cancel it"):
        sdk.responses.delete(response.id)
    sdk.responses.cancel(response.id)

    sdk.responses.delete(response.id)

    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.delete(response.id)


def test_a_conversation_continues_from_the_last_response(sdk, site, model, until):
    first = sdk.responses.create(model=model, input="[[scenario=recall]] I am Ada.", store=True)
    second = sdk.responses.create(
        model=model, input="[[scenario=recall]] Who am I?", previous_response_id=first.id, store=True
    )

    assert "Ada" in second.output_text
    assert second.previous_response_id == first.id
    with pytest.raises(openai.BadRequestError, match=second.id) as refused:
        sdk.responses.create(model=model, input="Again?", previous_response_id=first.id)
    assert refused.value.param == "previous_response_id"

    sdk.responses.delete(first.id)
    assert any(thread.job_id == job_of(RESPONSE, second.id) for thread in site.client.threads())
    sdk.responses.delete(second.id)
    assert not any(thread.job_id == job_of(RESPONSE, second.id) for thread in site.client.threads())
    until(lambda: not site.client.leftovers())


@pytest.mark.parametrize("previous", ["resp_0", "unknown", "resp_00000000000040008000000000000000"])
def test_an_unknown_response_is_not_continued(sdk, previous):
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(model="responses", input="Well?", previous_response_id=previous)

    assert refused.value.code == "previous_response_not_found"


def test_a_response_without_a_thread_is_not_continued(sdk):
    first = sdk.responses.create(model="responses", input="Hello")

    with pytest.raises(openai.BadRequestError, match="store=true") as refused:
        sdk.responses.create(model="responses", input="Well?", previous_response_id=first.id)

    assert refused.value.param == "previous_response_id"


def test_a_response_continues_on_its_own_endpoint(sdk):
    first = sdk.responses.create(model="responses", input="Hello", store=True)

    with pytest.raises(openai.BadRequestError, match="use its model") as refused:
        sdk.responses.create(model="assistants", input="Well?", previous_response_id=first.id)

    assert refused.value.param == "model"
    sdk.responses.delete(first.id)


def test_the_same_key_returns_the_same_response(sdk, model):
    key = {"Idempotency-Key": f"{model}-key"}
    first = sdk.responses.create(model=model, input="Hello", store=True)
    asked = {"model": model, "input": "Well?", "previous_response_id": first.id, "store": True}
    second = sdk.responses.create(**asked, extra_headers=key)

    assert sdk.responses.create(**asked, extra_headers=key).id == second.id
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        sdk.responses.create(**asked | {"input": "Something else?"}, extra_headers=key)
    assert refused.value.code == "idempotency_key_in_use"
    sdk.responses.delete(second.id)


@pytest.mark.parametrize(
    ("scenario", "status", "code"),
    [
        ("failed", "failed", "server_error"),
        ("invalid_prompt", "failed", "invalid_prompt"),
        ("incomplete", "incomplete", None),
    ],
)
def test_a_response_that_fails_says_why(sdk, model, scenario, status, code):
    response = sdk.responses.create(model=model, input=f"[[scenario={scenario}]] Hello")

    assert response.status == status
    assert (response.error.code if response.error else None) == code


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning": {"effort": "high"}}, "reasoning.effort"),
        ({"temperature": 5}, "temperature"),
        ({"tools": [{"type": "function", "name": "mine", "parameters": {}, "strict": True}]}, "tools[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input[0].type"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "nothing"}}}}, "text.format"),
        ({"max_output_tokens": 1}, "max_output_tokens"),
        ({"user": "someone"}, "user"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(sdk, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(**{"model": "responses", "input": "Hello"} | fields)

    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


def test_a_model_that_leads_nowhere_is_refused(sdk):
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(model="assistants/echo", input="Hello")

    assert refused.value.status_code == 400
    assert "not applied" in refused.value.message


async def test_a_client_that_hangs_up_leaves_its_job_or_cancels_it(site, async_sdk, until):
    async def hang_up(**headers: str) -> str:
        before = {job.id for job in site.client.jobs(limit=1000)}
        creating = asyncio.create_task(async_sdk.responses.create(model="responses", input=SLOW, extra_headers=headers))
        new = await asyncio.to_thread(until, lambda: [j.id for j in site.client.jobs(limit=1000) if j.id not in before])
        creating.cancel()
        return new[0]

    cancelled = await hang_up(**{"X-Threadmill-Cancel-On-Disconnect": "true"})
    left = await hang_up()

    assert (await asyncio.to_thread(site.client.wait, cancelled, 60)).state == "cancelled"
    assert not site.client.get(left).cancel_requested
    await asyncio.to_thread(site.client.cancel, left)


async def test_a_follower_that_hangs_up_cancels_its_job_if_it_says_so(site, async_sdk):
    stream = await async_sdk.responses.create(
        model="responses", input=SLOW, stream=True, extra_headers={"X-Threadmill-Cancel-On-Disconnect": "true"}
    )
    job_id = job_of(RESPONSE, (await anext(aiter(stream))).response.id)

    await stream.close()

    assert (await asyncio.to_thread(site.client.wait, job_id, 60)).state == "cancelled"
