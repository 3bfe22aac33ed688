"""The methods of Client by subject; `client.py` combines them. They import the store and the settings."""
