"""Functions that call servers, for the commands of threadmill_cli. No other room of the worker imports them."""
