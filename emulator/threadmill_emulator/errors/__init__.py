"""Refusals, in the words of public servers. For all; imports no other room."""
