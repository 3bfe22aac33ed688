"""Webhooks that servers send to the gateway. app.py imports them; they import requests/."""
