"""The reports: their nights as a calendar, and each night's page. calendar.py is pure."""
