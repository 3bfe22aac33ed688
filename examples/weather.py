"""A tool of our own: the model asks for the weather, a Python function in the worker answers."""

from threadmill import Client

handle = Client().enqueue({"prompt": "What is the weather like in Taipei?", "tools": ["query_weather"]})
print(handle.wait(timeout_s=300).text)
