"""Estimates of tokens and cost."""

import hashlib
import socket
import sys

import pytest

from threadmill.batch import estimate as estimates
from threadmill.batch.estimate import EstimatedPrompt, by_characters, counter_for, estimate
from threadmill.settings.prices import Cost, Prices

MINI = Prices.model_validate({"gpt-4o-mini": {"prompt": 1, "completion": 10}})

#: Texts with what o200k_base makes of them.
COUNTED = {
    "The insurer covers damage caused by leaking water, provided that the policyholder has met the obligations.": 19,
    "Die Rechnungen und Belege sind im Original beizufügen, spätestens innerhalb von vierzehn Tagen.": 22,
    "被保險人應於發現損害之日起五個工作日內以書面通知保險公司，並檢附發票及相關證明文件正本。": 42,
    "4711,1299.50,2024-12-01,EUR\n4712,87.25,2024-12-02,EUR\n": 33,
}


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch, tmp_path):
    """An empty cache, and no network."""

    def fail(*_: object) -> None:
        raise AssertionError("it went to the network")

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", fail)
    counter_for.cache_clear()
    yield
    counter_for.cache_clear()


@pytest.mark.parametrize(("text", "tokens"), COUNTED.items())
def test_tokens_estimated_by_characters_are_about_right(text, tokens):
    assert by_characters(text) == pytest.approx(tokens, rel=0.35)


def test_every_character_counts_once():
    assert [by_characters(text) for text in ("", "a", "é", "字", "字" * 1000, "a" * 1000, "\n" * 10)] == [
        0, 1, 1, 1, 1000, 220, 5,
    ]  # fmt: skip


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "some-llama", None])
def test_without_its_vocabulary_tokens_are_estimated(model):
    counter = counter_for(model)
    assert (counter.name, counter.count("字字")) == ("estimated by characters", 2)


def test_without_tiktoken_tokens_are_estimated(monkeypatch):
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert counter_for("gpt-4o").count("字字") == 2


def test_tiktoken_counts_if_its_cache_has_the_vocabulary(monkeypatch, tmp_path):
    """The encoding has single bytes as tokens, in place of the one that a real vocabulary makes."""
    tiktoken = pytest.importorskip("tiktoken")
    bytewise = tiktoken.Encoding(
        "bytewise",
        pat_str=r"\S+|\s+",
        mergeable_ranks={bytes([n]): n for n in range(256)},
        special_tokens={"<|x|>": 256},
    )
    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda model: bytewise)
    url = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(url.encode()).hexdigest()).touch()

    assert counter_for("gpt-4o").name == "counted with bytewise"
    assert counter_for("gpt-4o").count("é<|x|>") == 7, "what looks like a special token is text"
    assert counter_for("gpt-4").name == "estimated by characters", "its vocabulary is another one"


def test_an_estimate_counts_prompts_and_bounds_their_cost():
    asked = (EstimatedPrompt(f"{number}" * 600, "gpt-4o-mini-2024-07-18", "字" * 91, 1000) for number in range(10))
    found = estimate(asked, MINI)

    assert (found.prompts, found.prompt_tokens) == (10, 10 * (402 + 91 + 7))
    assert found.least == Cost(pytest.approx(0.005), "USD")
    assert found.most == Cost(pytest.approx(0.105), "USD")


def test_each_model_has_its_own_price():
    prices = Prices.model_validate({"a": {"prompt": 1, "completion": 10}, "b": {"prompt": 2, "completion": 20}})
    found = estimate([EstimatedPrompt("字" * 993, "a", "", 1000), EstimatedPrompt("字" * 993, "b", "", 2000)], prices)

    assert found.least.amount == pytest.approx(0.001 + 0.002)
    assert found.most.amount == pytest.approx(0.001 + 0.010 + 0.002 + 0.040)


@pytest.mark.parametrize(
    ("lane", "amount"),
    [(None, 0.001), ("batch", 0.0005), ("flex", 0.0005), ("within-2h", 0.0007), ("priority", 0.002)],
)
def test_a_lane_and_a_service_tier_are_estimated_at_their_price(lane, amount):
    asked = [EstimatedPrompt("字" * 993, "gpt-4o-mini", priced_as=lane)]
    assert estimate(asked, MINI).least.amount == pytest.approx(amount)


def test_the_prompts_of_one_batch_may_have_different_prices():
    asked = [EstimatedPrompt("字" * 993, "gpt-4o-mini", "", 1000, each) for each in ("priority", None, "flex")]
    found = estimate(asked, MINI)
    assert (found.least.amount, found.most.amount) == (pytest.approx(0.0035), pytest.approx(0.0385))


def test_an_unlimited_answer_has_no_highest_cost():
    asked = [EstimatedPrompt("Why?", "gpt-4o-mini", max_completion_tokens=256), EstimatedPrompt("Why?", "gpt-4o-mini")]
    assert estimate(asked, MINI).most is None


def test_without_a_price_the_tokens_and_the_model_are_shown():
    found = estimate([EstimatedPrompt("Why?", "llama")], MINI)
    assert (found.prompt_tokens, found.least) == (estimates._OVERHEAD + 2, Cost(None, "USD", ("llama",)))
    assert estimate([], MINI).least == Cost(0, "USD")
