"""Whether traces are exported, as the standard variables say."""

import pytest

from threadmill import SettingsError
from threadmill.tracing import sdk, spans

OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, None),
        (OTLP, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        (OTLP | {"OTEL_TRACES_EXPORTER": "none"}, None),
        (OTLP | {"OTEL_TRACES_EXPORTER": ""}, "otlp"),
        (OTLP | {"OTEL_SDK_DISABLED": "true"}, None),
        (OTLP | {"OTEL_SDK_DISABLED": "false"}, "otlp"),
    ],
)
def test_the_exporter_is_what_the_variables_ask_for(variables, name):
    assert sdk.exporter_name(variables) == name


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin-of-old"}, "there is no such exporter (installed: console, otlp_proto_http"),
        (OTLP | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "threadmill speaks http/protobuf alone"),
    ],
)
def test_an_exporter_that_is_not_there_is_refused(monkeypatch, variables, says):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        sdk.start("threadmill-worker")
    assert says in str(refused.value)
    assert spans.tracer() is None


def test_without_variables_nothing_starts():
    sdk.start("threadmill-worker").stop()
    assert spans.tracer() is None


def test_a_missing_extra_is_named_with_its_remedy(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.trace", None)
    sdk.start("threadmill-worker").stop()
    assert "traces are not exported: they need an extra; run" in caplog.text
    assert "[otel]" in caplog.text
