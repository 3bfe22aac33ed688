"""What commands and services read and change while jobs run."""

import threading

from threadmill import Client


class Reader:
    """A context in which a thread calls a client again and again. `large`, `other`: names of batches."""

    def __init__(self, client: Client, large: str, other: str) -> None:
        self._client = client
        self._large, self._other = large, other
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._repeat)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _repeat(self) -> None:
        while not self._stop.wait(0.5):
            self._client.batches()
            self._client.batch(self._large)
            self._client.pools()
            self._client.workers()
            self._client.limit_batch(self._large, 1000)
            self._client.waits_for(self._client.jobs(limit=50)[0].id)
            self._client.jobs(batch=self._large, limit=50)
            self._client.pause(self._other)
            self._client.resume(self._other)
