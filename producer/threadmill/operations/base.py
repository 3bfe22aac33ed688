"""What all operations of the client use."""

from threadmill.settings.settings import Settings
from threadmill.store.jobs import Store


class Operations:
    """Operations of a client, which sets these two."""

    settings: Settings
    store: Store
