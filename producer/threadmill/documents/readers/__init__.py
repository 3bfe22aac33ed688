"""How each format is read, as text or rows. For documents/ and reports/; imports documents/errors.py and job/."""
