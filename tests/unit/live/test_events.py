"""What a feed keeps, and what it has published: little while nobody follows, everything once for who does."""

import asyncio
import json

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from threadmill.job.events.event import EventKind
from threadmill.secrets.redaction import REDACTOR
from threadmill_worker.drivers.assistants.replies import parse_delta
from threadmill_worker.live import buffer, publisher
from threadmill_worker.live.buffer import EventBuffer
from threadmill_worker.live.publisher import EventPublisher


def delta(text: str, message_id: str = "msg_1") -> bytes:
    content = [{"index": 0, "type": "text", "text": {"value": text}}]
    return json.dumps({"id": message_id, "object": "thread.message.delta", "delta": {"content": content}}).encode()


def say(feed: EventBuffer, *texts: str) -> None:
    for text in texts:
        feed.delta(delta(text), parse_delta)


class Redis:
    """What was published, by kind; with an error in place of it, if there is one."""

    def __init__(self) -> None:
        self.entries = []
        self.gone = []
        self.error = None
        self.pauses = 0
        self.followers = False

    async def is_followed(self, job_id):
        if self.error:
            raise self.error
        return self.followers

    async def publish(self, due):
        if self.error:
            raise self.error
        ids = {}
        for job_id, news in due.items():
            ids[job_id] = [f"{len(self.entries) + number}-0" for number in range(len(news.entries))]
            self.entries += news.entries
            self.gone += news.superseded
        return ids

    def texts(self) -> list[tuple[int, str]]:
        return [(entry["begins"], entry["text"]) for entry in self.entries if entry["kind"] == "text"]


@pytest.fixture
def redis(monkeypatch):
    redis, sleep = Redis(), asyncio.sleep

    async def tick(seconds):
        assert seconds == publisher.INTERVAL_S
        redis.pauses += 1
        await sleep(0)

    monkeypatch.setattr(publisher.asyncio, "sleep", tick)
    return redis


async def ticks(count: int = 5) -> None:
    for _ in range(4 * count):
        await asyncio.sleep(publisher.INTERVAL_S)


async def test_nothing_is_read_or_published_while_nobody_follows(redis):
    feed = EventPublisher(redis.publish, redis.is_followed).open("job")
    feed.emit(EventKind.RUN, run_id="run_1", run=1, status="queued")
    feed.delta(b"not even JSON", parse_delta)
    await ticks()
    await feed.close()

    assert redis.entries == []


async def test_a_late_follower_gets_the_text_so_far_in_one_piece(redis):
    lives = EventPublisher(redis.publish, redis.is_followed)
    feed = lives.open("job")
    feed.emit(EventKind.RUN, run_id="run_1", run=1, status="queued")
    say(feed, "All ", "work ")
    lives.follow(["job"])
    await ticks()
    say(feed, "and ")
    say(feed, "no play")
    await ticks()

    assert redis.texts() == [(0, "All work "), (9, "and no play")]
    assert redis.entries[0] == {"kind": "run", "run_id": "run_1", "run": 1, "status": "queued"}


async def test_a_complete_message_replaces_its_pieces(redis):
    lives = EventPublisher(redis.publish, redis.is_followed)
    lives.follow(["job"])
    feed = lives.open("job")
    say(feed, "All work ")
    await ticks()
    say(feed, "and no ")
    await ticks()
    feed.message("msg_1", "All work and no play")
    await feed.close()

    assert redis.entries[-1] == {"kind": "message", "message_id": "msg_1", "text": "All work and no play"}
    assert sorted(redis.gone) == ["0-0", "1-0"]


async def test_text_continues_where_it_stopped_after_a_redis_outage(redis):
    lives = EventPublisher(redis.publish, redis.is_followed)
    lives.follow(["job"])
    feed = lives.open("job")
    redis.error = RedisConnectionError("away")
    say(feed, "All ")
    await ticks()
    say(feed, "work ")
    await ticks()
    redis.error = None
    await ticks()

    assert "".join(text for _, text in redis.texts()) == "All work "
    assert [begins for begins, _ in redis.texts()] == [0, 4]


async def test_a_job_ends_during_a_redis_outage(redis, monkeypatch):
    monkeypatch.setattr(publisher, "TIMEOUT_S", 0.05)
    lives = EventPublisher(redis.publish, redis.is_followed)
    lives.follow(["job"])
    feed = lives.open("job")
    say(feed, "All ")
    redis.error = RedisConnectionError("away")
    await asyncio.wait_for(feed.close(), 1)
    lives._publish = lambda due: asyncio.Event().wait()
    await asyncio.wait_for(lives.open("job").close(), 1)


@pytest.mark.parametrize("followers", [False, True])
async def test_at_the_end_tool_calls_are_published_to_a_follower_who_has_just_come(redis, followers):
    feed = EventPublisher(redis.publish, redis.is_followed).open("job")
    feed.emit(EventKind.RUN, run_id="run_1", run=1, status="requires_action")
    feed.emit(EventKind.TOOL_CALL, call_id="call_1", name="SEARCH", arguments="x" * 5000)
    await ticks()
    assert redis.entries == []
    redis.followers = followers
    await feed.close()

    assert [entry["kind"] for entry in redis.entries] == (["run", "tool_call"] if followers else [])
    assert all(len(entry["arguments"]) == buffer.FIELD_LIMIT + 3 for entry in redis.entries[1:])


async def test_a_job_with_tool_calls_ends_during_a_redis_outage(redis):
    feed = EventPublisher(redis.publish, redis.is_followed).open("job")
    feed.emit(EventKind.TOOL_CALL, call_id="call_1", name="SEARCH", arguments="{}")
    redis.error = RedisConnectionError("away")
    await asyncio.wait_for(feed.close(), 1)

    assert redis.entries == []


async def test_a_bounded_amount_is_kept_and_published(redis, monkeypatch):
    monkeypatch.setattr(buffer, "RAW_LIMIT", 1000)
    lives = EventPublisher(redis.publish, redis.is_followed)
    feed = lives.open("job")
    say(feed, *["0123456789" * 10] * 3000)
    assert feed._raw_size <= 1000
    lives.follow(["job"])
    await ticks()
    feed.message("msg_1", "0123456789" * 30000)
    say(feed, "more")
    await feed.close()

    assert sum(len(text) for _, text in redis.texts()) == buffer.TEXT_LIMIT
    assert len(redis.entries[-1]["text"]) == buffer.TEXT_LIMIT


def test_halves_of_a_character_make_one_that_redis_can_hold():
    feed = EventBuffer()
    feed.followed = True
    feed.delta(b'{"id": "m", "delta": {"content": [{"type": "text", "text": {"value": "\\ud83d"}}]}}', parse_delta)
    feed.delta(
        b'{"id": "m", "delta": {"content": [{"type": "text", "text": {"value": "\\ude00 \\ud83d"}}]}}', parse_delta
    )
    [entry] = feed.due().entries

    assert entry["text"] == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("size", [1, 2, 5, 13, 40])
async def test_no_prefix_of_a_secret_is_published(redis, size):
    REDACTOR.register("sk-secret-4711")
    text = "sk-secretive? The key is sk-secret-4711, and sk-secret-4712 is none. sk-sec"
    lives = EventPublisher(redis.publish, redis.is_followed)
    lives.follow(["job"])
    feed = lives.open("job")
    for start in range(0, len(text), size):
        say(feed, text[start : start + size])
        await ticks()

    told = "".join(piece for _, piece in redis.texts())
    assert told == "sk-secretive? The key is [key], and sk-secret-4712 is none. "
    assert [begins for begins, _ in redis.texts()] == [told.index(piece, begins) for begins, piece in redis.texts()]
    feed.message("msg_1", text)
    await feed.close()
    assert redis.entries[-1]["text"] == f"{told}sk-sec"


async def test_arguments_and_outputs_of_tools_hold_no_secret(redis):
    REDACTOR.register("sk-secret-4711")
    redis.followers = True
    feed = EventPublisher(redis.publish, redis.is_followed).open("job")
    feed.emit(EventKind.TOOL_CALL, call_id="call_1", name="SEARCH", arguments='{"key": "sk-secret-4711"}')
    await feed.close()
    assert redis.entries[0]["arguments"] == '{"key": "[key]"}'
