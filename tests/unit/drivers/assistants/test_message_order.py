"""Threads as their messages were written, whatever order a server lists the messages of one second in."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadmill_worker.drivers.assistants.message_order import answers_of, oldest_first


def asks(job: str, number: int = 0, at: float = 100) -> dict[str, Any]:
    mark = {"threadmill": f"{job}/message-{number}"}
    return {"id": f"{job}{number}", "role": "user", "created_at": at, "metadata": mark}


def answers(run: str | None, at: float = 100) -> dict[str, Any]:
    return {"id": f"answer-{run}", "role": "assistant", "created_at": at, "run_id": run, "metadata": {}}


def foreign(name: str, at: float = 100) -> dict[str, Any]:
    return {"id": name, "role": "user", "created_at": at, "metadata": None}


@pytest.mark.parametrize("listed", list(permutations([asks("a"), asks("a", 1), answers("r1")])))
def test_an_answer_follows_the_messages_of_its_job(listed: Any) -> None:
    assert [each["id"] for each in oldest_first(listed)] == ["a0", "a1", "answer-r1"]


def test_a_server_that_lists_the_newest_first_is_put_right() -> None:
    written = [asks("a", at=1.0), answers("r1", at=1.0), asks("b", at=1.0), answers("r2", at=1.0), asks("c", at=2.0)]
    assert oldest_first(written[::-1]) == written


def test_an_order_that_can_be_right_is_kept() -> None:
    written = [
        asks("a", at=1),
        answers("r1", at=2),
        asks("b", at=2),
        foreign("u1", 3),
        foreign("u2", 3),
        answers("r2", 3),
    ]
    assert oldest_first(written) == written


def test_an_answer_to_the_second_before_comes_first() -> None:
    written = [asks("a", at=1), answers("r1", at=2), asks("b", at=2), answers("r2", at=2)]
    assert oldest_first([written[0], written[3], written[2], written[1]])[0] == written[0]
    assert [each["role"] for each in oldest_first([written[0], written[1], written[3], written[2]])] == [
        "user",
        "assistant",
        "user",
        "assistant",
    ]


def test_messages_without_a_time_stay_as_they_are_listed() -> None:
    listed = [answers("r1"), {"id": "x", "role": "user", "created_at": None}]
    assert oldest_first(listed) == listed


def nameless(name: str, at: float = 100) -> dict[str, Any]:
    """An answer of a server that names no run."""
    return {**answers(None, at), "id": name}


def ids(messages: Any) -> list[str]:
    return [each["id"] for each in messages]


@pytest.mark.parametrize("listed", list(permutations([asks("b", at=2.0), asks("b", 1, at=2.0), nameless("a2", 2.0)])))
def test_an_answer_that_names_no_run_follows_the_questions_of_its_second(listed: Any) -> None:
    earlier = [asks("a", at=1.0), nameless("a1", 1.0)]
    assert ids(oldest_first([*earlier, *listed])) == ["a0", "a1", "b0", "b1", "a2"]
    assert ids(answers_of("run_2", [*earlier, *listed], None)) == ["a2"]


@pytest.mark.parametrize("listed", list(permutations([nameless("a1", 2.0), asks("b", at=2.0)])))
def test_a_job_asks_after_the_answer_to_the_job_before_it(listed: Any) -> None:
    messages = [asks("a", at=1.0), *listed, nameless("a2", 3.0)]
    assert ids(oldest_first(messages)) == ["a0", "a1", "b0", "a2"]
    assert ids(answers_of("run_2", messages, 2.5)) == ["a2"]


def test_messages_of_one_second_are_reversed_in_newest_first_lists() -> None:
    written = [asks("a", at=1), {**answers("r1", 2), "id": "x"}, {**answers("r1", 2), "id": "y"}, foreign("u", 3)]
    assert oldest_first(written[::-1]) == written


@pytest.mark.parametrize("listed", list(permutations([asks("b", at=2.0), answers("r2", 2.0)])))
def test_an_answer_that_names_the_run_is_its(listed: Any) -> None:
    thread = [asks("a", at=1), answers("r1", 1), *listed, foreign("u", 2.0)]
    assert ids(answers_of("r2", thread, None)) == ["answer-r2"]
    assert ids(answers_of("r1", thread, None)) == ["answer-r1"]
    assert answers_of("r3", thread, None) == []


def test_a_jobs_own_assistant_message_is_not_an_answer() -> None:
    history = {**asks("a", 1), "role": "assistant"}
    assert answers_of("r1", [asks("a"), history], None) == []


def test_an_answer_from_before_the_run_is_not_its() -> None:
    thread = [asks("a", at=1), nameless("misfit", 2), nameless("again", 4)]
    assert ids(answers_of("r2", thread, 3.7)) == ["again"]
    assert ids(answers_of("r2", thread, 9.0)) == ["misfit", "again"], "the clocks of the server disagree"


@given(
    st.lists(
        st.builds(asks, st.sampled_from("ab"), st.integers(0, 2), st.sampled_from([1, 2.0]))
        | st.builds(answers, st.sampled_from(["r1", "r2", None]), st.sampled_from([1, 2.0]))
        | st.builds(foreign, st.sampled_from("xy"), st.just(1)),
        max_size=8,
    )
)
def test_no_message_is_lost_or_moved_to_another_second(listed: list[dict[str, Any]]) -> None:
    ordered = oldest_first(listed)
    assert sorted(map(str, ordered)) == sorted(map(str, listed))
    assert [each["created_at"] for each in ordered] == sorted(each["created_at"] for each in listed)
