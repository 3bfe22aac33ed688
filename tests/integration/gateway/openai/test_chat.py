"""`/v1/chat/completions` and `/v1/models` as OpenAI's SDK uses them."""

import openai
import pytest
from pydantic import BaseModel

pytestmark = pytest.mark.integration


class City(BaseModel):
    name: str


def asked(text):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def test_a_completion_is_awaited(sdk, model):
    completion = sdk.chat.completions.create(model=model, messages=asked("Why is the sky blue?"), temperature=0.5)

    assert "sky" in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == model
    assert completion.usage.total_tokens > 0


async def test_text_is_streamed_while_it_is_written(async_sdk, model):
    text = "All work and no play makes Jack a dull boy."
    stream = await async_sdk.chat.completions.create(
        model=model,
        messages=asked(f"[[scenario=echo deltas=10 run_s=1.5]]{text}"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    pieces = [chunk.choices[0].delta.content for chunk in chunks[:-1] if chunk.choices[0].delta.content]
    assert len(pieces) > 1
    assert "".join(pieces) == text
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens > 0


def test_the_helper_of_the_sdk_follows_a_stream(sdk, model):
    with sdk.chat.completions.stream(model=model, messages=asked("[[scenario=echo]] Hello")) as stream:
        completion = stream.get_final_completion()

    assert completion.choices[0].message.content.strip() == "Hello"


def test_structured_output_is_parsed(sdk, model):
    messages = asked('[[scenario=echo]]{"name": "Taipei"}')
    completion = sdk.chat.completions.parse(model=model, messages=messages, response_format=City)

    assert completion.choices[0].message.parsed == City(name="Taipei")


@pytest.mark.parametrize(
    ("scenario", "error", "code"),
    [
        ("failed", openai.InternalServerError, "server_error"),
        ("invalid_prompt", openai.BadRequestError, "invalid_prompt"),
        ("quota", openai.RateLimitError, "quota"),
    ],
)
def test_a_failed_job_is_an_error_that_the_sdk_does_not_repeat(sdk, site, model, scenario, error, code):
    before = len(site.client.jobs(limit=1000))

    with pytest.raises(error) as failed:
        sdk.with_options(max_retries=2).chat.completions.create(
            model=model, messages=asked(f"[[scenario={scenario}]] x")
        )

    assert failed.value.code == code
    assert len(site.client.jobs(limit=1000)) == before + 1


def test_a_failure_after_the_beginning_of_a_stream_is_an_error(sdk, model):
    with pytest.raises(openai.APIError, match="The job failed"):
        list(sdk.chat.completions.create(model=model, messages=asked("[[scenario=failed]] x"), stream=True))


@pytest.mark.parametrize(("asks", "code"), [({"stop": "x"}, "unsupported_parameter"), ({"seed": 1}, "invalid_value")])
def test_what_cannot_be_done_is_refused_by_its_name(sdk, asks, code):
    """A seed can be had, but not from this endpoint."""
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model="responses", messages=asked("x"), **asks)

    assert (refused.value.param, refused.value.code) == (*asks, code)


@pytest.mark.parametrize(("prompt", "tier"), [("x", "priority"), ("[[tier=default]]x", "default")])
def test_a_completion_shows_the_service_tier_that_was_used(sdk, prompt, tier):
    request = {"model": "responses", "messages": asked(prompt), "service_tier": "priority"}
    completion = sdk.chat.completions.create(**request)
    *_, last = sdk.chat.completions.create(**request, stream=True)

    assert (completion.service_tier, last.service_tier) == (tier, tier)


def test_models_are_endpoints_and_their_profiles(sdk):
    assert [model.id for model in sdk.models.list()] == ["assistants", "responses", "responses/echo"]
    assert sdk.models.retrieve("responses/echo").id == "responses/echo"
    with pytest.raises(openai.NotFoundError) as refused:
        sdk.models.retrieve("gpt-0")
    assert refused.value.code == "model_not_found"
