"""Fields are read once, by type; what nobody reads is refused by its path."""

import pytest

from threadmill_gateway.openai.errors import ApiError
from threadmill_gateway.openai.fields import Fields


def test_null_is_no_field():
    fields = Fields({"a": None, "b": False})

    assert fields.text("a") is None
    assert fields.flag("b") is False
    fields.end()


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("text", 1),
        ("flag", 1),
        ("flag", "true"),
        ("integer", True),
        ("integer", 1.5),
        ("number", True),
        ("number", "1"),
        ("objects", {}),
        ("objects", [1]),
        ("object", []),
        ("mapping", "x"),
    ],
)
def test_another_type_is_refused(method, value):
    with pytest.raises(ApiError) as refused:
        getattr(Fields({"a": value}, "outer"), method)("a")

    assert refused.value.status == 400
    assert refused.value.error["param"].startswith("outer.a")


def test_what_was_not_read_is_refused_by_its_path():
    fields = Fields({"items": [{"known": 1}, {"unknown": 2}]}).objects("items")
    fields[0].any("known")
    fields[0].end()

    with pytest.raises(ApiError) as refused:
        fields[1].end()

    assert refused.value.error["param"] == "items[1].unknown"
    assert refused.value.error["code"] == "unsupported_parameter"


@pytest.mark.parametrize(("value", "accepted"), [(1, (True,)), (True, (1,)), ([1], ([],)), ("b", ("a",))])
def test_only_the_given_values_are_accepted(value, accepted):
    with pytest.raises(ApiError):
        Fields({"a": value}).only("a", *accepted)


def test_a_body_that_is_no_object_is_refused():
    with pytest.raises(ApiError, match="a list"):
        Fields([])
