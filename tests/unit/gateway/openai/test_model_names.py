"""What `model` names."""

import pytest

from threadmill import PromptJob, Settings
from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.model_names import Target, name_of, names, target_of


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("davinci", Target("davinci")),
        ("openai/lawyer", Target("openai", profile="lawyer")),
        ("azure/gpt-4o", Target("azure", model="gpt-4o")),
        ("openai/org/model", Target("openai", model="org/model")),
        ("gpt-5", Target("openai", model="gpt-5")),
        ("meta/llama-4", Target("openai", model="meta/llama-4")),
        ("lawyer", Target("openai", model="lawyer")),
        ("openai/", Target("openai", model="openai/")),
    ],
)
def test_a_name_leads_to_an_endpoint(settings, name, target):
    assert target_of(name, settings) == target


@pytest.mark.parametrize("name", ["davinci", "openai", "openai/lawyer", "azure/gpt-4o", "gpt-5", "openai/davinci"])
def test_a_job_shows_the_name_that_leads_to_it(settings, name):
    job = PromptJob.parse({"prompt": "Hi", **target_of(name, settings).fields})

    assert name_of(job, settings) == name


def test_a_model_without_a_usual_endpoint_does_not_exist(settings):
    settings = settings.model_copy(update={"default_endpoint": None})

    with pytest.raises(ApiError, match="davinci") as refused:
        target_of("gpt-5", settings)

    assert (refused.value.status, refused.value.error["code"]) == (404, "model_not_found")


def test_endpoints_are_listed_with_the_profiles_that_they_run(settings):
    assert list(names(settings)) == ["openai", "openai/lawyer", "davinci", "azure"]
    assert "azure/lawyer" in list(names(settings, applied={("azure", "lawyer")}))


def test_only_the_endpoints_of_a_caller_are_listed(settings):
    assert list(names(settings, allowed={"davinci", "emulator"})) == ["emulator", "davinci"] or list(
        names(settings, allowed={"davinci", "emulator"})
    ) == ["davinci", "emulator"]


def test_the_emulator_is_listed_if_it_is_the_default():
    assert "emulator" in list(names(Settings.model_validate({"default_endpoint": "emulator"})))
