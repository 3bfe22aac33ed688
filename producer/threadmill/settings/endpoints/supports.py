"""The table [endpoints.NAME.supports]: which optional features a server has."""

from threadmill.job.model import InputModel


class Supports(InputModel):
    """The features of a server that differ between servers. threadmill does without those that are false.

    A kind of endpoint has its own defaults; see endpoint.py.
    """

    files: bool = True  #: uploads and vector stores
    data_urls: bool = False  #: images as data URLs; otherwise they are uploaded
    plugins: bool = False  #: `POST /pluginapi`, which runs tools that the worker lacks
    streaming: bool = True  #: the events of a run
    upload_expiry: bool = False  #: an expiry of uploads, so that lost ones do not stay
    cancel: bool = True  #: runs can be cancelled; otherwise an unneeded run continues to its end
    run_id_filter: bool = True  #: the messages of one run can be listed
    create_and_run: bool = False  #: `POST /threads/runs`, which creates a thread and a run in one call
    # Of the Responses API:
    background: bool = True  #: work in the background; otherwise a call returns when the response has ended
    stored_responses: bool = True  #: otherwise each round of tools sends the whole input again
    list_responses: bool = False  #: `GET /responses`, which shows their metadata
    batches: bool = True  #: `POST /batches`, for the batch lane
    # Of Chat Completions:
    json_schema: bool = True  #: `response_format` with a schema; otherwise the schema is sent in words
    max_completion_tokens: bool = False  #: that name of the limit; otherwise it is sent as `max_tokens`
    stream_usage: bool = True  #: `stream_options`, so that streams end with the tokens that they used
    # Of both:
    idempotency_keys: bool = False  #: the first reply is repeated to a POST with a known Idempotency-Key
