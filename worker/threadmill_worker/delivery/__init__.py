"""Delivered messages: their job runs, is refused or is cancelled. For process.py; imports attempt/ and below."""
