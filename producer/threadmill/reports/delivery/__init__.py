"""Notifications, and the channels that deliver them. For definitions/ and production.py; imports rendering/."""
