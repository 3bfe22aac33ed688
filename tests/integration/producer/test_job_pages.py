"""Lists of jobs by pages: each job once, whatever the filter, and few records for each page."""

from datetime import UTC, datetime

import pytest

from threadmill import Client, FailureKind, InvalidCursor, JobState
from threadmill.errors import BatchNotFound
from threadmill.store.jobs import lists
from threadmill.store.keys import Keys

pytestmark = pytest.mark.integration


@pytest.fixture
def keys(settings):
    return Keys(settings.key_prefix)


@pytest.fixture
def small_chunks(monkeypatch):
    """Lists and records are read a few at a time."""
    monkeypatch.setattr(lists, "CHUNK", 4)


def pages(client: Client, **arguments):
    """The ids of the jobs of each page."""
    cursor, found = None, []
    while True:
        page = client.job_page(cursor=cursor, **arguments)
        found.append([record.id for record in page.jobs])
        cursor = page.next_cursor
        if cursor is None:
            return found


def enqueue(client: Client, number: int, **fields):
    return [handle.id for handle in client.enqueue_many({"prompt": f"{n}", **fields} for n in range(number))]


def joined(found):
    return [job_id for page in found for job_id in page]


def test_pages_go_on_where_the_last_one_stopped(client: Client, small_chunks):
    ids = enqueue(client, 10)[::-1]
    assert pages(client, limit=4) == [ids[:4], ids[4:8], ids[8:]]
    assert pages(client, limit=5) == [ids[:5], ids[5:]], "the last page is full, and no empty one follows"
    assert pages(client, limit=50) == [ids]
    assert pages(client, limit=1) == [[job_id] for job_id in ids]


def test_an_empty_list_is_one_empty_page(client: Client):
    assert pages(client) == [[]]
    assert pages(client, tenant="shop") == [[]]


def test_all_filters_of_a_list_apply_to_its_pages(client: Client, small_chunks):
    shop = enqueue(client, 5, tenant="shop", metadata={"order": "1"})[::-1]
    desk = enqueue(client, 5, tenant="desk", batch="b")[::-1]
    client.cancel(shop[1])
    client.cancel(desk[2])
    assert joined(pages(client, tenant="shop", limit=2)) == shop
    assert joined(pages(client, tenant="shop", limit=2, state=JobState.CANCELLED)) == [shop[1]]
    assert joined(pages(client, tenant="shop", limit=2, state=JobState.QUEUED)) == [shop[0], *shop[2:]]
    assert joined(pages(client, batch="b", limit=2)) == desk
    assert joined(pages(client, batch="b", tenant="shop", limit=2)) == []
    assert joined(pages(client, batch="b", state=JobState.CANCELLED, limit=2)) == [desk[2]]
    assert joined(pages(client, failure=FailureKind.CANCELLED, limit=2)) == [desk[2], shop[1]]
    assert joined(pages(client, metadata={"order": "1"}, limit=2)) == [shop[1], shop[0], *shop[2:]]
    assert joined(pages(client, endpoint="other", limit=2)) == []
    with pytest.raises(BatchNotFound):
        client.job_page(batch="c")
    assert [record.id for record in client.jobs(tenant="shop")] == shop
    assert [record.id for record in client.jobs(tenant="shop", state=JobState.CANCELLED)] == [shop[1]]


@pytest.mark.parametrize("listed", [{}, {"tenant": "shop"}, {"batch": "b"}])
def test_since_and_until_limit_the_time_of_the_list(client: Client, listed, small_chunks):
    ids = enqueue(client, 9, tenant="shop", batch="b")
    at = {job_id: client.get(job_id).created_at for job_id in ids}
    found = joined(pages(client, since=at[ids[2]], until=at[ids[7]], limit=2, **listed))
    assert found == ids[6:1:-1]
    assert [record.id for record in client.jobs(since=at[ids[2]], until=at[ids[7]], **listed)] == ids[6:1:-1]


def test_since_limits_the_creation_where_jobs_are_listed_by_it(client: Client):
    [first] = enqueue(client, 1, tenant="shop")
    [second] = enqueue(client, 1, tenant="shop")
    since = client.get(second).created_at
    client.cancel(first)
    assert joined(pages(client, tenant="shop", since=since)) == [second]
    assert joined(pages(client, since=since)) == [first, second]
    assert {record.id for record in client.jobs(tenant="shop", since=since)} == {first, second}


def test_jobs_of_the_same_moment_come_once(client: Client, store, keys, small_chunks):
    ids = enqueue(client, 15, tenant="shop")
    for key in (keys.jobs("queued"), keys.tenant_jobs("shop", "open")):
        store.zadd(key, {job_id: 7 if number < 12 else 8 for number, job_id in enumerate(ids)})
    for listed in ({}, {"tenant": "shop"}):
        found = joined(pages(client, limit=5, **listed))
        assert found == [*sorted(ids[12:], reverse=True), *sorted(ids[:12], reverse=True)]


def test_a_page_reads_few_records_and_the_next_one_goes_on(client: Client, small_chunks, monkeypatch):
    ids = enqueue(client, 20, tenant="shop")
    for number in (3, 13, 14):
        client.cancel(ids[number])
    read = []
    hashes = client.store._hashes
    monkeypatch.setattr(client.store, "_hashes", lambda some: read.append(len(some)) or hashes(some))
    found = pages(client, tenant="shop", failure=FailureKind.CANCELLED, limit=2, most_read=6)
    assert found == [[ids[14]], [ids[13]], [ids[3]], []]
    assert sum(read) <= 20 + 3, "and those after the end of each page"


def test_a_job_that_ends_between_two_pages_of_a_tenant_is_neither_lost_nor_repeated(client: Client, small_chunks):
    ids = enqueue(client, 8, tenant="shop")[::-1]
    first = client.job_page(tenant="shop", limit=3)
    client.cancel(ids[1])
    client.cancel(ids[5])
    second = client.job_page(tenant="shop", limit=3, cursor=first.next_cursor)
    client.redrive(ids[5])
    third = client.job_page(tenant="shop", limit=3, cursor=second.next_cursor)
    assert [record.id for page in (first, second, third) for record in page.jobs] == ids
    assert third.next_cursor is None


def test_new_jobs_do_not_move_the_next_page(client: Client):
    ids = enqueue(client, 4, tenant="shop")[::-1]
    first = client.job_page(tenant="shop", limit=2)
    enqueue(client, 3, tenant="shop")
    second = client.job_page(tenant="shop", limit=2, cursor=first.next_cursor)
    assert [record.id for page in (first, second) for record in page.jobs] == ids


def test_unreadable_jobs_are_counted_and_missing_ones_are_not(client: Client, store, keys):
    ids = enqueue(client, 4, tenant="shop")[::-1]
    store.hset(keys.record(ids[1]), "job", "{")
    store.delete(keys.record(ids[2]))
    page = client.job_page(tenant="shop")
    assert [record.id for record in page.jobs] == [ids[0], ids[3]]
    assert (page.next_cursor, page.unreadable) == (None, 1)


def test_a_wrong_cursor_or_limit_is_refused(client: Client):
    enqueue(client, 3, tenant="shop")
    cursor = client.job_page(limit=1).next_cursor
    for wrong, listed in (("next", {}), ("", {}), (cursor, {"tenant": "shop"})):
        with pytest.raises(InvalidCursor):
            client.job_page(cursor=wrong, **listed)
    with pytest.raises(ValueError, match="give 1 or more"):
        client.job_page(limit=0)


def test_nothing_is_listed_before_the_epoch(client: Client):
    enqueue(client, 1)
    assert joined(pages(client, until=datetime(1960, 1, 1, tzinfo=UTC))) == []
