"""What is configured: threadmill.toml, the environment, endpoints, tools, profiles. Imports job/ and redis/url.py."""
