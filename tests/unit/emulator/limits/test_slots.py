"""Slots, and the requests that wait for one."""

import asyncio

import pytest

from threadmill_emulator.errors.api_error import ApiError
from threadmill_emulator.limits.slots import Slots
from threadmill_emulator.scripting.limits import Limits


async def waiting(slots: Slots, count: int) -> list[asyncio.Task[None]]:
    """Tasks that wait for a slot, in this order."""
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(slots.take()))
        await asyncio.sleep(0)
    return tasks


async def test_without_a_number_nobody_waits():
    slots = Slots(Limits())
    await asyncio.gather(*(slots.take() for _ in range(100)))
    assert (slots.taken, slots.waiting) == (100, 0)


async def test_a_released_slot_goes_to_the_first_that_waits():
    slots = Slots(Limits(slots=1))
    await slots.take()
    first, second = await waiting(slots, 2)
    slots.release()
    await first
    assert not second.done()
    assert (slots.taken, slots.waiting) == (1, 1)
    second.cancel()


async def test_one_that_no_longer_waits_is_passed_over():
    slots = Slots(Limits(slots=1))
    await slots.take()
    first, second = await waiting(slots, 2)
    first.cancel()
    slots.release()
    await second
    assert (slots.taken, slots.waiting) == (1, 0)


async def test_one_that_leaves_with_a_slot_gives_it_back():
    slots = Slots(Limits(slots=1))
    await slots.take()
    first, second = await waiting(slots, 2)
    slots.release()  # the slot is the first's, which has not run since
    first.cancel()
    await second
    assert (slots.taken, slots.waiting) == (1, 0)


async def test_a_full_queue_refuses():
    slots = Slots(Limits(slots=1, queue=1))
    await slots.take()
    (first,) = await waiting(slots, 1)
    with pytest.raises(ApiError, match="maximum pending requests") as refused:
        await slots.take()
    assert refused.value.status == 503
    first.cancel()


async def test_more_slots_are_granted_at_once():
    slots = Slots(Limits(slots=1))
    await slots.take()
    tasks = await waiting(slots, 3)
    slots.use(Limits(slots=3))
    await asyncio.gather(*tasks[:2])
    assert (slots.taken, slots.waiting) == (3, 1)
    slots.use(Limits())
    await tasks[2]
