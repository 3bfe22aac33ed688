"""A document set through the queue: enqueued, awaited, its results written down."""
