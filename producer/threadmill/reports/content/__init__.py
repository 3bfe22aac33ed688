"""What a report says: its sections, and groups of their answers. PURE. For reports/; imports job/result.py."""
