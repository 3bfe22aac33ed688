"""What an attempt works with: defaults, key, driver, polls; or why a job is not served. For attempt/ and above."""
