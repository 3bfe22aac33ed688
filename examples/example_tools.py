"""The tools of the examples; examples/threadmill.toml registers them."""

from typing import TypedDict


class Weather(TypedDict):
    city: str
    condition: str
    celsius: int


def query_weather(city: str) -> Weather:
    """The weather of a city, by its name."""
    known = {"Taipei": ("rain", 24), "Paris": ("clouds", 12)}
    condition, celsius = known.get(city, ("sun", 18))
    return {"city": city, "condition": condition, "celsius": celsius}
