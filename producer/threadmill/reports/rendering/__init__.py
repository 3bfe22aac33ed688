"""PURE: pages and messages of a report. For publish.py and delivery.py; imports report.py and answers.py."""
