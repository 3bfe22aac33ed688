"""`threadmill batch`. For the entry point and report/; imports job_options.py."""
