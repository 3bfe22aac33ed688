"""A tool that the worker of these tests has."""


def multiply(a: int, b: int) -> int:
    """The product of two numbers."""
    return a * b
