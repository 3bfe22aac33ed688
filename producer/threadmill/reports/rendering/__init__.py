"""PURE: pages and messages of a report. For publish.py and delivery/; imports content/ and answers.py."""
