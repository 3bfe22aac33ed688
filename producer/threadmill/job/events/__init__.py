"""What happens to a job: events for its followers, and the timeline of its record. PURE; imports job/result.py."""
