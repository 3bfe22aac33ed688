"""What all operations of the client use."""

from threadmill.settings.settings import Settings
from threadmill.store.store import Store


class Operations:
    """Operations of a client, which sets these two."""

    settings: Settings
    store: Store
