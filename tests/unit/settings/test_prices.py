"""What tokens cost by the prices in the settings."""

import pytest

from threadmill.batch.spending import BatchLimits, Spending
from threadmill.errors import SettingsError
from threadmill.job.result import ModelUsage, Usage, add_up
from threadmill.settings.prices import Cost, Price, Prices, cost
from threadmill.settings.settings import Settings

MILLION = 1_000_000


def prices(**models: tuple[float, float]) -> Prices:
    return Prices.model_validate({name: {"prompt": read, "completion": made} for name, (read, made) in models.items()})


def used(model: str | None, read: int = MILLION, made: int = 0, lane: str | None = None) -> ModelUsage:
    usage = Usage(prompt_tokens=read, completion_tokens=made, total_tokens=read + made)
    return ModelUsage(model=model, lane=lane, usage=usage)


MINI = prices(**{"gpt-4o-mini": (0.15, 0.60)})


def test_a_million_tokens_cost_what_the_settings_say():
    assert cost([used("gpt-4o-mini", MILLION, MILLION // 2)], MINI) == Cost(pytest.approx(0.45), "USD")


@pytest.mark.parametrize(
    ("lane", "share"),
    [("batch", 0.5), ("flex", 0.5), ("within-2h", 0.7), ("within-8h", 0.6), ("of-a-newer-version", 1)],
)
def test_a_lane_costs_its_share_of_the_ordinary_price(lane, share):
    ordinary, cheap = (cost([used("gpt-4o-mini", lane=each)], MINI).amount for each in (None, lane))
    assert cheap == pytest.approx(ordinary * share)


def test_the_share_of_a_lane_can_be_set():
    prices = Prices.model_validate({"m": {"prompt": 1, "completion": 1}, "within_8h_lane_factor": 0.25})
    assert cost([used("m", lane="within-8h")], prices).amount == 0.25


def test_the_service_tier_priority_costs_more_by_a_factor_that_models_may_differ_in():
    fast = [used("usual", lane="priority")], [used("other", lane="priority")]
    table = {"usual": {"prompt": 1, "completion": 1}, "other": {"prompt": 1, "completion": 1, "priority_factor": 2.5}}

    assert [cost(each, Prices.model_validate(table)).amount for each in fast] == [2, 2.5]
    assert [cost(each, Prices.model_validate({**table, "priority_factor": 1.75})).amount for each in fast] == [
        1.75,
        2.5,
    ]


def test_the_batch_lane_is_cheaper_by_its_factor():
    ordinary, cheap = (cost([used("gpt-4o-mini", lane=lane)], MINI).amount for lane in (None, "batch"))
    assert cheap == ordinary / 2
    free = MINI.model_copy(update={"batch_lane_factor": 0})
    assert cost([used("gpt-4o-mini", lane="batch")], free).amount == 0


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-4o", 2),
        ("gpt-4o-2024-08-06", 2),
        ("gpt-4o-mini", 1),
        ("gpt-4o-mini-2024-07-18", 1),
        ("gpt-4-0613", 4),
        ("gpt-4-2099", 5),  # priced by itself
        ("gpt-4-2099-0101", 5),  # and so are its versions
        ("gpt-4o-audio-preview", None),  # another model, at another price
        ("gpt-4o-mini-tts-2025-12-15", None),
        ("gpt-4-32k", None),
        ("gpt-4-1", None),
        ("gpt-4o2024", None),
        ("gpt", None),
    ],
)
def test_a_dated_model_has_the_price_of_its_undated_name(model, found):
    known = prices(**{"gpt-4o-mini": (1, 1), "gpt-4o": (2, 2), "gpt-4": (4, 4), "gpt-4-2099": (5, 5)})
    assert known.of(model) == (Price(prompt=found, completion=found) if found else None)


def test_what_has_no_price_is_named_and_the_rest_is_counted():
    mixed = cost([used("gpt-4o-mini"), used("llama"), used(None), used("llama", lane="batch")], MINI)

    assert mixed == Cost(pytest.approx(0.15), "USD", ("llama", ""))
    assert str(mixed) == (
        '0.1500 USD, but no price for llama: add [prices."llama"]; no price where the model is not known'
    )
    assert cost([used("llama")], MINI) == Cost(None, "USD", ("llama",))
    assert str(cost([used("llama")], MINI)) == 'no price for llama: add [prices."llama"]'


def test_a_model_without_tokens_needs_no_price():
    assert cost([used("llama", 0)], MINI) == cost([], MINI) == Cost(0, "USD")


def test_tokens_reported_only_in_the_total_are_not_free():
    usage = Usage(prompt_tokens=MILLION, total_tokens=2 * MILLION)
    assert cost([ModelUsage(model="gpt-4o-mini", usage=usage)], MINI).amount == pytest.approx(0.75)


def test_amounts_are_shown_as_finely_as_they_are_small():
    assert [str(Cost(amount, "EUR")) for amount in (0.0, 0.00321, 1234.5)] == [
        "0.0000 EUR",
        "0.0032 EUR",
        "1,234.50 EUR",
    ]


def test_usage_adds_up_by_model_and_lane():
    parts = [used("a", 1), used("b", 2), used("a", 3, lane="batch"), used("a", 4)]
    assert add_up(parts) == (used("a", 5), used("b", 2), used("a", 3, lane="batch"))


def loaded(folder, monkeypatch, text: str) -> Settings:
    monkeypatch.chdir(folder)
    (folder / "threadmill.toml").write_text(text)
    return Settings.load()


def test_prices_stand_in_the_settings(tmp_path, monkeypatch):
    text = '[prices]\ncurrency = "EUR"\n[prices."gpt-4o-mini"]\nprompt = 0.15\ncompletion = 0.60\n'
    found = loaded(tmp_path, monkeypatch, text).prices

    assert (found.currency, found.batch_lane_factor) == ("EUR", 0.5)
    assert found.of("gpt-4o-mini") == Price(prompt=0.15, completion=0.60)
    monkeypatch.setenv("THREADMILL_PRICES", '{"llama3:8b": {"prompt": 0, "completion": 0}}')
    assert Settings.load().prices.of("llama3:8b") == Price(prompt=0, completion=0)
    assert Settings.load().prices.of("gpt-4o-mini"), "the file's prices stay"


def test_no_price_is_built_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.load().prices == Prices()
    assert Prices().of("gpt-4o-mini") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[prices]\ncurrancy = "EUR"', "`prices.currancy`: "),
        ('[prices."m"]\nprompt = 1', "`prices.m.completion`: "),
        ('[prices."m"]\nprompt = -1\ncompletion = 1', "`prices.m.prompt`: "),
        ('[prices."m"]\nprompt = nan\ncompletion = 1', "`prices.m.prompt`: "),
        ('[prices."m"]\nprompt = 1\ncompletion = 1\ncached = 1', "unknown field `prices.m.cached`"),
    ],
)
def test_a_mistake_is_reported_with_its_position(tmp_path, monkeypatch, text, says):
    with pytest.raises(SettingsError) as told:
        loaded(tmp_path, monkeypatch, text)
    assert says in str(told.value)


UNSEEN = ModelUsage(model="gpt-4o-mini", usage=Usage(unreported=3))


def test_tokens_that_a_server_does_not_report_are_not_zero():
    unseen = cost([UNSEEN], MINI)
    assert (unseen.amount, unseen.unreported) == (None, 3)
    assert str(unseen) == "the server did not report the tokens of 3 runs"
    assert UNSEEN.usage.in_words == "not reported"
    assert Usage().in_words == "0"


def test_known_costs_are_shown_beside_unknown_ones():
    both = add_up([UNSEEN, ModelUsage(model="gpt-4o-mini", usage=Usage(prompt_tokens=MILLION, total_tokens=MILLION))])
    assert cost(both, MINI).amount == pytest.approx(0.15)
    assert str(cost(both, MINI)).endswith("but the server did not report the tokens of 3 runs")
    assert both[0].usage.in_words == "1,000,000, and 3 runs not reported"


@pytest.mark.parametrize("limits", [BatchLimits(max_cost=5), BatchLimits(max_tokens=1000)])
def test_a_budget_that_cannot_be_seen_stops_the_batch(limits):
    spending = Spending(MINI)
    spending.add([ModelUsage(model="gpt-4o-mini", usage=Usage(prompt_tokens=10, total_tokens=10))])
    assert limits.reached(spending, 0) is None
    spending.add([ModelUsage(model="elsewhere", usage=Usage(unreported=1))])
    said = limits.reached(spending, 0) or ""
    assert "the server does not report tokens" in said
    assert "leave out --max-cost and --max-total-tokens" in said
    assert BatchLimits(max_failures=3).reached(spending, 0) is None
