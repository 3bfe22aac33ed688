"""Creates, advances, cancels and deletes responses. Each response is one stretch of work of a run."""

from collections.abc import Callable

from threadmill_emulator.content.output import Sources
from threadmill_emulator.errors.responses_api import (
    conversation_locked,
    no_object,
    no_previous_response,
    not_in_background,
    unfinished_previous_response,
)
from threadmill_emulator.responses import context, items
from threadmill_emulator.responses.checks import check
from threadmill_emulator.responses.conversations import Conversation, Conversations
from threadmill_emulator.responses.items import Item
from threadmill_emulator.responses.response import Response
from threadmill_emulator.runs.replies import compose
from threadmill_emulator.runs.run import Run
from threadmill_emulator.runs.settings import response_settings
from threadmill_emulator.runs.starter import RunRequest, Starter
from threadmill_emulator.runs.stats import Stats
from threadmill_emulator.schemas.responses import CreateResponse
from threadmill_emulator.scripting.options import Options
from threadmill_emulator.scripting.scenarios import QUIRKS_OF_RESPONSES
from threadmill_emulator.storage.containers import Container, Containers
from threadmill_emulator.storage.files import Files
from threadmill_emulator.storage.vector_stores import VectorStores


class Responses:
    def __init__(
        self,
        clock: Callable[[], float],
        options: Options,
        files: Files,
        stores: VectorStores,
        stats: Stats,
        starter: Starter,
    ) -> None:
        self._clock, self._options, self._stats, self._starter = clock, options, stats, starter
        self._files, self._stores = files, stores
        self.conversations = Conversations(clock)
        self.containers = Containers(clock)
        self._responses: dict[str, Response] = {}
        self.active: dict[str, Response] = {}
        self.created = 0  #: how many have been created

    def create(self, body: CreateResponse, run_s: float | None = None) -> Response:
        """`run_s` overrides the scenario."""
        check(body, self._files, self._stores, self.containers, self._options)
        conversation = self.conversation(body.conversation_id) if body.conversation_id is not None else None
        if conversation and conversation.active:
            raise conversation_locked()
        read = conversation.items[:] if conversation else self._history(body.previous_response_id)
        input = items.taken(body.input)
        context.check_files(input, self._files)
        if "ignores_previous" not in self._options.extras:  # LiteLLM adds the calls of outputs from a cache
            context.check_outputs(read + input)
        response = Response(body, self._run(body, read + input, run_s), read, input, conversation)
        self._responses[response.id] = self.active[response.id] = response
        if conversation:
            conversation.active = response.id
        self.created += 1
        self._stats.outputs.update(item["call_id"] for item in input if item["type"] == "function_call_output")
        return response

    def conversation(self, id: str) -> Conversation:
        """Returns the conversation, advanced to the current time."""
        conversation = self.conversations.get(id)
        if conversation.active:
            self.advance(self.active[conversation.active])
        return conversation

    def get(self, id: str) -> Response:
        response = self._responses.get(id)
        if response is None or not self._there(response):
            raise no_object("Response", id)
        return response

    def cancel(self, id: str) -> Response:
        """Cancels a response; one that has ended does not change."""
        response = self.get(id)
        if not response.asked.background:
            raise not_in_background()
        if response.ended is None:
            response.run.cancel(self._clock())
            self.advance(response)
        return response

    def drop(self, response: Response) -> None:
        """Deletes a response, even if it no longer exists for clients."""
        if response.id in self.active:
            self._stats.response_ended(response.id, response.asked.metadata, "deleted")
            self._release(response)
        self._responses.pop(response.id, None)

    def all(self) -> list[Response]:
        """Oldest first."""
        return [response for response in list(self._responses.values()) if self._there(response)]

    def knows(self, response: Response) -> bool:
        return response.id in self._responses

    def advance_all(self) -> None:
        for response in list(self.active.values()):
            self.advance(response)

    def advance(self, response: Response) -> None:
        """Advances the response to the current time."""
        run = response.run
        if response.id not in self.active:
            return
        run.advance(self._clock())
        if (ended := run.stopped_at) is None:
            return
        spoke = response.status in ("completed", "incomplete")
        response.end(ended, self.plan_output(response) if spoke else [])
        if response.conversation and spoke:
            response.conversation.items += response.input + response.output
        self._release(response)
        self._stats.response_ended(response.id, response.asked.metadata, response.status, response.usage)
        if response.transcript:
            response.transcript.changed(ended)

    def plan_output(self, response: Response) -> list[Item]:
        """Returns the output of the response, which is generated once."""
        run = response.run
        if response.planned_output is None:
            if run.asked:
                response.planned_output = [items.function_call(call) for call in run.asked.calls]
            else:
                response.planned_output = self._answer(response)
        return response.planned_output

    def _answer(self, response: Response) -> list[Item]:
        run, container = response.run, self._container(response)
        documents = self._stores.searchable(response.asked.vector_store_ids)
        history = tuple(map(context.text, response.all_read))
        made = compose(run, Sources(self._files, container.files, documents, response.followed_plot, history))
        if container.files.created or any(call["type"] == "code_interpreter" for call in made.calls):
            self.containers.keep(container)
        query = " ".join(run.prompt.text.split())
        status = "incomplete" if run.script.ends == "incomplete" else "completed"
        return items.output_items(made, self._files, container.id, container.files, query, status)

    def _container(self, response: Response) -> Container:
        """Returns the container that the request names, or that of earlier calls, or a new one."""
        used = [item["container_id"] for item in response.all_read if item["type"] == "code_interpreter_call"]
        interpreter = response.asked.interpreter
        if interpreter and isinstance(interpreter.container, str):
            used.append(interpreter.container)
        container = self.containers.latest(used) or self.containers.make()
        for file in (self._files.get(id) for id in response.asked.file_ids if id in self._files):
            container.files.add(file.name, file.data, "user")
        return container

    def _run(self, body: CreateResponse, read: list[Item], run_s: float | None) -> Run:
        request = RunRequest(
            model=body.model,
            prompt=context.prompt(read, self._files, body.file_ids),
            settings=response_settings(body),
            rounds=context.rounds(read),
            tier=body.service_tier,
            metadata=body.metadata or {},
            run_s=run_s,
            counted_by=body.conversation_id,
        )
        return self._starter.start(request, QUIRKS_OF_RESPONSES)

    def _history(self, id: str | None) -> list[Item]:
        if id is None:
            return []
        previous = self._responses.get(id)
        if previous is None or not self._there(previous) or previous.asked.store is False:
            raise no_object("Response", id) if "previous_404" in self._options.extras else no_previous_response(id)
        if previous.ended is None:
            raise unfinished_previous_response(id, previous.status)
        return previous.all_read + previous.output

    def _there(self, response: Response) -> bool:
        self.advance(response)
        if not response.kept(self._clock()) and response.ended is not None:
            self._responses.pop(response.id, None)
        return response.kept(self._clock())

    def _release(self, response: Response) -> None:
        del self.active[response.id]
        if response.conversation:
            response.conversation.active = None
