"""A long transcript loses its oldest images and exchanges, and what belongs together stays together."""

import json

from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.attempt.shortening import Shortened, shorten

PHOTO = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg" + "A" * 1000


def size(items):
    return len(json.dumps({"items": items}, ensure_ascii=False))


def said(role, content, **fields):
    return {"role": role, "content": content, **fields}


def photo(text, url=PHOTO):
    image = {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}
    return said("user", [{"type": "text", "text": text}, image])


def round_of(number, outputs):
    calls = [
        {"id": f"call_{number}_{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for n in range(len(outputs))
    ]
    tools = [said("tool", output, tool_call_id=call["id"]) for call, output in zip(calls, outputs, strict=True)]
    return [said("assistant", None, tool_calls=calls), *tools]


texts = st.text(max_size=60)


@st.composite
def exchanges(draw):
    number = draw(st.integers(0, 10**6))
    asked = [photo(text) if draw(st.booleans()) else said("user", text) for text in draw(st.lists(texts, min_size=1))]
    rounds = [each for outputs in draw(st.lists(st.lists(texts, min_size=1), max_size=2)) for each in outputs]
    called = round_of(number, rounds) if rounds else []
    return [*asked, *called, *[said("assistant", text) for text in draw(st.lists(texts, min_size=1, max_size=2))]]


systems = st.lists(st.builds(said, st.sampled_from(["system", "developer"]), texts), max_size=2)
limits = st.integers(0, 6000)


@given(systems, st.lists(exchanges(), min_size=1, max_size=6), limits)
def test_a_transcript_fits_or_only_the_last_exchange_is_left(system, talk, limit):
    items = [*system, *(message for exchange in talk for message in exchange)]
    left = shorten(items, limit)

    assert size(left.items) <= limit or len(left.items) == len(system) + len(talk[-1])
    assert len(left.items) + left.dropped == len(items)
    assert shorten(left.items, limit) == Shortened(left.items), "a repetition changes nothing"


@given(systems, st.lists(exchanges(), min_size=1, max_size=6), limits)
def test_whole_exchanges_go_the_oldest_first(system, talk, limit):
    items = [*system, *(message for exchange in talk for message in exchange)]
    left = shorten(items, limit)

    stayed = next(n for n in range(len(talk)) if sum(map(len, talk[:n])) == left.dropped)
    expected = [*system, *(message for exchange in talk[stayed:] for message in exchange)]
    assert [without_images(each) for each in left.items] == [without_images(each) for each in expected]


@given(st.lists(exchanges(), min_size=1, max_size=6), limits)
def test_each_output_follows_its_call_and_each_call_has_its_output(talk, limit):
    left = shorten([message for exchange in talk for message in exchange], limit)

    open_calls = []
    for message in left.items:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
        else:
            assert open_calls == []
            open_calls = [call["id"] for call in message.get("tool_calls", ())]
    assert open_calls == []


@given(st.lists(exchanges(), min_size=1, max_size=6))
def test_one_that_fits_is_not_changed(talk):
    items = tuple(message for exchange in talk for message in exchange)
    assert shorten(items, size(items)) == Shortened(items)


def without_images(message):
    parts = message["content"] if isinstance(message["content"], list) else []
    return {**message, "content": [part["text"] for part in parts[:1]]} if parts else message


def test_images_go_before_messages():
    items = [photo("First?"), said("assistant", "A cat."), photo("Second?"), said("assistant", "A dog.")]
    left = shorten(items, size(items) - 1)

    assert (left.dropped, left.images) == (0, 1)
    assert left.items[0]["content"][1] == {
        "type": "text",
        "text": f"[An image was here: {PHOTO[:40]}... ({len(PHOTO):,} characters)]",
    }
    assert left.items[1:] == tuple(items[1:])
    assert items[0] == photo("First?"), "the messages themselves are unchanged"


def test_the_images_of_the_last_exchange_stay_if_it_fits():
    items = [said("user", "x" * 900), said("assistant", "y"), photo("And this?"), said("assistant", "A dog.")]
    left = shorten(items, 1500)

    assert left == Shortened(tuple(items[2:]), dropped=2)


def test_one_image_that_is_too_long_does_not_cost_the_earlier_messages():
    items = [
        said("user", "My name is Ada."),
        said("assistant", "Hello."),
        photo("And this?"),
        said("assistant", "Dog."),
    ]
    left = shorten(items, 1000)

    assert (left.dropped, left.images) == (0, 1)
    assert left.items[:2] == tuple(items[:2])


def test_an_image_elsewhere_stays_as_its_address_is_short():
    items = [photo("Look.", "https://example.com/cat.png"), said("assistant", "A cat."), said("user", "x" * 500)]
    assert shorten(items, 600) == Shortened(tuple(items[2:]), dropped=2)


def test_what_was_never_asked_for_belongs_to_the_first_exchange():
    items = [said("assistant", "Hello!"), said("user", "x" * 500), said("assistant", "y"), said("user", "Well?")]
    assert shorten(items, 120) == Shortened(tuple(items[3:]), dropped=3)
    assert shorten([], 0) == Shortened(())
